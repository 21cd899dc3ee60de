/**
 * The Gaussian mechanism on sums of clipped gradients.
 *
 * Noise in floating point leaks: the set of possible results depends on the number without noise (Mironov 2012, "On
 * significance of the least significant bits for differential privacy"). So sums and noise are rounded to multiples of
 * one power of two before they are added, and the addition is exact: the result is a multiple of it, whatever the sum
 * was. That is the real-valued mechanism on rounded sums, with its result rounded, which costs no privacy. One
 * difference remains: the noise's own 53 bits stand for real numbers, but a step of the grid holds millions of their
 * values.
 */
import { defect } from "../errors.js";
import { Normals, normalsAtOnce } from "./gaussian.js";
import type { RandomBits } from "./random-bits.js";

/** Sums by name. */
export type Sums = ReadonlyMap<string, Float64Array>;

/** Rounding to the grid moves a sum by at most this part of its sensitivity. */
const roundingPart = 2 ** -15;

/** The largest power of two for which rounding all `size` numbers to its multiples stays within `roundingPart`. */
export function gridStep(sensitivity: number, size: number): number {
  return 2 ** Math.floor(Math.log2((roundingPart * sensitivity) / Math.sqrt(Math.max(1, size))));
}

/** Adding and subtracting this rounds any number below 2^51 to a whole number. */
const rounder = 1.5 * 2 ** 52;

/**
 * The sums, each number with independent noise of standard deviation noiseMultiplier * sensitivity, times `scale`.
 * @param sensitivity the 2-norm of the most that one sample can change in all sums together
 */
export function withNoise(
  sums: Sums,
  options: {
    readonly sensitivity: number;
    readonly noiseMultiplier: number;
    readonly scale: number;
    readonly bits: RandomBits;
  },
): Map<string, Float32Array> {
  const { sensitivity, noiseMultiplier, scale, bits } = options;
  const size = [...sums.values()].reduce((total, { length }) => total + length, 0);
  const step = gridStep(sensitivity, size);
  const grid = { step, deviation: (noiseMultiplier * sensitivity) / step, scale: step * scale };
  const normals = new Normals(bits);
  const noise = new Float64Array(normalsAtOnce);
  const noisy = [...sums].map(([name, sum]) => {
    const result = new Float32Array(sum.length);
    for (let from = 0; from < sum.length; from += normalsAtOnce) {
      const to = Math.min(sum.length, from + normalsAtOnce);
      normals.fill(noise, to - from);
      if (!addOnGrid(sum, noise, grid, result, from, to)) throw defect(`the clipped sum of "${name}" is not finite`);
    }
    return [name, result] as const;
  });
  return new Map(noisy);
}

interface Grid {
  readonly step: number;
  /** The noise's standard deviation, in steps. */
  readonly deviation: number;
  /** The value of one step in the result. */
  readonly scale: number;
}

/** Adds noise to the sums from `from` to `to`. Returns whether all of them are finite. */
function addOnGrid(
  sum: Float64Array,
  noise: Float64Array,
  { step, deviation, scale }: Grid,
  result: Float32Array,
  from: number,
  to: number,
): boolean {
  const perStep = 1 / step;
  let probe = 0;
  for (let i = from; i < to; i++) {
    const rounded = (sum[i] as number) * perStep + rounder - rounder;
    const added = (noise[i - from] as number) * deviation + rounder - rounder;
    result[i] = (rounded + added) * scale;
    // NaN if and only if a sum is not finite.
    probe += (sum[i] as number) * 0;
  }
  return probe === 0;
}
