/** Fourier transforms of the reference, and the matrix of a transform. */

import { present } from "../present.js";

/** A discrete Fourier transform along one axis. */
export interface Transform {
  /** The length of the whole signal, and of its whole spectrum. */
  readonly length: number;
  /** Whether it goes from spectrum to signal, divided by the length. */
  readonly inverse: boolean;
  /**
   * Whether the signal is real and its spectrum held only up to the middle, `length / 2`: the rest mirrors that half.
   */
  readonly onesided: boolean;
  /** The number of elements read along the axis, from the first; zeros take the place of the rest. */
  readonly reads: number;
  /** The number of elements that the result has along the axis. */
  readonly gives: number;
  /** Whether the input, and the result, are real: 1 number per element instead of 2. */
  readonly realIn: boolean;
  readonly realOut: boolean;
}

type Complex = readonly [re: Float64Array, im: Float64Array];

/** The sum over n of x[n] exp(sign 2 pi i k n / length), for each k; by halves while the length is even. */
export function transform64([re, im]: Complex, sign: 1 | -1): Complex {
  const length = re.length;
  const table = angles(length, sign);
  if (length % 2 !== 0 || length < 4) return summed([re, im], table);
  const half = length / 2;
  const every = (x: Float64Array, first: number) =>
    Float64Array.from({ length: half }, (_, k) => x[2 * k + first] ?? 0);
  const even = transform64([every(re, 0), every(im, 0)], sign);
  const odd = transform64([every(re, 1), every(im, 1)], sign);
  const result: Complex = [new Float64Array(length), new Float64Array(length)];
  for (let k = 0; k < half; k++) {
    const [c, s, a, b] = [table[0][k], table[1][k], odd[0][k], odd[1][k]] as [number, number, number, number];
    const [x, y] = [c * a - s * b, c * b + s * a];
    const [p, q] = [even[0][k], even[1][k]] as [number, number];
    result[0][k] = p + x;
    result[1][k] = q + y;
    result[0][k + half] = p - x;
    result[1][k + half] = q - y;
  }
  return result;
}

/** exp(sign 2 pi i k / length) for each k. */
function angles(length: number, sign: 1 | -1): Complex {
  const of = (f: (x: number) => number) =>
    Float64Array.from({ length }, (_, k) => f((sign * 2 * Math.PI * k) / length));
  return [of(Math.cos), of(Math.sin)];
}

function summed([re, im]: Complex, [cos, sin]: Complex): Complex {
  const length = re.length;
  const result: Complex = [new Float64Array(length), new Float64Array(length)];
  for (let k = 0; k < length; k++) {
    let [x, y] = [0, 0];
    for (let n = 0; n < length; n++) {
      const at = (k * n) % length;
      const [c, s, a, b] = [cos[at], sin[at], re[n], im[n]] as [number, number, number, number];
      x += a * c - b * s;
      y += a * s + b * c;
    }
    result[0][k] = x;
    result[1][k] = y;
  }
  return result;
}

/** One line: `reads` elements of 1 or 2 numbers each become `gives` elements of 1 or 2. */
export function transformLine(line: Float64Array, transform: Transform): Float64Array {
  const { length, inverse, onesided, reads, gives, realIn, realOut } = transform;
  const [re, im] = [new Float64Array(length), new Float64Array(length)];
  for (let n = 0; n < reads; n++) {
    re[n] = line[realIn ? n : 2 * n] as number;
    im[n] = realIn ? 0 : (line[2 * n + 1] as number);
  }
  if (inverse && onesided) {
    for (let n = 1; 2 * n < length; n++) {
      re[length - n] = re[n] as number;
      im[length - n] = -(im[n] as number);
    }
  }
  const [x, y] = transform64([re, im], inverse ? 1 : -1);
  const scale = inverse ? 1 / length : 1;
  const parts = realOut ? 1 : 2;
  return Float64Array.from({ length: gives * parts }, (_, at) => {
    const k = Math.floor(at / parts);
    return scale * present(at % parts === 0 ? x[k] : y[k]);
  });
}

/** The transform as a matrix, `[reads * parts, gives * parts]`, by the definition. */
export function transformMatrix(transform: Transform): Float64Array {
  const { length, inverse, onesided, reads, gives, realIn, realOut } = transform;
  const [cos, sin] = angles(length, inverse ? 1 : -1);
  const [from, to] = [realIn ? 1 : 2, realOut ? 1 : 2];
  const matrix = new Float64Array(reads * from * gives * to);
  let at = 0;
  for (let row = 0; row < reads * from; row++) {
    const n = Math.floor(row / from);
    // Elements of the mirrored half of the spectrum count twice.
    const weight = inverse ? (onesided && n > 0 && 2 * n < length ? 2 : 1) / length : 1;
    for (let k = 0; k < gives; k++) {
      const angle = (n * k) % length;
      const [c, s] = [weight * (cos[angle] as number), weight * (sin[angle] as number)];
      const imaginary = row % from === 1;
      matrix[at++] = imaginary ? -s : c;
      if (to === 2) matrix[at++] = imaginary ? c : s;
    }
  }
  return matrix;
}
