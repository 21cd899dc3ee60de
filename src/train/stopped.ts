/** Stops training before a number that is not finite reaches the weights. */
import { PergradError } from "../errors.js";
import { describeNotFinite } from "../program/describe-not-finite.js";
import type { NotFiniteSample } from "../program/not-finite.js";
import { areFinite } from "../tensor/finite.js";
import type { Stepped } from "./optimizer.js";
import type { Trained } from "./types.js";

/** Thrown by `train` and `trainPrivately` when a step fails, with code NOT_FINITE and the training up to that step. */
export class TrainingStopped<T extends Trained<unknown>> extends PergradError {
  constructor(
    message: string,
    /** The training up to the last good step, as it would have been returned. */
    readonly trained: T,
    options?: { readonly cause?: unknown },
  ) {
    super("NOT_FINITE", message, options);
  }
}

/** Throws NOT_FINITE if a step would leave non-finite numbers in the parameters or in the optimizer's state. */
export function requireFiniteStep<S>(step: number, { parameters, state }: Stepped<S>): void {
  const wrong = Object.entries(parameters).find(([, { data }]) => !areFinite(data));
  const where = wrong ? `the parameter "${wrong[0]}"` : isFiniteState(state) ? undefined : "the optimizer's state";
  if (where === undefined) return;
  throw new PergradError(
    "NOT_FINITE",
    `Step ${step} would write numbers that are not finite into ${where}, so it was not taken: they overflow; try a smaller learning rate.`,
  );
}

/** The error of a step whose gradient is not finite. @param samples those whose own are not */
export function stepNotTaken(step: number, samples: readonly NotFiniteSample[]): PergradError {
  const which = samples.length > 0 ? describeNotFinite(samples, false) : "The sum of the gradients is not finite.";
  return new PergradError(
    "NOT_FINITE",
    `Step ${step} was not taken, and the weights stay as they are: ${which.charAt(0).toLowerCase()}${which.slice(1, -1)}; leave such samples out, or try a smaller learning rate.`,
  );
}

/** Whether all arrays and numbers that an optimizer keeps are finite. */
function isFiniteState(state: unknown): boolean {
  if (typeof state === "number") return Number.isFinite(state);
  if (state instanceof Float32Array || state instanceof Float64Array) return areFinite(state);
  if (typeof state !== "object" || state === null || ArrayBuffer.isView(state)) return true;
  return Object.values(state).every(isFiniteState);
}
