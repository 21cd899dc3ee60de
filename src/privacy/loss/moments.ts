/** Moments of the privacy loss of composed mechanisms, and the bounds they give on its tails (Chernoff's bound). */
import type { GaussianLoss } from "./gaussian-loss.js";

export interface Repeated<T> {
  readonly of: T;
  readonly times: number;
}

/** log E[e^(theta Y)] of a sum Y of independent losses, as a function of theta. */
export type LogMoment = (theta: number) => number;

export function logMoment(loss: GaussianLoss, logTail: number): LogMoment {
  const { losses, logP } = loss.nodes(logTail);
  return (theta) => logSumExp(losses, logP, theta);
}

/** The same for a sum of losses, `times[i]` of them with the i-th moments. */
export function sumOf(moments: readonly LogMoment[], times: readonly number[]): LogMoment {
  return (theta) => moments.reduce((sum, moment, i) => sum + (times[i] ?? 0) * moment(theta), 0);
}

/** log sum e^(theta y_i + log p_i). */
export function logSumExp(y: Float64Array, logP: Float64Array, theta: number): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < y.length; i++) largest = Math.max(largest, theta * (y[i] ?? 0) + (logP[i] ?? 0));
  if (largest === Number.NEGATIVE_INFINITY) return largest;
  let sum = 0;
  for (let i = 0; i < y.length; i++) sum += Math.exp(theta * (y[i] ?? 0) + (logP[i] ?? 0) - largest);
  return largest + Math.log(sum);
}

/**
 * The logarithm of the largest value of (1 - e^(epsilon - y)) e^(-theta (y - epsilon)) over all y: what a loss can add
 * to delta, relative to its part in the moment. With it, Chernoff's bound is log delta <= log moment + this - theta *
 * epsilon.
 */
export function logLargestPart(theta: number): number {
  return theta === 0 ? 0 : -theta * Math.log1p(1 / theta) - Math.log1p(theta);
}

export interface Minimum {
  readonly theta: number;
  readonly value: number;
}

/** The smallest epsilon that Chernoff's bound proves for a delta, and its theta. */
export function leastEpsilon(moment: LogMoment, logDelta: number): Minimum {
  return least((theta) => (moment(theta) + logLargestPart(theta) - logDelta) / theta);
}

/** The smallest delta, as a logarithm, that Chernoff's bound proves for an epsilon, and its theta. */
export function leastLogDelta(moment: LogMoment, epsilon: number): Minimum {
  return least((theta) => moment(theta) + logLargestPart(theta) - theta * epsilon);
}

/**
 * Two losses: the sum, weighted by e^(theta y), is below the first or above the second with a probability of at most
 * e^logTail each; and the thetas whose moments prove it.
 */
export interface Window {
  readonly low: number;
  readonly high: number;
  readonly below: number;
  readonly above: number;
}

export function window(moment: LogMoment, theta: number, logTail: number): Window {
  const at = moment(theta);
  const above = least((step) => (moment(theta + step) - at - logTail) / step);
  const below = least((step) => (moment(theta - step) - at - logTail) / step);
  return { low: -below.value, high: above.value, below: theta - below.theta, above: theta + above.theta };
}

/**
 * The minimum of a function of one positive number that first decreases and then increases, to a few parts in a
 * thousand.
 */
function least(f: (theta: number) => number): Minimum {
  let [best, value] = [0, Number.POSITIVE_INFINITY];
  const consider = (log: number) => {
    const found = f(Math.exp(log));
    if (found < value) [best, value] = [log, found];
  };
  for (let log = Math.log(1e-8); log < Math.log(1e6); log += 1) consider(log);
  for (let step = 1 / 2; step > 1e-3; step /= 2) {
    const centre = best;
    consider(centre - step);
    consider(centre + step);
  }
  return { theta: Math.exp(best), value };
}
