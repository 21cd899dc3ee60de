/** Optimisers: plain functions from parameters, gradients and state to new parameters and state. */
import { PergradError } from "../errors.js";
import type { Tensor } from "../tensor.js";

type Arrays = Readonly<Record<string, Float32Array>>;
export type Parameters = Readonly<Record<string, Tensor<"float32">>>;

export interface Stepped<S> {
  readonly parameters: Parameters;
  readonly state: S;
}

/** Neither function changes what it is given. A parameter without a gradient stays as it is. */
export interface Optimiser<S> {
  /** The state before the first step. */
  start(parameters: Parameters): S;
  /** Throws MISSING_TENSOR (a gradient of no parameter), SHAPE_MISMATCH, INVALID_ARGUMENT (another optimiser's state). */
  step(parameters: Parameters, gradients: Parameters, state: S): Stepped<S>;
}

/** A number, or a function of the number of steps taken so far. */
export type LearningRate = number | ((step: number) => number);

export interface SgdOptions {
  readonly learningRate: LearningRate;
  /** Share of the last step's velocity that is kept, in [0, 1). Default 0. */
  readonly momentum?: number;
}

export interface SgdState {
  readonly steps: number;
  readonly velocity: Arrays;
}

export interface AdamOptions {
  /** Default 0.001. */
  readonly learningRate?: LearningRate;
  /** Decay of the running means of the gradient and of its square, each in [0, 1). Default [0.9, 0.999]. */
  readonly betas?: readonly [number, number];
  /** Keeps the division from blowing up. Default 1e-8. */
  readonly epsilon?: number;
}

export interface AdamState {
  readonly steps: number;
  /** Running mean of the gradients. */
  readonly first: Arrays;
  /** Running mean of their squares. */
  readonly second: Arrays;
}

/** Throws INVALID_ARGUMENT unless the option holds. NaN never holds. */
function need(name: string, value: number, holds: boolean, range: string): void {
  if (!holds) throw new PergradError("INVALID_ARGUMENT", `${name} is ${value}; it must be ${range}.`);
}

/** The rate of one step. A schedule may end at 0. */
function rateAt(learningRate: LearningRate, step: number): number {
  const rate = typeof learningRate === "number" ? learningRate : learningRate(step);
  need("learningRate", rate, rate >= 0 && rate < Number.POSITIVE_INFINITY, "a finite number from 0 up");
  return rate;
}

function needDecay(name: string, decay: number): void {
  need(name, decay, decay >= 0 && decay < 1, "at least 0 and below 1");
}

function mapArrays(
  of: Parameters,
  f: (tensor: Tensor<"float32">, name: string) => Float32Array,
): Record<string, Float32Array> {
  return Object.fromEntries(Object.entries(of).map(([name, tensor]) => [name, f(tensor, name)]));
}

const zerosLike = (of: Parameters) => mapArrays(of, ({ data }) => new Float32Array(data.length));

function checkGradients(parameters: Parameters, gradients: Parameters): void {
  for (const [name, { dims }] of Object.entries(gradients)) {
    const own = parameters[name];
    if (!own) throw new PergradError("MISSING_TENSOR", `There is a gradient of "${name}", but no such parameter.`);
    if (own.dims.length === dims.length && own.dims.every((dim, axis) => dim === dims[axis])) continue;
    throw new PergradError(
      "SHAPE_MISMATCH",
      `The gradient of "${name}" is [${dims.join(", ")}], but the parameter is [${own.dims.join(", ")}].`,
    );
  }
}

/** A fresh copy of what the state holds for a parameter. */
function held(state: Arrays, name: string, size: number): Float32Array {
  const array = state[name];
  if (array?.length === size) return array.slice();
  throw new PergradError(
    "INVALID_ARGUMENT",
    `The optimiser's state does not fit "${name}"; make it by start(parameters).`,
  );
}

/** The parameters with data replaced. */
function replaced(parameters: Parameters, data: Arrays): Parameters {
  const entries = Object.entries(parameters).map(([name, old]) => [name, { ...old, data: data[name] ?? old.data }]);
  return Object.fromEntries(entries);
}

/** Gradient descent: velocity = momentum * velocity + gradient; parameter -= learningRate * velocity. */
export function sgd({ learningRate, momentum = 0 }: SgdOptions): Optimiser<SgdState> {
  rateAt(learningRate, 0);
  needDecay("momentum", momentum);
  return {
    start: (parameters) => ({ steps: 0, velocity: zerosLike(parameters) }),
    step: (parameters, gradients, state) => {
      checkGradients(parameters, gradients);
      const rate = rateAt(learningRate, state.steps);
      const velocity: Record<string, Float32Array> = { ...state.velocity };
      const moved = mapArrays(gradients, ({ data: gradient }, name) => {
        const own = held(state.velocity, name, gradient.length);
        for (let i = 0; i < own.length; i++) own[i] = momentum * (own[i] as number) + (gradient[i] as number);
        velocity[name] = own;
        return (parameters[name] as Tensor<"float32">).data.map((value, i) => value - rate * (own[i] as number));
      });
      return { parameters: replaced(parameters, moved), state: { steps: state.steps + 1, velocity } };
    },
  };
}

/** Adam, with the bias correction of its paper: epsilon is added after the square root. */
export function adam({
  learningRate = 1e-3,
  betas = [0.9, 0.999],
  epsilon = 1e-8,
}: AdamOptions = {}): Optimiser<AdamState> {
  rateAt(learningRate, 0);
  for (const [k, beta] of betas.entries()) needDecay(`betas[${k}]`, beta);
  need("epsilon", epsilon, epsilon > 0, "above 0");
  const [decay1, decay2] = betas;
  return {
    start: (parameters) => ({ steps: 0, first: zerosLike(parameters), second: zerosLike(parameters) }),
    step: (parameters, gradients, state) => {
      checkGradients(parameters, gradients);
      const rate = rateAt(learningRate, state.steps);
      const steps = state.steps + 1;
      const correct1 = 1 - decay1 ** steps;
      const correct2 = 1 - decay2 ** steps;
      const first: Record<string, Float32Array> = { ...state.first };
      const second: Record<string, Float32Array> = { ...state.second };
      const moved = mapArrays(gradients, ({ data: gradient }, name) => {
        const mean = held(state.first, name, gradient.length);
        const square = held(state.second, name, gradient.length);
        const data = (parameters[name] as Tensor<"float32">).data.slice();
        for (let i = 0; i < data.length; i++) {
          const g = gradient[i] as number;
          const m = decay1 * (mean[i] as number) + (1 - decay1) * g;
          const v = decay2 * (square[i] as number) + (1 - decay2) * g * g;
          mean[i] = m;
          square[i] = v;
          data[i] = (data[i] as number) - (rate * (m / correct1)) / (Math.sqrt(v / correct2) + epsilon);
        }
        first[name] = mean;
        second[name] = square;
        return data;
      });
      return { parameters: replaced(parameters, moved), state: { steps, first, second } };
    },
  };
}
