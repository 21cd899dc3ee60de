/** Options and results of the self-test. */
import type { OptionNames } from "../arguments.js";
import type { ObjectiveOptions } from "../compile/objective.js";
import type { Observer } from "../inspect/observe.js";
import { objectiveOptions } from "../program/options.js";
import type { CheckedParameter } from "./comparison.js";
import type { SkippedWant } from "./products.js";
import type { CheckedWant } from "./wants.js";

/** Options of `check`. */
export interface CheckOptions extends ObjectiveOptions {
  /** The number of samples compared with the loop, from the first one on. Default: all. */
  readonly samples?: number;
  /**
   * The number of gradient elements compared with finite differences, in all: spread evenly over parameters and
   * samples, and chosen at random. Default: 4 of each parameter, at most 64. Each takes two forward passes of the
   * reference.
   */
  readonly differences?: number;
  /**
   * Whether to compare second derivatives too, if the model is not too large: `hvp` and `ggnProduct`, and for small
   * models the diagonals, the trace, the Jacobian, the ntk and Kronecker factors. For deep recurrent models this takes
   * several times as long as everything else. Default true.
   */
  readonly secondDerivatives?: boolean;
  /** The seed of that choice. Default 0. */
  readonly seed?: number;
  /** Threads that the runtime may use. Default: all cores. */
  readonly threads?: number;
  /** Observes the program that computes the gradients; see the option `observe` of `perSample`. Default: none. */
  readonly observe?: Observer;
  /** Called after each gradient and each finite difference, and once before the first (`done` is 0). Default: no call. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Ends the check before its next sample, and throws the signal's reason. Default: no signal. */
  readonly signal?: AbortSignal;
}

export const checkOptionNames: OptionNames<CheckOptions> = {
  ...objectiveOptions,
  samples: true,
  differences: true,
  secondDerivatives: true,
  seed: true,
  threads: true,
  observe: true,
  onProgress: true,
  signal: true,
};

/** A gradient of one sample that is not finite. */
export interface CheckedNotFinite {
  /** The sample's number, from 0. */
  readonly sample: number;
  /** The parameter's name. */
  readonly parameter: string;
}

/** The result of a check. */
export interface CheckResult {
  /** Each parameter's errors, in the order of the model. */
  readonly parameters: readonly CheckedParameter[];
  /**
   * Every want of gradients, from a program that returns no gradients, compared with the same quantity in float64 of
   * the loop's gradients; empty if a gradient is not finite. Also `hvp` and `ggnProduct` with a random vector,
   * diagonals, trace, Jacobian, ntk and Kronecker factors, compared with ordinary differentiation.
   */
  readonly wants: readonly CheckedWant[];
  /**
   * Wants that were not compared, and why: the model has no second derivative, it is not finite, or it would take too
   * long.
   */
  readonly skipped: readonly SkippedWant[];
  /**
   * Gradients of single samples that are not finite in float64 either: that is the model's doing (a square root at 0, a
   * division by 0). They must be so in the program too, but are not compared with finite differences.
   */
  readonly notFinite: readonly CheckedNotFinite[];
  /** The number of samples compared with the loop. */
  readonly samples: number;
  /** The tolerances. Above `rounding`, float32 rounding leaves hardly a digit right. */
  readonly tolerance: {
    /** For the program against the loop, relative. */
    readonly loop: number;
    /** For the loop against finite differences, relative. */
    readonly difference: number;
    /** Above it, rounding leaves hardly a digit right. */
    readonly rounding: number;
  };
  /** Whether no parameter and no want has the cause "difference". */
  readonly passed: boolean;
}
