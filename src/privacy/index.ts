/** The privacy cost of private training, and the noise that a level of privacy needs. */

import { checkOptions, invalidArgument, kindOf, type OptionNames } from "../arguments.js";
import { PergradError } from "../errors.js";
import { gdpDelta, gdpEpsilon, gdpNoise } from "./accountants/gdp.js";
import { PldAccountant } from "./accountants/pld.js";
import { rdpDelta, rdpEpsilon } from "./accountants/rdp.js";
import { falling } from "./bisect.js";
import { checkDelta, checkEpsilon, type Mechanism, outOfRange } from "./mechanism.js";

export { renyiDivergence } from "./accountants/rdp.js";
export type { GaussianMechanism, Mechanism } from "./mechanism.js";
export { PldAccountant };

/**
 * The accountant of privacy. "pld", the privacy loss distribution: within a few parts in 10,000 of the true value,
 * never too small. "rdp", Rényi divergence: never too small either, but larger, by a tenth or, if privacy is
 * lost rarely but all at once, by several times. "gdp", Gaussian differential privacy: for comparison only, because with
 * subsampling it is an approximation that may be too small.
 */
export type Accountant = "pld" | "rdp" | "gdp";

/** Which accountant computes. */
export interface AccountantOptions {
  /** Default: "pld". */
  readonly accountant?: Accountant;
  /** The orders that "rdp" tries, each above 1. Default: 173 orders from 1.01 to 1024. */
  readonly orders?: readonly number[];
}

const accountantOptions: OptionNames<AccountantOptions> = { accountant: true, orders: true };

/** Throws INVALID_ARGUMENT. */
function requireMechanisms(given: readonly Mechanism[]): void {
  if (Array.isArray(given)) return;
  throw invalidArgument(
    `The mechanisms must be an array, not ${kindOf(given)}; give [{ kind: "gaussian", noiseMultiplier, samplingRate, steps }].`,
  );
}

/** Options of `epsilon`. */
export interface EpsilonOptions extends AccountantOptions {
  /** A probability from 0 to 1; choose it well below one over the number of samples. */
  readonly delta: number;
}

/**
 * The epsilon for which using all the mechanisms on one dataset is (epsilon, delta)-private, for neighbouring datasets
 * that differ by one added or removed sample. Infinite if there is none.
 *
 * @throws PergradError INVALID_ARGUMENT
 */
export function epsilon(mechanisms: readonly Mechanism[], options: EpsilonOptions): number {
  return epsilonDetails(mechanisms, options).upper;
}

/** Bounds on epsilon. */
export interface EpsilonDetails {
  /** The result of `epsilon`; with "gdp" only an estimate. */
  readonly upper: number;
  /** With "pld", an epsilon that is never too large: privacy holds for no smaller one. */
  readonly lower?: number;
  /** With "rdp", the order that proves it. */
  readonly order?: number;
}

/**
 * The same, with the accountant's further results. `lower` is computed when it is read.
 * @throws PergradError INVALID_ARGUMENT: a mechanism, `delta` or an order is out of range.
 */
export function epsilonDetails(mechanisms: readonly Mechanism[], options: EpsilonOptions): EpsilonDetails {
  return epsilonBy(new PldAccountant(), mechanisms, options);
}

/** The same, by this accountant of privacy losses, which keeps its transforms from one question to the next. */
function epsilonBy(pld: PldAccountant, mechanisms: readonly Mechanism[], options: EpsilonOptions): EpsilonDetails {
  requireMechanisms(mechanisms);
  checkOptions("privacy.epsilon(mechanisms, options)", options, { ...accountantOptions, delta: true });
  const { delta, accountant = "pld", orders } = options;
  checkDelta(delta);
  if (accountant === "gdp") return { upper: gdpEpsilon(mechanisms, delta) };
  if (accountant === "rdp") {
    const { epsilon: upper, ...order } = rdpEpsilon(mechanisms, delta, orders);
    return { upper, ...order };
  }
  return {
    upper: pld.epsilonUpper(mechanisms, delta),
    get lower() {
      return pld.epsilonLower(mechanisms, delta);
    },
  };
}

/** Options of `delta`. */
export interface DeltaOptions extends AccountantOptions {
  /** From 0 up. */
  readonly epsilon: number;
}

/**
 * The delta for which using all the mechanisms on one dataset is (epsilon, delta)-private.
 *
 * @throws PergradError INVALID_ARGUMENT
 */
export function delta(mechanisms: readonly Mechanism[], options: DeltaOptions): number {
  requireMechanisms(mechanisms);
  checkOptions("privacy.delta(mechanisms, options)", options, { ...accountantOptions, epsilon: true });
  const { epsilon, accountant = "pld", orders } = options;
  checkEpsilon(epsilon);
  if (accountant === "gdp") return gdpDelta(mechanisms, epsilon);
  if (accountant === "rdp") return rdpDelta(mechanisms, epsilon, orders).delta;
  return new PldAccountant().deltaUpper(mechanisms, epsilon);
}

/** The range in which a noise multiplier is searched: beyond it the accountants' answers do not change. */
const [leastNoise, largestNoise] = [1e-150, 1e150];

/** Options of `noiseMultiplierFor`. */
export interface NoiseOptions extends AccountantOptions {
  /** "gdp" may underestimate, so it must not choose the noise. Default: "pld". */
  readonly accountant?: Exclude<Accountant, "gdp">;
  /** Above 0. */
  readonly targetEpsilon: number;
  /** A probability from 0 to 1; choose it well below one over the number of samples. */
  readonly delta: number;
  /** The probability that a sample takes part in a step, from 0 to 1. */
  readonly samplingRate: number;
  /** The number of steps, from 0 up. */
  readonly steps: number;
}

const noiseOptions: OptionNames<NoiseOptions> = {
  ...accountantOptions,
  targetEpsilon: true,
  delta: true,
  samplingRate: true,
  steps: true,
};

/**
 * The smallest noise multiplier, to a relative 5e-5, with which `steps` steps are (targetEpsilon, delta)-private
 * according to `epsilon`, which never exceeds the target for the result. Infinite if the accountant proves it for no
 * noise at all.
 *
 * @throws PergradError INVALID_ARGUMENT
 */
export function noiseMultiplierFor(options: NoiseOptions): number {
  checkOptions("privacy.noiseMultiplierFor(options)", options, noiseOptions);
  const { targetEpsilon, samplingRate, steps, accountant = "pld", ...rest } = options;
  if (!(targetEpsilon > 0)) throw outOfRange("target epsilon", targetEpsilon, "above 0");
  if (!["pld", "rdp"].includes(accountant)) {
    throw new PergradError("INVALID_ARGUMENT", `"${accountant}" cannot choose the noise; use "pld" or "rdp".`);
  }
  const pld = new PldAccountant();
  const of = (noiseMultiplier: number) =>
    epsilonBy(pld, [{ kind: "gaussian", noiseMultiplier, samplingRate, steps }], { ...rest, accountant }).upper;
  if (of(0) <= targetEpsilon) return 0;
  if (rest.delta === 0) return Number.POSITIVE_INFINITY;
  return falling(of, targetEpsilon, {
    least: leastNoise,
    largest: largestNoise,
    guess: gdpNoise(targetEpsilon, rest.delta, { samplingRate, steps }),
    tolerance: 5e-5,
  });
}
