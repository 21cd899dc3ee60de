/** Losses rounded to multiples of a step, so that convolution computes their sums. */
import type { GaussianLoss } from "./gaussian-loss.js";

/** Probabilities under P of the losses (first + i) * step, for i from 0. */
export interface Grid {
  readonly step: number;
  readonly first: number;
  readonly masses: Float64Array;
}

/** Losses from here on are so large that e^loss could overflow. */
const huge = 600;

interface Cells {
  readonly first: number;
  readonly count: number;
}

/**
 * Losses that are never too small: the mechanism's release can be computed from the release of one with these losses.
 * The mass of each cell is split between its two ends so that both P and Q keep their mass in it ("connect the dots",
 * Doroshenko, Ghazi, Kamath, Kumar, Manurangsi 2022): the error is of second order in the step.
 *
 * @returns also `infinite`, the probability of losses above all
 */
export function pessimistic(loss: GaussianLoss, step: number, logTail: number): Grid & { readonly infinite: number } {
  const { first, count } = cells(loss, step, logTail);
  const { p, q } = loss.masses(first * step, step, count);
  const masses = new Float64Array(count + 1);
  masses[0] = p[0] ?? 0;
  for (let i = 0; i < count; i++) {
    const mass = p[i + 1] ?? 0;
    const lower = (first + i) * step;
    const excess = lower > huge ? mass : (mass - Math.exp(lower) * (q[i + 1] ?? 0)) / -Math.expm1(-step);
    const up = Math.min(mass, Math.max(0, excess));
    masses[i] = (masses[i] ?? 0) + mass - up;
    masses[i + 1] = up;
  }
  return { step, first, masses, infinite: p[count + 1] ?? 0 };
}

/** How much the true loss exceeds that of the grid: mean, variance and minimum. */
export interface Offset {
  readonly mean: number;
  readonly variance: number;
  /** The mean minus the minimum. */
  readonly below: number;
}

/**
 * Losses of a mechanism that releases less: only the cell, around a multiple of the step, in which the loss lies. The
 * loss of a whole cell is near that multiple, and `offset` says how near. Cells whose loss is well below their multiple
 * go to the multiple before.
 */
export function optimistic(loss: GaussianLoss, step: number, logTail: number): Grid & { readonly offset: Offset } {
  const { first, count } = cells(loss, step, logTail);
  const { p, q } = loss.masses((first - 0.5) * step, step, count + 1);
  const masses = new Float64Array(count + 2);
  const offsets = new Float64Array(count + 1);
  const least = -step / 4;
  let [total, sum, low] = [0, 0, Number.POSITIVE_INFINITY];
  for (let i = 0; i <= count; i++) {
    const mass = p[i + 1] ?? 0;
    const other = q[i + 1] ?? 0;
    if (mass === 0) continue;
    // A cell's loss is in the cell; if rounding loses it, the smallest loss in the cell is used.
    const apart = other > 0 ? Math.log(mass / other) - (first + i) * step : -step / 2;
    const own = Math.min(step / 2, Math.max(-step / 2, apart));
    const isLow = own < least;
    const offset = isLow ? own + step : own;
    const at = isLow ? i : i + 1;
    masses[at] = (masses[at] ?? 0) + mass;
    offsets[i] = offset;
    total += mass;
    sum += mass * offset;
    low = Math.min(low, offset);
  }
  const mean = sum / total;
  const variance = offsets.reduce((all, offset, i) => all + (p[i + 1] ?? 0) * (offset - mean) ** 2, 0) / total;
  return { step, first: first - 1, masses, offset: { mean, variance, below: mean - low } };
}

function cells(loss: GaussianLoss, step: number, logTail: number): Cells {
  const [low, high] = loss.range(logTail);
  const first = Math.floor(low / step);
  return { first, count: Math.max(1, Math.ceil(high / step) - first) };
}
