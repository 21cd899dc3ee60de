/** What the self-test takes and gives. */
import type { OptionNames } from "../arguments.js";
import type { ObjectiveOptions } from "../compile/objective.js";
import type { Observer } from "../inspect/observe.js";
import { objectiveOptions } from "../program/options.js";
import type { CheckedParameter } from "./comparison.js";
import type { SkippedWant } from "./products.js";
import type { CheckedWant } from "./wants.js";

/** Options of `check`. */
export interface CheckOptions extends ObjectiveOptions {
  /** Samples compared with the loop, taken from the front. Default: all. */
  readonly samples?: number;
  /**
   * Elements of gradients compared with finite differences, in all: spread evenly over the parameters and the
   * samples, and chosen at random. Default: 4 of each parameter, at most 64. Each takes two forward passes of
   * the reference.
   */
  readonly differences?: number;
  /**
   * Whether second derivatives are compared too, in models that are not too large for it: `hvp` and `ggnProduct`, and in
   * small ones the diagonals, the trace, the Jacobian, the ntk and Kronecker factors. Of deep recurrent models that takes several times as
   * long as all else. Default true.
   */
  readonly secondDerivatives?: boolean;
  /** Seed of that choice. Default 0. */
  readonly seed?: number;
  /** Threads that the runtime may use. Default: all cores. */
  readonly threads?: number;
  /** Observes the program that computes the gradients; see the same option of `perSample`. Default: none. */
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

/** What a check found. */
export interface CheckResult {
  /** Each parameter's errors, in the order of the model. */
  readonly parameters: readonly CheckedParameter[];
  /**
   * Every want of gradients, by a program that gives none, against the same in float64 of the loop's gradients; none where
   * one is not finite. And `hvp` and `ggnProduct` with a random vector, diagonals, trace, Jacobian, ntk and Kronecker factors, against the
   * same by ordinary differentiation.
   */
  readonly wants: readonly CheckedWant[];
  /** Wants that were not compared, and why: the model has no second derivative, it is not finite, or it would take too long. */
  readonly skipped: readonly SkippedWant[];
  /** How many samples were compared with the loop. */
  readonly samples: number;
  /** The bounds that errors were held against. Above `rounding`, rounding of float32 leaves hardly a digit right. */
  readonly tolerance: {
    /** Of the program against the loop, relative. */
    readonly loop: number;
    /** Of the loop against finite differences, relative. */
    readonly difference: number;
    /** Above it, rounding leaves hardly a digit right. */
    readonly rounding: number;
  };
  /** Whether no parameter's and no want's cause is a difference. */
  readonly passed: boolean;
}
