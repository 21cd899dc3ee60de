/** The privacy loss of one step of the subsampled Gaussian mechanism. */
import type { GaussianMechanism } from "../mechanism.js";
import { normalCdf } from "../special.js";

/**
 * "remove" compares the release of the dataset with the sample to the one without it; "add" is the other direction. A
 * guarantee needs both (Zhu, Dong, Wang 2022).
 */
export type Direction = "remove" | "add";

/** Probabilities of the same event: P under the dataset that is released, Q under its neighbour. */
export interface Masses {
  readonly p: Float64Array;
  readonly q: Float64Array;
}

/**
 * The privacy loss log(P / Q) of an outcome x of the noisy sum, in units of the sensitivity: without the sample, x
 * follows N(0, s^2); with it, (1 - q) N(0, s^2) + q N(1, s^2). The loss is monotone in x, so an interval of losses is
 * an interval of outcomes.
 */
export class GaussianLoss {
  constructor(
    readonly mechanism: GaussianMechanism,
    readonly direction: Direction,
  ) {}

  /** Two losses: below the first, and above the second, the probability under P is at most e^logTail. */
  range(logTail: number): readonly [number, number] {
    const [low, high] = this.#outcomes(logTail);
    const ends = [this.#loss(low), this.#loss(high)] as const;
    return this.direction === "remove" ? ends : [ends[1], ends[0]];
  }

  /**
   * Outcomes spread evenly over that range, as their losses and the logarithms of their probabilities under P, close
   * enough that sums over them are nearly integrals.
   */
  nodes(logTail: number): { readonly losses: Float64Array; readonly logP: Float64Array } {
    const { noiseMultiplier: s, samplingRate: q } = this.mechanism;
    const [low, high] = this.#outcomes(logTail);
    const count = Math.ceil((8 * (high - low)) / s) + 1;
    const step = (high - low) / (count - 1);
    const losses = new Float64Array(count);
    const logP = new Float64Array(count);
    for (let k = 0; k < count; k++) {
      const x = low + k * step;
      const without = Math.exp((-x * x) / (2 * s * s));
      const withIt = (1 - q) * without + q * Math.exp((-(x - 1) * (x - 1)) / (2 * s * s));
      losses[k] = this.#loss(x);
      logP[k] = Math.log(((this.direction === "remove" ? withIt : without) * step) / (s * Math.sqrt(2 * Math.PI)));
    }
    return { losses, logP };
  }

  /**
   * The masses of the losses below `start`, of the `count` cells of width `step` from there up, and of the losses
   * above: count + 2 each.
   */
  masses(start: number, step: number, count: number): Masses {
    const { noiseMultiplier: s, samplingRate: q } = this.mechanism;
    const without = new Float64Array(count + 2);
    const withIt = new Float64Array(count + 2);
    let x = this.#outcome(Number.NEGATIVE_INFINITY);
    let [tail, shiftedTail] = [0, 0];
    for (let k = 0; k < count + 2; k++) {
      const end = this.#outcome(k > count ? Number.POSITIVE_INFINITY : start + k * step);
      const endTail = normalTail(end / s);
      const endShiftedTail = normalTail((end - 1) / s);
      const mass = between(x, tail, end, endTail);
      without[k] = mass;
      withIt[k] = (1 - q) * mass + q * between(x - 1, shiftedTail, end - 1, endShiftedTail);
      x = end;
      tail = endTail;
      shiftedTail = endShiftedTail;
    }
    return this.direction === "remove" ? { p: withIt, q: without } : { p: without, q: withIt };
  }

  /** The loss of an outcome. */
  #loss(x: number): number {
    const { noiseMultiplier: s, samplingRate: q } = this.mechanism;
    const log = (2 * x - 1) / (2 * s * s);
    // log(1 - q + q e^log), accurate near 0 and where e^log overflows.
    const loss = log < 30 ? Math.log1p(q * Math.expm1(log)) : log + Math.log(q + (1 - q) * Math.exp(-log));
    return this.direction === "remove" ? loss : -loss;
  }

  /** The outcome for a loss; infinite for a loss that no outcome reaches. */
  #outcome(loss: number): number {
    const { noiseMultiplier: s, samplingRate: q } = this.mechanism;
    const y = this.direction === "remove" ? loss : -loss;
    if (y <= Math.log1p(-q)) return Number.NEGATIVE_INFINITY;
    if (y === Number.POSITIVE_INFINITY) return y;
    const log = y < 30 ? Math.log1p(Math.expm1(y) / q) : y + Math.log1p((q - 1) * Math.exp(-y)) - Math.log(q);
    return s * s * log + 0.5;
  }

  /** Two outcomes: beyond either, P has a probability of at most e^logTail, since P(X > w) < e^(-w^2 / 2) / 2. */
  #outcomes(logTail: number): readonly [number, number] {
    const width = this.mechanism.noiseMultiplier * Math.sqrt(-2 * logTail);
    return [-width, (this.direction === "remove" ? 1 : 0) + width];
  }
}

/** The probability that a standard normal variable is on the same side of 0 as x, and further out. */
function normalTail(x: number): number {
  return normalCdf(-Math.abs(x));
}

/** The probability between two outcomes, on either side of 0 or on the same side, from their tail probabilities. */
function between(a: number, tailOfA: number, b: number, tailOfB: number): number {
  return a < 0 === b < 0 ? Math.abs(tailOfA - tailOfB) : 1 - tailOfA - tailOfB;
}
