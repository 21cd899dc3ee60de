/** Half-precision numbers, which JavaScript's typed arrays of Node 20 do not hold: their bits are kept. */
import { type Tensor, tensor } from "./tensor.js";

/** A float16 tensor (bits in a Uint16Array, as results are with `storage: "float16"`) as float32, exactly. */
export function toFloat32({ dims, data }: Tensor<"float16">): Tensor<"float32"> {
  return tensor("float32", dims, widened(data, float32BitsOfFloat16));
}

/**
 * The bits of half-precision numbers, over the same memory. A runtime gives them as it finds JavaScript: as a
 * Float16Array where there is one (Node 24, browsers), whose elements are numbers, or as the bits.
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
