/** The mechanisms whose privacy can be accounted for, and their composition. */
import { PergradError } from "../errors.js";

/**
 * Steps of private training. Each step includes every sample with probability `samplingRate`, independently (Poisson
 * sampling), sums their gradients, clipped to norm C, and adds Gaussian noise of standard deviation `noiseMultiplier` *
 * C. Neighbouring datasets differ by one added or removed sample.
 */
export interface GaussianMechanism {
  /** Gaussian noise on a sum over a Poisson sample, `steps` times. */
  readonly kind: "gaussian";
  /**
   * The standard deviation of the noise divided by the sensitivity of the sum, from 0 up. 0 gives no privacy at all.
   */
  readonly noiseMultiplier: number;
  /**
   * The probability that a sample takes part in a step, from 0 to 1; 1 means that every step uses the whole dataset.
   */
  readonly samplingRate: number;
  /** How many times it is used, a whole number from 0 up. */
  readonly steps: number;
}

/** What a training spends privacy on. */
export type Mechanism = GaussianMechanism;

/**
 * The mechanisms with repetitions combined in `steps`, in a canonical order, without those that reveal nothing.
 * Releases of the whole dataset's sum are combined into one release with less noise: Gaussian releases of noise s_i
 * compose to one of noise (sum 1 / s_i^2)^(-1/2) (Dong, Roth, Su 2019, corollary 3.3).
 *
 * @throws PergradError INVALID_ARGUMENT
 */
export function composed(mechanisms: readonly Mechanism[]): readonly GaussianMechanism[] {
  const steps = new Map<number, Map<number, number>>();
  let precision = 0;
  for (const mechanism of mechanisms) {
    checkMechanism(mechanism);
    const { noiseMultiplier, samplingRate } = mechanism;
    if (mechanism.steps === 0 || samplingRate === 0) continue;
    if (noiseMultiplier === 0) return [{ ...mechanism, steps: 1 }];
    if (samplingRate === 1) {
      precision += mechanism.steps / noiseMultiplier ** 2;
      continue;
    }
    const ofRate = steps.get(samplingRate) ?? new Map<number, number>();
    steps.set(samplingRate, ofRate.set(noiseMultiplier, (ofRate.get(noiseMultiplier) ?? 0) + mechanism.steps));
  }
  const subsampled = [...steps].flatMap(([samplingRate, ofRate]) =>
    [...ofRate].map(([noiseMultiplier, count]) => gaussian(noiseMultiplier, samplingRate, count)),
  );
  subsampled.sort((a, b) => a.samplingRate - b.samplingRate || a.noiseMultiplier - b.noiseMultiplier);
  return precision === 0 ? subsampled : [gaussian(1 / Math.sqrt(precision), 1, 1), ...subsampled];
}

/** Whether a release has no noise at all, so that every epsilon is infinite. */
export function isNotPrivate(mechanisms: readonly GaussianMechanism[]): boolean {
  return mechanisms.some(({ noiseMultiplier }) => noiseMultiplier === 0);
}

function gaussian(noiseMultiplier: number, samplingRate: number, steps: number): GaussianMechanism {
  return { kind: "gaussian", noiseMultiplier, samplingRate, steps };
}

function checkMechanism({ kind, noiseMultiplier, samplingRate, steps }: Mechanism): void {
  if (kind !== "gaussian") {
    throw new PergradError(
      "INVALID_ARGUMENT",
      `There is no accounting for a mechanism of kind ${JSON.stringify(kind)}; use "gaussian".`,
    );
  }
  if (!(noiseMultiplier >= 0 && noiseMultiplier < Number.POSITIVE_INFINITY)) {
    throw outOfRange("noise multiplier", noiseMultiplier, "a number from 0 up");
  }
  if (!(samplingRate >= 0 && samplingRate <= 1)) throw outOfRange("sampling rate", samplingRate, "from 0 to 1");
  if (!Number.isSafeInteger(steps) || steps < 0) throw outOfRange("number of steps", steps, "a whole number from 0 up");
}

export function outOfRange(what: string, value: number, range: string): PergradError {
  return new PergradError("INVALID_ARGUMENT", `The ${what} is ${value}; it must be ${range}.`);
}

export function checkDelta(delta: number): void {
  if (!(delta >= 0 && delta <= 1)) throw outOfRange("delta", delta, "from 0 to 1");
}

export function checkEpsilon(epsilon: number): void {
  if (!(epsilon >= 0)) throw outOfRange("epsilon", epsilon, "a number from 0 up");
}
