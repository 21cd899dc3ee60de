/**
 * Work-arounds for Fourier transforms: products with matrices, and transforms whose lengths are powers of two. The
 * runtime's kernel (1.30 to 1.32) is right for lengths that are powers of two. For other lengths it is off by 7e-5 of
 * the largest result for 400 elements and by 1e-3 for 4,000, and slower than a matrix product; one-sided inverses are
 * wrong unless the spectrum holds length / 2 + 1 elements.
 */

import { type Transform, transform64, transformMatrix } from "../../../float64/fourier64.js";
import { fixedSize } from "../../../graph/dim.js";
import type { Value } from "../../../graph/value.js";
import { sumsInBlocks } from "../../../lower/long-sums.js";
import type { Build } from "../../../ops/build.js";
import { requireInput } from "../../../ops/checks.js";
import { transformOf } from "../../../ops/subgraphs/transform-axis.js";
import { present } from "../../../present.js";
import { decomposed, type Workaround } from "./workaround.js";

/** Up to this length a product with a matrix is at least as fast, on one thread. */
const longestProduct = 1024;
const longestProductOfPower = 256;

const isPowerOfTwo = (length: number) => (length & (length - 1)) === 0;

/**
 * The transform along an axis of `x`, whose last axis holds real and imaginary parts. Null keeps the operator itself.
 */
function emitTransform(build: Build, x: Value, axis: number, transform: Transform): Value[] | null {
  const { length, inverse, onesided } = transform;
  const power = isPowerOfTwo(length);
  const long = length > (power ? longestProductOfPower : longestProduct);
  if (long && power && !(inverse && onesided)) return null;
  const last = x.shape.length - 2;
  const front = build.moveAxis(x, axis, last);
  const read = x.shape[axis] === transform.reads ? front : build.slice(front, last, 0, transform.reads);
  return [build.moveAxis(long ? byPowers(build, read, transform) : byMatrix(build, read, transform), last, axis)];
}

/** `[..., reads, parts]` to `[..., gives, parts]`. */
function byMatrix(build: Build, x: Value, transform: Transform): Value {
  const { reads, gives, realIn, realOut } = transform;
  const [from, to] = [realIn ? 1 : 2, realOut ? 1 : 2];
  const leading = x.shape.slice(0, -2);
  const matrix = build.floats(transformMatrix(transform), [reads * from, gives * to], x);
  return build.reshape(build.matmul(build.reshape(x, [...leading, reads * from]), matrix), [...leading, gives, to]);
}

/** By transforms whose lengths are powers of two. */
function byPowers(build: Build, x: Value, transform: Transform): Value {
  const { length, inverse, onesided, gives, realOut } = transform;
  const whole = inverse && onesided ? mirrored(build, x, length) : x;
  const result = isPowerOfTwo(length) ? powered(build, whole, length, inverse) : chirped(build, whole, length, inverse);
  const axis = x.shape.length - 2;
  const kept = gives === length ? result : build.slice(result, axis, 0, gives);
  return realOut ? build.slice(kept, axis + 1, 0, 1) : kept;
}

function powered(build: Build, x: Value, length: number, inverse: boolean): Value {
  const places = [build.ints([length], []), build.ints([x.shape.length - 2], [])];
  return build.op("DFT", [x, ...places], { inverse: inverse ? 1 : 0, onesided: 0 });
}

/** The whole spectrum of a real signal, from its first half. */
function mirrored(build: Build, x: Value, length: number): Value {
  const axis = x.shape.length - 2;
  const reads = fixedSize(x.shape, axis);
  // The first element, times 0, stands for those that are not there.
  const source = Array.from({ length }, (_, k) => (2 * k <= length ? k : length - k));
  const signs = source.flatMap((from, k) => (from >= reads ? [0, 0] : [1, from === k ? 1 : -1]));
  const places = source.map((from) => (from >= reads ? 0 : from));
  return build.mul(build.gather(x, build.ints(places), axis), build.floats(signs, [length, 2], x));
}

/** The product of complex numbers with constants: `numbers` is `[count, 2]`, and x is `[..., count, 1 or 2]`. */
function timesComplex(build: Build, x: Value, numbers: Float64Array): Value {
  const count = numbers.length / 2;
  const last = x.shape.length - 1;
  const shape = [count, 2];
  if (x.shape[last] === 1) return build.mul(x, build.floats(numbers, shape, x));
  const real = numbers.map((_, at) => numbers[at - (at % 2)] as number);
  const imaginary = numbers.map((_, at) => (at % 2 === 0 ? -(numbers[at + 1] as number) : (numbers[at] as number)));
  const swapped = build.gather(x, build.ints([1, 0]), last);
  return build.add(build.mul(x, build.floats(real, shape, x)), build.mul(swapped, build.floats(imaginary, shape, x)));
}

/**
 * Bluestein's method: n k = (n^2 + k^2 - (k - n)^2) / 2 turns a transform into a convolution, of any sufficient length.
 */
function chirped(build: Build, x: Value, length: number, inverse: boolean): Value {
  const axis = x.shape.length - 2;
  const reads = fixedSize(x.shape, axis);
  const size = 2 ** Math.ceil(Math.log2(2 * length - 1));
  const sign = inverse ? 1 : -1;
  // n^2 is taken modulo 2 * length, so that angles stay small.
  const angle = (n: number) => (sign * Math.PI * Number((BigInt(n) * BigInt(n)) % BigInt(2 * length))) / length;
  const chirp = (count: number, scale: number) =>
    Float64Array.from({ length: 2 * count }, (_, at) => {
      const turn = angle(Math.floor(at / 2));
      return scale * (at % 2 === 0 ? Math.cos(turn) : Math.sin(turn));
    });
  const [re, im] = [new Float64Array(size), new Float64Array(size)];
  for (let n = 0; n < length; n++) {
    for (const at of [n, (size - n) % size]) {
      re[at] = Math.cos(angle(n));
      im[at] = -Math.sin(angle(n));
    }
  }
  const [filterRe, filterIm] = transform64([re, im], -1);
  const filter = Float64Array.from({ length: 2 * size }, (_, at) => {
    return present(at % 2 === 0 ? filterRe[at >> 1] : filterIm[at >> 1]);
  });
  const spectrum = powered(build, timesComplex(build, x, chirp(reads, 1)), size, false);
  const convolved = powered(build, timesComplex(build, spectrum, filter), size, true);
  const kept = build.slice(convolved, axis, 0, length);
  return timesComplex(build, kept, chirp(length, inverse ? 1 / length : 1));
}

export const transforms: readonly Workaround[] = [
  {
    name: "fourier-transform",
    ops: ["DFT"],
    why: "Its kernel is off by 1e-3 for lengths that are no powers of two, slower than a product, and wrong for one-sided inverses.",
    versions: "1.30 to 1.32",
    rewrite: (node, build) => {
      const along = transformOf(node);
      const emitted = emitTransform(build, requireInput(node, 0), along.axis, along);
      return emitted && sumsInBlocks(emitted, [requireInput(node, 0)]);
    },
  },
  {
    name: "windowed-transform",
    ops: ["STFT"],
    why: "Its kernel transforms as that of DFT does.",
    versions: "1.30 to 1.32",
    rewrite: decomposed,
  },
];
