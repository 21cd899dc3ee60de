/** Optimizers: plain functions from parameters, gradients and state to new parameters and state. */
import { invalidArgument, kindOf } from "../arguments.js";
import { PergradError } from "../errors.js";
import type { Tensor } from "../tensor/tensor.js";

export type Arrays = Readonly<Record<string, Float32Array>>;
/** Tensors by the names of the parameters, `[...shape]` each. */
export type Parameters = Readonly<Record<string, Tensor<"float32">>>;

export interface Stepped<S> {
  readonly parameters: Parameters;
  readonly state: S;
}

/** An optimizer: two pure functions. A parameter without a gradient stays as it is. */
export interface Optimizer<S> {
  /** The state before the first step. */
  start(parameters: Parameters): S;
  /** Throws MISSING_TENSOR (a gradient of no parameter), SHAPE_MISMATCH, INVALID_ARGUMENT (another optimizer's state). */
  step(parameters: Parameters, gradients: Parameters, state: S): Stepped<S>;
}

/** A number, or a function of the number of steps taken so far; `schedules` has the usual ones. */
export type LearningRate = number | ((step: number) => number);

/** Throws INVALID_ARGUMENT unless the option holds. NaN never holds. */
export function need(name: string, value: number, holds: boolean, range: string): void {
  if (!holds) throw new PergradError("INVALID_ARGUMENT", `${name} is ${value}; it must be ${range}.`);
}

/** The rate of one step. A schedule may end at 0. */
export function rateAt(learningRate: LearningRate, step: number): number {
  const given: unknown = learningRate;
  if (typeof given !== "number" && typeof given !== "function")
    throw invalidArgument(`learningRate must be a number, or a function of the step, not ${kindOf(given)}.`);
  const rate = typeof learningRate === "number" ? learningRate : learningRate(step);
  need("learningRate", rate, rate >= 0 && rate < Number.POSITIVE_INFINITY, "a finite number from 0 up");
  return rate;
}

export function needDecay(name: string, decay: number): void {
  need(name, decay, decay >= 0 && decay < 1, "at least 0 and below 1");
}

export function needWeightDecay(decay: number): void {
  need("weightDecay", decay, decay >= 0 && decay < Number.POSITIVE_INFINITY, "a finite number from 0 up");
}

export function mapArrays(
  of: Parameters,
  f: (tensor: Tensor<"float32">, name: string) => Float32Array,
): Record<string, Float32Array> {
  return Object.fromEntries(Object.entries(of).map(([name, tensor]) => [name, f(tensor, name)]));
}

export const zerosLike = (of: Parameters) => mapArrays(of, ({ data }) => new Float32Array(data.length));

export function checkGradients(parameters: Parameters, gradients: Parameters): void {
  for (const [name, { dims }] of Object.entries(gradients)) {
    const own = parameters[name];
    if (!own)
      throw new PergradError(
        "MISSING_TENSOR",
        `There is a gradient of "${name}", but no such parameter; leave it out, or correct its name.`,
      );
    if (own.dims.length === dims.length && own.dims.every((dim, axis) => dim === dims[axis])) continue;
    throw new PergradError(
      "SHAPE_MISMATCH",
      `The gradient of "${name}" is [${dims.join(", ")}], but the parameter is [${own.dims.join(", ")}]; give that shape.`,
    );
  }
}

/** A fresh copy of what the state holds for a parameter. */
export function held(state: Arrays, name: string, size: number): Float32Array {
  const array = state[name];
  if (array?.length === size) return array.slice();
  throw new PergradError(
    "INVALID_ARGUMENT",
    `The optimizer's state does not fit "${name}"; make it by start(parameters).`,
  );
}

/** The parameters with data replaced. */
export function replaced(parameters: Parameters, data: Arrays): Parameters {
  const entries = Object.entries(parameters).map(([name, old]) => [name, { ...old, data: data[name] ?? old.data }]);
  return Object.fromEntries(entries);
}
