/**
 * The privacy loss distribution: the distribution of the privacy loss of all steps together, computed numerically
 * (Koskela, Jalko, Honkela 2020); its accuracy depends only on its grid. The loss of one step is rounded to the grid in
 * two ways: so that it is never too small, and to that of a mechanism which releases less. The first bounds epsilon
 * from above, the second from below.
 */
import FFT from "fft.js";
import { type Direction, GaussianLoss } from "../loss/gaussian-loss.js";
import { Plan, type Target } from "../loss/plan.js";
import {
  checkDelta,
  checkEpsilon,
  composed,
  type GaussianMechanism,
  isNotPrivate,
  type Mechanism,
} from "../mechanism.js";
import { gaussianDelta } from "../special.js";
import { gaussianEpsilon } from "./gdp.js";
import { rdpDelta, rdpEpsilon } from "./rdp.js";

/**
 * Keeps the transform of one step's loss, so that asking again for a few more steps takes a fraction of the time.
 * Answers do not depend on earlier questions.
 */
export class PldAccountant {
  readonly #plans = new Map<Direction, { readonly key: string; readonly plan: Plan }>();
  readonly #transforms = new Map<number, FFT>();

  /** An epsilon that is never too small: (epsilon, delta)-privacy holds. */
  epsilonUpper(mechanisms: readonly Mechanism[], delta: number): number {
    checkDelta(delta);
    const all = composed(mechanisms);
    const known = knownEpsilon(all, delta);
    if (known !== undefined) return known;
    const onGrid = forGrid(all);
    if (onGrid === all) return this.#largest(all, { delta }, (plan, times) => plan.epsilonUpper(times, delta));
    const byRenyi = rdpEpsilon(all, delta).epsilon;
    return onGrid ? Math.min(byRenyi, this.epsilonUpper(onGrid, delta)) : byRenyi;
  }

  /** An epsilon that is never too large: (epsilon, delta)-privacy holds for no smaller one. */
  epsilonLower(mechanisms: readonly Mechanism[], delta: number): number {
    checkDelta(delta);
    const all = composed(mechanisms);
    const known = knownEpsilon(all, delta);
    if (known !== undefined) return known;
    if (forGrid(all) !== all) return 0;
    return this.#largest(all, { delta }, (plan, times) => plan.epsilonLower(times, delta));
  }

  /** A delta that is never too small. */
  deltaUpper(mechanisms: readonly Mechanism[], epsilon: number): number {
    checkEpsilon(epsilon);
    const all = composed(mechanisms);
    const known = knownDelta(all, epsilon);
    if (known !== undefined) return known;
    const onGrid = forGrid(all);
    if (onGrid === all) return this.#largest(all, { epsilon }, (plan, times) => plan.deltaUpper(times, epsilon));
    const byRenyi = rdpDelta(all, epsilon).delta;
    return onGrid ? Math.min(byRenyi, this.deltaUpper(onGrid, epsilon)) : byRenyi;
  }

  /** A delta that is never too large. */
  deltaLower(mechanisms: readonly Mechanism[], epsilon: number): number {
    checkEpsilon(epsilon);
    const all = composed(mechanisms);
    const known = knownDelta(all, epsilon);
    if (known !== undefined) return known;
    if (forGrid(all) !== all) return 0;
    return this.#largest(all, { epsilon }, (plan, times) => plan.deltaLower(times, epsilon));
  }

  #largest(mechanisms: readonly GaussianMechanism[], target: Target, ask: Question): number {
    const times = mechanisms.map(({ steps }) => steps);
    const remove = ask(this.#plan(mechanisms, "remove", target), times);
    const add = this.#plan(mechanisms, "add", target);
    // Adding a sample is often far from the worst case, and costly to compute as exactly.
    return add.simpleBound <= remove ? remove : Math.max(remove, ask(add, times));
  }

  #plan(mechanisms: readonly GaussianMechanism[], direction: Direction, target: Target): Plan {
    const planned = mechanisms.map((each) => ({ ...each, steps: roundedUp(each.steps) }));
    const key = JSON.stringify([planned, target]);
    const known = this.#plans.get(direction);
    if (known?.key === key) return known.plan;
    const losses = planned.map((each) => ({ of: new GaussianLoss(each, direction), times: each.steps }));
    const plan = new Plan(losses, target, (size) => this.#transform(size));
    this.#plans.set(direction, { key, plan });
    return plan;
  }

  #transform(size: number): FFT {
    const known = this.#transforms.get(size) ?? new FFT(size);
    this.#transforms.set(size, known);
    return known;
  }
}

type Question = (plan: Plan, times: readonly number[]) => number;

/** Cases that need no grid. */
function knownEpsilon(mechanisms: readonly GaussianMechanism[], delta: number): number | undefined {
  if (mechanisms.length === 0 || delta === 1) return 0;
  if (isNotPrivate(mechanisms) || delta === 0) return Number.POSITIVE_INFINITY;
  const mu = onlyGaussian(mechanisms);
  return mu === undefined ? undefined : gaussianEpsilon(mu, delta);
}

function knownDelta(mechanisms: readonly GaussianMechanism[], epsilon: number): number | undefined {
  if (mechanisms.length === 0 || epsilon === Number.POSITIVE_INFINITY) return 0;
  if (isNotPrivate(mechanisms)) return 1;
  const mu = onlyGaussian(mechanisms);
  return mu === undefined ? undefined : gaussianDelta(mu, epsilon);
}

/** The range of noise and rates for which a grid can hold the losses, and rounding does not swamp their parts. */
const held = { leastNoise: 1e-3, mostNoise: 1e6, leastRate: 1e-12, mostSteps: 1e8 };

/**
 * The mechanisms themselves if a grid can hold their losses; else less private ones (with less noise or larger rates)
 * whose losses it can hold. Undefined if there are none: epsilon is then in the thousands.
 */
function forGrid(mechanisms: readonly GaussianMechanism[]): readonly GaussianMechanism[] | undefined {
  const steps = mechanisms.reduce((sum, each) => sum + each.steps, 0);
  if (steps > held.mostSteps || mechanisms.some((each) => each.noiseMultiplier < held.leastNoise)) return undefined;
  const others = mechanisms.map((each) => {
    const noiseMultiplier = Math.min(each.noiseMultiplier, held.mostNoise);
    const rate = Math.max(each.samplingRate, held.leastRate);
    const samplingRate = rate > 1 - held.leastRate ? 1 : rate;
    const same = noiseMultiplier === each.noiseMultiplier && samplingRate === each.samplingRate;
    return same ? each : { ...each, noiseMultiplier, samplingRate };
  });
  return others.every((each, i) => each === mechanisms[i]) ? mechanisms : composed(others);
}

/** The sensitivity divided by the noise if everything is one release without subsampling: then the loss is normal. */
function onlyGaussian(mechanisms: readonly GaussianMechanism[]): number | undefined {
  const [first, second] = mechanisms;
  return first?.samplingRate === 1 && second === undefined ? 1 / first.noiseMultiplier : undefined;
}

/** The next larger number of steps for which plans are made: there are four in each power of two. */
function roundedUp(steps: number): number {
  return Math.max(steps, Math.ceil(2 ** (Math.ceil(4 * Math.log2(steps)) / 4)));
}
