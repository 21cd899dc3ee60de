/** Adam (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019), with PyTorch's formulas. */
import { checkOptions, type OptionNames } from "../arguments.js";
import { entryOf } from "../present.js";
import {
  type Arrays,
  checkGradients,
  held,
  type LearningRate,
  mapArrays,
  need,
  needDecay,
  needWeightDecay,
  type Optimizer,
  rateAt,
  replaced,
  zerosLike,
} from "./optimizer.js";

/** Options of `adam` and `adamW`. */
export interface AdamOptions {
  /** Default 0.001. */
  readonly learningRate?: LearningRate;
  /** Decay of the running means of the gradient and of its square, each in [0, 1). Default [0.9, 0.999]. */
  readonly betas?: readonly [number, number];
  /** Added to the denominator, so that it is not 0. Default 1e-8. */
  readonly epsilon?: number;
  /**
   * From 0 up. `adam` adds this many times the parameter to its gradient (an L2 penalty; default 0); `adamW` shrinks
   * the parameter by learningRate times this at every step, beside the gradient's step (default 0.01).
   */
  readonly weightDecay?: number;
}

export interface AdamState {
  readonly steps: number;
  /** Running mean of the gradients. */
  readonly first: Arrays;
  /** Running mean of their squares. */
  readonly second: Arrays;
}

const adamOptions: OptionNames<AdamOptions> = { learningRate: true, betas: true, epsilon: true, weightDecay: true };

/** Adam, with the bias correction of its paper: epsilon is added after the square root. */
export function adam(given: AdamOptions = {}): Optimizer<AdamState> {
  checkOptions("adam(options)", given, adamOptions);
  const { weightDecay = 0, ...options } = given;
  return adamLike(options, weightDecay, 0);
}

/** Adam with decoupled weight decay, which the running means do not see. */
export function adamW(given: AdamOptions = {}): Optimizer<AdamState> {
  checkOptions("adamW(options)", given, adamOptions);
  const { weightDecay = 0.01, ...options } = given;
  return adamLike(options, 0, weightDecay);
}

/**
 * @param penalty times the parameter is added to the gradient
 * @param shrinkage times the learning rate is the share of a parameter that a step takes away
 */
function adamLike(
  { learningRate = 1e-3, betas = [0.9, 0.999], epsilon = 1e-8 }: AdamOptions,
  penalty: number,
  shrinkage: number,
): Optimizer<AdamState> {
  rateAt(learningRate, 0);
  for (const [k, beta] of betas.entries()) needDecay(`betas[${k}]`, beta);
  need("epsilon", epsilon, epsilon > 0, "above 0");
  needWeightDecay(penalty + shrinkage);
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
        first[name] = mean;
        second[name] = square;
        const data = entryOf(parameters, name).data.slice();
        for (let i = 0; i < data.length; i++) {
          const value = data[i] as number;
          const g = (gradient[i] as number) + penalty * value;
          const m = decay1 * (mean[i] as number) + (1 - decay1) * g;
          const v = decay2 * (square[i] as number) + (1 - decay2) * g * g;
          mean[i] = m;
          square[i] = v;
          data[i] = value - rate * (shrinkage * value + m / correct1 / (Math.sqrt(v / correct2) + epsilon));
        }
        return data;
      });
      return { parameters: replaced(parameters, moved), state: { steps, first, second } };
    },
  };
}
