/** Compares programs with the float64 loop, and finds which of their errors are rounding. */

import type { Objective } from "../compile/objective.js";
import type { RuntimeOptions } from "../target/runtime.js";
import type { Data } from "../tensor/data.js";
import { Alone } from "./alone.js";

/**
 * Why a program differs from the loop. "rounding": float32 rounding, however large, that the ordinary gradient of the
 * sample alone shows as well (in a sum whose terms cancel, say). "difference": anything else, a fault of pergrad or
 * numbers that are not finite in float32.
 */
export type Cause = "rounding" | "difference";

/** How far one parameter's per-sample gradients are from the loop over samples. */
export interface CheckedParameter {
  /** The parameter's name. */
  readonly parameter: string;
  /**
   * max |program - loop| in `worstSample`, divided by max |loop| over all samples compared (or by a thousandth of the
   * largest of any parameter, if that is more).
   */
  readonly loopError: number;
  /**
   * The sample in which the program differs most from the loop; if rounding explains only some samples, the worst of
   * the others.
   */
  readonly worstSample: number;
  /** max |loop - finite difference| divided by max |loop|, over the elements that were tried; absent if none were. */
  readonly differenceError?: number;
  /**
   * How many of the elements that were tried lie exactly on a kink of the loss, as a bias of 0 does where a Relu sees
   * nothing but zeros: the loss has no derivative there, and nothing is compared. Absent if none does.
   */
  readonly kinks?: number;
  /** Present if an error is above its tolerance. Rounding alone does not fail a check. */
  readonly cause?: Cause;
  /**
   * The error, measured in the same way, of the float32 gradient of `worstSample` computed alone and without per-sample
   * code: the largest of a few computations in which data and parameters are moved in the last bit. Present if
   * `loopError` is above its tolerance.
   */
  readonly aloneError?: number;
  /**
   * The sum of absolute values of the gradient's terms, divided by max |loop|: how much larger the terms are than the
   * gradient. Present if `aloneError` is; 1 or less if the gradient is not recognisable as a sum.
   */
  readonly cancellation?: number;
}

/**
 * The relative error allowed between a float32 program and the float64 loop, and between the loop and finite
 * differences. Above `rounding` hardly a digit is right: such rounding is still no fault, but it is reported.
 */
export const tolerance = { loop: 1e-4, difference: 1e-4, rounding: 1e-2 };

/** Rounding explains an error of up to this many times that of the gradient alone: two roundings differ by chance. */
const roundingFactor = 2;

/**
 * The most times that the gradient of a sample alone is computed. Many roundings are tried before anything is called a
 * fault: one computation in several may round as badly, or break a tie between two maxima differently.
 */
export const draws = 16;

/**
 * A gradient that is identically zero (a bias before a normalisation) consists of rounding errors only, which have no
 * relative size: errors are measured against at least this share of the model's largest gradient.
 */
const vanishing = 1e-3;

/** A sample in which the program is further from the loop than the tolerance. Differences are absolute. */
interface Beyond {
  readonly sample: number;
  readonly difference: number;
  alone: number;
  contributions: number;
}

/** The errors of one parameter's gradients, as far as they are known. */
export class ParameterErrors {
  scale = 0;
  difference = 0;
  worst = 0;
  /** Undefined if none was tried. */
  finiteDifference: number | undefined;
  kinks = 0;
  readonly beyond: Beyond[] = [];

  constructor(readonly parameter: string) {}

  see(sample: number, difference: number, largest: number): void {
    this.scale = Math.max(this.scale, largest);
    if (difference <= this.difference) return;
    this.difference = difference;
    this.worst = sample;
  }

  /** @param error null at a kink */
  seeDifference(error: number | null): void {
    if (error === null) {
      this.kinks++;
      return;
    }
    this.finiteDifference = Math.max(this.finiteDifference ?? 0, error);
  }

  /** @param scale what errors are relative to */
  result(scale: number): CheckedParameter {
    const own: CheckedParameter = {
      parameter: this.parameter,
      loopError: relative(this.difference, scale),
      worstSample: this.worst,
      ...(this.finiteDifference === undefined ? {} : { differenceError: relative(this.finiteDifference, scale) }),
      ...(this.kinks > 0 ? { kinks: this.kinks } : {}),
    };
    const wrong = (own.differenceError ?? 0) > tolerance.difference ? ({ cause: "difference" } as const) : {};
    // Later samples may have raised the scale, so that this is no longer above the tolerance.
    const beyond = this.beyond.filter(({ difference }) => relative(difference, scale) > tolerance.loop);
    const unexplained = beyond.filter((each) => !isRounding(each));
    const [worst] = (unexplained.length > 0 ? unexplained : beyond).sort((a, b) => b.difference - a.difference);
    if (!worst) return { ...own, ...wrong };
    return {
      ...own,
      loopError: relative(worst.difference, scale),
      worstSample: worst.sample,
      cause: unexplained.length > 0 ? "difference" : "rounding",
      ...wrong,
      aloneError: relative(worst.alone, scale),
      cancellation: relative(worst.contributions, scale),
    };
  }
}

/** Whether the value computed alone is as far off. Non-finite values are not rounding. */
export function isRounding({ alone, difference }: { readonly alone: number; readonly difference: number }): boolean {
  return Number.isFinite(difference) && difference <= roundingFactor * alone;
}

/**
 * A program rounds many more numbers than the data and parameters, and in the same direction if samples are alike, so
 * its error may be this many times the change that moving those causes. A real fault is thousands of times larger.
 */
const ownFactor = 10;

/** Whether the result moves by about as much as its error if data and parameters are moved in the last bits. */
export function isOwnRounding(error: number, ownRounding: number): boolean {
  return Number.isFinite(error) && error <= ownFactor * ownRounding;
}

export function relative(difference: number, scale: number): number {
  return difference === 0 ? 0 : difference / (scale || 1);
}

/** max |actual - expected|, with `actual` read from `offset` on. Infinite if exactly one of the two is NaN. */
export function furthest(actual: ArrayLike<number>, expected: ArrayLike<number>, offset = 0): number {
  let most = 0;
  for (let i = 0; i < expected.length; i++) {
    const [a, b] = [actual[offset + i] ?? 0, expected[i] as number];
    if (Object.is(a, b)) continue;
    const difference = Math.abs(a - b);
    most = Math.max(most, Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference);
  }
  return most;
}

export function largestFinite(array: Float64Array): number {
  return array.reduce((most, x) => (Number.isFinite(x) ? Math.max(most, Math.abs(x)) : most), 0);
}

/** Gradients of single samples alone, from a program that is compiled when it is first needed. */
export class AloneOnDemand {
  #compiled: Alone | undefined;

  constructor(
    private readonly objective: Objective,
    private readonly data: Readonly<Record<string, Data>>,
    private readonly options: RuntimeOptions,
  ) {}

  async sample(n: number, draw: number): ReturnType<Alone["sample"]> {
    this.#compiled ??= await Alone.compile(this.objective, this.data, this.options);
    return this.#compiled.sample(n, draw);
  }

  async release(): Promise<void> {
    await this.#compiled?.release();
  }
}

/** A parameter's gradient in a whole batch, and the loop's for one sample. */
interface Pair {
  readonly actual: ArrayLike<number>;
  readonly expected: Float64Array;
}

/** Compares a program with the loop, sample by sample. */
export class LoopComparison {
  constructor(
    private readonly compared: readonly ParameterErrors[],
    readonly alone: AloneOnDemand,
  ) {}

  /** The scale of a parameter's errors, as far as the samples so far show it. */
  scaleOf({ scale }: ParameterErrors): number {
    return Math.max(scale, vanishing * this.compared.reduce((most, each) => Math.max(most, each.scale), 0));
  }

  async add(n: number, pairOf: (parameter: string) => Pair): Promise<void> {
    const found = this.compared.map((each) => {
      const { actual, expected } = pairOf(each.parameter);
      const difference = furthest(actual, expected, n * expected.length);
      each.see(n, difference, largestFinite(expected));
      return { each, difference, expected };
    });
    const beyond = found.filter(({ each, difference }) => relative(difference, this.scaleOf(each)) > tolerance.loop);
    const entries = beyond.map(({ each, difference, expected }) => {
      const entry: Beyond = { sample: n, difference, alone: 0, contributions: 0 };
      each.beyond.push(entry);
      return { parameter: each.parameter, expected, entry };
    });
    for (let draw = 0; draw < draws && !entries.every(({ entry }) => isRounding(entry)); draw++) {
      const gradients = await this.alone.sample(n, draw);
      for (const { parameter, expected, entry } of entries) {
        const own = gradients.get(parameter);
        if (!own) continue;
        entry.alone = Math.max(entry.alone, furthest(own.gradient, expected));
        entry.contributions = Math.max(entry.contributions, own.contributions);
      }
    }
  }
}
