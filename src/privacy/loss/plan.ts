/** The distribution of the losses of all steps together, on a grid chosen for one question. */
import type FFT from "fft.js";
import { convolved, Tilted } from "./convolution.js";
import { type ComposedLoss, type DeltaCurve, deltaCurve, deltaOf, epsilonAbove, epsilonBelow } from "./delta-curve.js";
import type { GaussianLoss } from "./gaussian-loss.js";
import { type Grid, type Offset, optimistic, pessimistic } from "./grid.js";
import {
  type LogMoment,
  leastEpsilon,
  leastLogDelta,
  logLargestPart,
  logMoment,
  type Repeated,
  sumOf,
  window,
} from "./moments.js";

/** The known one of epsilon and delta. */
export type Target = { readonly delta: number } | { readonly epsilon: number };

/** The share of delta that may be lost beyond the ends of one step's losses, for all steps together. */
const lostTail = Math.log(1e-12);
/** The share of the weighted mass that may lie outside the transform, on each side. */
const foldedTail = Math.log(1e-13);
/** The probability, relative to delta, with which the grid's offsets may differ by more than allowed for. */
const failure = Math.log(1e-5);
/** The relative change of delta that the grid may cause, or of epsilon if that allows more. */
const tolerance = 1e-5;
/** The most cells into which the losses of one step are cut. */
const maxCells = 2 ** 18;
const sizes = { least: 2 ** 14, most: 2 ** 20 };

/**
 * Serves one direction and target, for numbers of steps up to the one it was made for; it is best if the number is not
 * far below.
 */
export class Plan {
  /** The epsilon, or the delta, that Chernoff's bound alone proves. */
  readonly simpleBound: number;
  readonly #losses: readonly GaussianLoss[];
  readonly #moments: readonly LogMoment[];
  readonly #logTail: number;
  readonly #logDelta: number;
  readonly #theta: number;
  readonly #step: number;
  readonly #fft: FFT;
  #above: readonly Part<{ readonly infinite: number }>[] | undefined;
  #below: readonly Part<{ readonly offset: Offset }>[] | undefined;

  constructor(losses: readonly Repeated<GaussianLoss>[], target: Target, transform: (size: number) => FFT) {
    this.#losses = losses.map(({ of }) => of);
    const times = losses.map((each) => each.times);
    const count = sum(times);
    this.#logDelta = "delta" in target ? Math.log(target.delta) : logDeltaAt(losses, target.epsilon);
    this.#logTail = this.#logDelta + lostTail - Math.log(count);
    this.#moments = this.#losses.map((of) => logMoment(of, this.#logTail));
    const moment = sumOf(this.#moments, times);
    const { theta, value } =
      "delta" in target ? leastEpsilon(moment, this.#logDelta) : leastLogDelta(moment, target.epsilon);
    const epsilon = "delta" in target ? value : target.epsilon;
    this.simpleBound = "delta" in target ? value : Math.exp(value);
    // Weights help for a small delta or many steps. Elsewhere they only widen the distribution.
    const isSafe = Math.log(2 * Math.exp(foldedTail) + rounding(count)) < Math.log(tolerance) + this.#logDelta;
    this.#theta = isSafe ? 0 : theta;
    const { low, high } = window(moment, this.#theta, foldedTail);
    const width = high - low;
    // Connecting the dots multiplies the mean of e^(theta * loss) by at most 1 + theta (theta + 1) step^2 / 8 at each
    // step. If theta is small, the width of the whole counts instead.
    const rate = Math.max(theta, 15 / width);
    const step = Math.sqrt((8 * tolerance * Math.max(1, rate * epsilon)) / (count * rate * (rate + 1)));
    const size = 2 ** Math.ceil(Math.log2(width / step));
    this.#fft = transform(Math.min(sizes.most, Math.max(sizes.least, size)));
    const ranges = this.#losses.map((loss) => loss.range(this.#logTail)).map(([least, most]) => most - least);
    this.#step = Math.max((1.01 * width) / this.#fft.size, Math.max(...ranges) / maxCells);
  }

  /** An epsilon that is never too small. */
  epsilonUpper(times: readonly number[], delta: number): number {
    const { curve, infinite, chernoff } = this.#upper(times);
    const rest = delta - infinite;
    if (rest <= 0) return Number.POSITIVE_INFINITY;
    const bound = this.#theta === 0 ? Number.POSITIVE_INFINITY : (chernoff - Math.log(rest)) / this.#theta;
    return Math.max(0, Math.min(epsilonAbove(curve, rest), bound));
  }

  deltaUpper(times: readonly number[], epsilon: number): number {
    const { curve, infinite, chernoff } = this.#upper(times);
    const bound = Math.exp(chernoff - this.#theta * epsilon);
    return Math.min(1, infinite + Math.min(bound, deltaOf(curve, epsilon) ?? 1));
  }

  /** An epsilon that is never too large. */
  epsilonLower(times: readonly number[], delta: number): number {
    const { curve, shift, lost } = this.#lower(times);
    return Math.max(0, epsilonBelow(curve, delta + lost) + shift);
  }

  deltaLower(times: readonly number[], epsilon: number): number {
    const { curve, shift, lost } = this.#lower(times);
    return Math.max(0, (deltaOf(curve, epsilon - shift) ?? 0) - lost);
  }

  /**
   * Besides the curve: the probability of a loss beyond all, and Chernoff's bound on log delta at epsilon = 0, which is
   * used where the curve does not reach.
   */
  #upper(times: readonly number[]): { curve: DeltaCurve; infinite: number; chernoff: number } {
    this.#above ??= this.#tilted((loss) => pessimistic(loss, this.#step, this.#logTail));
    const composed = this.#composed(this.#above, times, 0);
    const infinite = sum(this.#above.map(({ grid }, i) => (times[i] ?? 0) * grid.infinite));
    return { curve: deltaCurve(composed, 1), infinite, chernoff: composed.moment + logLargestPart(this.#theta) };
  }

  /**
   * A curve of the losses rounded to the grid. By Bernstein's inequality, all true losses together are at least these
   * plus `shift`, except with a probability of `lost`: their offsets are independent, have known mean and variance, and
   * are never far below the mean.
   */
  #lower(times: readonly number[]): { curve: DeltaCurve; shift: number; lost: number } {
    this.#below ??= this.#tilted((loss) => optimistic(loss, this.#step, this.#logTail));
    const offsets = this.#below.map(({ grid }) => grid.offset);
    const mean = sum(offsets.map((each, i) => (times[i] ?? 0) * each.mean));
    const variance = sum(offsets.map((each, i) => (times[i] ?? 0) * each.variance));
    const most = -(this.#logDelta + failure);
    const far = (Math.max(...offsets.map(({ below }) => below)) * most) / 3;
    const likely = far + Math.sqrt(far * far + 2 * variance * most);
    // For few steps, the sum of the steps' largest possible shortfalls is smaller.
    const sure = sum(offsets.map(({ below }, i) => (times[i] ?? 0) * below));
    const shift = mean - Math.min(likely, sure);
    return { curve: deltaCurve(this.#composed(this.#below, times, mean), -1), shift, lost: Math.exp(-most) };
  }

  #tilted<G extends Grid>(discretise: (loss: GaussianLoss) => G): readonly Part<G>[] {
    return this.#losses.map((loss) => {
      const grid = discretise(loss);
      return { grid, tilted: new Tilted(grid, this.#theta, this.#fft) };
    });
  }

  /** The distribution of losses that are, on average, `offset` below those of the mechanisms. */
  #composed(parts: readonly Part<object>[], times: readonly number[], offset: number): ComposedLoss {
    const { low, high, below, above } = window(sumOf(this.#moments, times), this.#theta, foldedTail);
    const step = this.#step;
    const first = Math.floor(((low + high) / 2 - offset) / step) - this.#fft.size / 2;
    const last = first + this.#fft.size - 1;
    const moments = parts.map(
      ({ tilted }) =>
        (theta: number) =>
          tilted.logMoment(theta),
    );
    const moment = sumOf(moments, times);
    const at = moment(this.#theta);
    // Masses outside are folded in; Chernoff's bound limits them to this.
    const outside =
      Math.exp(moment(above) - at - (above - this.#theta) * last * step) +
      Math.exp(moment(below) - at + (this.#theta - below) * first * step);
    const repeated = parts.map(({ tilted }, i) => ({ of: tilted, times: times[i] ?? 0 }));
    return {
      masses: convolved(repeated, first, this.#fft),
      first,
      step,
      theta: this.#theta,
      moment: at,
      error: outside + rounding(sum(times)),
    };
  }
}

type Part<G> = { readonly grid: G; readonly tilted: Tilted };

/**
 * A bound on the error of a composed distribution, as a share of all mass: a power of the transform errs by the
 * rounding of as many products, and each of its sums by the rounding of its depth. This is some thirty times the error
 * seen.
 */
function rounding(steps: number): number {
  return 30 * Number.EPSILON * (steps + 4 * Math.log2(sizes.most));
}

/**
 * The logarithm of delta at an epsilon by Chernoff's bound; at most that of 1, and at least that of the smallest
 * number.
 */
function logDeltaAt(losses: readonly Repeated<GaussianLoss>[], epsilon: number): number {
  const moments = losses.map(({ of }) => logMoment(of, -1000));
  const times = losses.map((each) => each.times);
  return Math.min(0, Math.max(-700, leastLogDelta(sumOf(moments, times), epsilon).value));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
