/**
 * Gaussian differential privacy (Dong, Roth, Su 2019): all steps together are compared with one Gaussian release of
 * sensitivity `mu` and noise 1. Without subsampling, this is exact. With subsampling, it is the limit of many steps of
 * little privacy loss each (Bu, Dong, Long, Su 2020): an approximation that may be below the true epsilon, so it is for
 * comparison only.
 */
import { bisect } from "../bisect.js";
import { composed, type GaussianMechanism, isNotPrivate, type Mechanism } from "../mechanism.js";
import { gaussianDelta } from "../special.js";

export function gdpEpsilon(mechanisms: readonly Mechanism[], delta: number): number {
  return gaussianEpsilon(mu(composed(mechanisms)), delta);
}

export function gdpDelta(mechanisms: readonly Mechanism[], epsilon: number): number {
  const sensitivity = mu(composed(mechanisms));
  return sensitivity === Number.POSITIVE_INFINITY ? 1 : gaussianDelta(sensitivity, epsilon);
}

/** The smallest epsilon of a Gaussian release of sensitivity mu and noise 1. */
export function gaussianEpsilon(mu: number, delta: number): number {
  if (mu === 0 || delta === 1) return 0;
  if (mu === Number.POSITIVE_INFINITY || delta === 0) return Number.POSITIVE_INFINITY;
  if (gaussianDelta(mu, 0) <= delta) return 0;
  return bisect((epsilon) => gaussianDelta(mu, epsilon) <= delta, 0, mu);
}

/** Roughly the noise multiplier that an epsilon requires: where to start the search. */
export function gdpNoise(
  epsilon: number,
  delta: number,
  { samplingRate: q, steps }: Pick<GaussianMechanism, "samplingRate" | "steps">,
): number {
  const most = bisect((sensitivity) => gaussianDelta(sensitivity, epsilon) > delta, 0, 1, 1e-6);
  const perStep = most / (q * Math.sqrt(steps));
  return q === 1 ? 1 / perStep : 1 / Math.sqrt(Math.log1p(perStep * perStep));
}

function mu(mechanisms: readonly GaussianMechanism[]): number {
  if (isNotPrivate(mechanisms)) return Number.POSITIVE_INFINITY;
  return Math.sqrt(mechanisms.reduce((sum, each) => sum + each.steps * squareOfOneStep(each), 0));
}

/** Bu et al. 2020, corollary 5 (Poisson sampling): mu = q sqrt(steps * (e^(1 / s^2) - 1)). */
function squareOfOneStep({ noiseMultiplier: s, samplingRate: q }: GaussianMechanism): number {
  return q === 1 ? 1 / (s * s) : q * q * Math.expm1(1 / (s * s));
}
