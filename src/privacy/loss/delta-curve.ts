/** delta as a function of epsilon, from the distribution of a composed loss. */
import { logLargestPart } from "./moments.js";

/** Weighted masses of the losses (first + i) * step, and the numbers that undo the weights. */
export interface ComposedLoss {
  readonly masses: Float64Array;
  readonly first: number;
  readonly step: number;
  readonly theta: number;
  /** log E[e^(theta * loss)]. */
  readonly moment: number;
  /** A bound on the error of the total weighted mass: what the transform folds in from outside, and rounding. */
  readonly error: number;
}

/**
 * The deltas of epsilon = (first + i) * step, for i from 0. Between two of them, delta is linear in e^epsilon, for
 * losses that are multiples of the step.
 */
export interface DeltaCurve {
  readonly first: number;
  readonly step: number;
  readonly deltas: Float64Array;
}

/**
 * delta(epsilon) = E[(1 - e^(epsilon - loss))+] = e^(moment - theta epsilon) E'[(1 - e^(epsilon - loss))+ e^(-theta
 * (loss - epsilon))], where E' is the mean over the weighted masses. `side` is 1 for a bound from above, which includes
 * the whole error, and -1 for one from below.
 */
export function deltaCurve({ masses, first, step, theta, moment, error }: ComposedLoss, side: 1 | -1): DeltaCurve {
  const deltas = new Float64Array(masses.length);
  const allowance = side * error * Math.exp(logLargestPart(theta));
  // Sums, over all losses above an epsilon, of e^(-theta (loss - epsilon)), and of that times e^(epsilon - loss).
  let [all, excess] = [0, 0];
  for (let i = masses.length - 1; i >= 0; i--) {
    const scale = Math.exp(moment - theta * (first + i) * step);
    deltas[i] = scale * (all - excess + allowance);
    const mass = Math.max(0, masses[i] ?? 0);
    all = (all + mass) * Math.exp(-theta * step);
    excess = (excess + mass) * Math.exp(-(theta + 1) * step);
  }
  return { first, step, deltas };
}

/** The smallest epsilon of the curve whose delta is at most `delta`; infinite if there is none. */
export function epsilonAbove(curve: DeltaCurve, delta: number): number {
  const at = curve.deltas.findIndex((each) => each <= delta);
  if (at < 0) return Number.POSITIVE_INFINITY;
  return at === 0 ? curve.first * curve.step : crossing(curve, at - 1, delta);
}

/** The largest epsilon of the curve whose delta is at least `delta`; 0 if there is none. */
export function epsilonBelow(curve: DeltaCurve, delta: number): number {
  const at = curve.deltas.findLastIndex((each) => each > delta);
  if (at < 0) return 0;
  return at === curve.deltas.length - 1 ? (curve.first + at) * curve.step : crossing(curve, at, delta);
}

/** The epsilon, between index `at` and the next, at which delta has this value. */
function crossing({ first, step, deltas }: DeltaCurve, at: number, delta: number): number {
  const [before, after] = [deltas[at] ?? 0, deltas[at + 1] ?? 0];
  // (e^epsilon - e^left) / (e^right - e^left) is the fraction of the way from one delta to the other.
  const part = (before - delta) / (before - after);
  return (first + at) * step + Math.log1p(part * Math.expm1(step));
}

/** The delta of an epsilon on a curve, if the curve covers it. */
export function deltaOf({ first, step, deltas }: DeltaCurve, epsilon: number): number | undefined {
  const at = Math.floor(epsilon / step) - first;
  const [before, after] = [deltas[at], deltas[at + 1]];
  if (before === undefined || after === undefined) return undefined;
  const part = Math.expm1(epsilon - (first + at) * step) / Math.expm1(step);
  return before + Math.min(1, Math.max(0, part)) * (after - before);
}
