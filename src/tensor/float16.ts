/** Half-precision numbers, kept as bits: the typed arrays of Node 20 cannot hold them. */
import { type Tensor, tensor } from "./tensor.js";

/** A float16 tensor (bits in a Uint16Array, as results are with `storage: "float16"`) as float32, exactly. */
export function toFloat32({ dims, data }: Tensor<"float16">): Tensor<"float32"> {
  return tensor("float32", dims, widened(data, float32BitsOfFloat16));
}

/**
 * The bits of half-precision numbers, over the same memory. A runtime returns a Float16Array if JavaScript has that
 * class (Node 24, browsers), and the bits otherwise.
 */
export function halfBits(data: ArrayBufferView): Uint16Array {
  return data instanceof Uint16Array ? data : new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2);
}

/** @param convert from the bits of a half to those of a float32 */
export function widened(halves: Uint16Array, convert: (bits: number) => number): Float32Array {
  const bits = new Int32Array(halves.length);
  for (let i = 0; i < halves.length; i++) bits[i] = convert(halves[i] ?? 0);
  return new Float32Array(bits.buffer);
}

const bitsOfFloat = new Int32Array(1);
const floatOfBits = new Float32Array(bitsOfFloat.buffer);

function float32BitsOfFloat16(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >> 10) & 31;
  const mantissa = half & 1023;
  if (exponent === 31) return sign | 0x7f800000 | (mantissa << 13);
  if (exponent > 0) return sign | ((exponent + 112) << 23) | (mantissa << 13);
  floatOfBits[0] = mantissa * 2 ** -24; // subnormal as a half, normal as a float
  return sign | (bitsOfFloat[0] ?? 0);
}

/**
 * The bits, as float32, of 2^-14, the smallest normal half, and of 65520, the smallest number that rounds to infinity.
 */
const [leastNormal, leastInfinite] = [0x38800000, 0x477ff000];

/**
 * Rounds numbers to half precision in place: to the nearest, ties to even, and to infinity from 65520 on.
 * @param halves receives the bits of the rounded numbers
 */
export function roundToHalves(numbers: Float32Array, halves: Uint16Array): void {
  const bits = new Int32Array(numbers.buffer, numbers.byteOffset, numbers.length);
  for (let k = 0; k < bits.length; k++) {
    const own = bits[k] ?? 0;
    const size = own & 0x7fffffff;
    if (size >= leastNormal && size < leastInfinite) {
      // A carry goes into the exponent, as it should.
      const rounded = size + 0xfff + ((size >>> 13) & 1);
      halves[k] = ((own >>> 16) & 0x8000) | ((rounded >>> 13) - (112 << 10));
      bits[k] = (own & 0x80000000) | (rounded & ~0x1fff);
    } else {
      const half = float16BitsOfFloat32(own);
      halves[k] = half;
      bits[k] = float32BitsOfFloat16(half);
    }
  }
}

function float16BitsOfFloat32(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const exponent = ((bits >>> 23) & 255) - 112;
  const mantissa = bits & 0x7fffff;
  if (exponent === 143) return sign | 0x7c00 | (mantissa === 0 ? 0 : 0x200);
  if (exponent >= 31) return sign | 0x7c00;
  if (exponent > 0) return sign | rounded((exponent << 23) | mantissa, 13);
  return exponent < -10 ? sign : sign | rounded(0x800000 | mantissa, 14 - exponent);
}

/** The bits without the last `dropped`, rounded. A carry goes into the exponent, as it should. */
function rounded(bits: number, dropped: number): number {
  const kept = bits >> dropped;
  const left = bits & ((1 << dropped) - 1);
  const half = 1 << (dropped - 1);
  return left > half || (left === half && (kept & 1) === 1) ? kept + 1 : kept;
}
