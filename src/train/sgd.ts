/** Gradient descent, with PyTorch's formulas. */
import { checkOptions, type OptionNames } from "../arguments.js";
import { PergradError } from "../errors.js";
import { entryOf } from "../present.js";
import {
  type Arrays,
  checkGradients,
  held,
  type LearningRate,
  mapArrays,
  needDecay,
  needWeightDecay,
  type Optimizer,
  rateAt,
  replaced,
  zerosLike,
} from "./optimizer.js";

/** Options of `sgd`. */
export interface SgdOptions {
  /** A number above 0, or a function of the step (see `schedules`). */
  readonly learningRate: LearningRate;
  /** Share of the last step's velocity that is kept, in [0, 1). Default 0. */
  readonly momentum?: number;
  /** Steps along the gradient plus momentum times the new velocity, looking ahead; wants momentum. Default false. */
  readonly nesterov?: boolean;
  /** This many times the parameter is added to its gradient (an L2 penalty). From 0 up; default 0. */
  readonly weightDecay?: number;
}

export interface SgdState {
  readonly steps: number;
  readonly velocity: Arrays;
}

const sgdOptions: OptionNames<SgdOptions> = { learningRate: true, momentum: true, nesterov: true, weightDecay: true };

/**
 * g = gradient + weightDecay * parameter; velocity = momentum * velocity + g; parameter -= learningRate * velocity.
 * @throws PergradError INVALID_ARGUMENT: an option is out of range, or `nesterov` is set without momentum.
 */
export function sgd(options: SgdOptions): Optimizer<SgdState> {
  checkOptions("sgd(options)", options, sgdOptions);
  const { learningRate, momentum = 0, nesterov = false, weightDecay = 0 } = options;
  rateAt(learningRate, 0);
  needDecay("momentum", momentum);
  needWeightDecay(weightDecay);
  if (nesterov && momentum === 0)
    throw new PergradError(
      "INVALID_ARGUMENT",
      "nesterov looks ahead along the velocity, so it needs a momentum above 0.",
    );
  return {
    start: (parameters) => ({ steps: 0, velocity: zerosLike(parameters) }),
    step: (parameters, gradients, state) => {
      checkGradients(parameters, gradients);
      const rate = rateAt(learningRate, state.steps);
      const velocity: Record<string, Float32Array> = { ...state.velocity };
      const moved = mapArrays(gradients, ({ data: gradient }, name) => {
        const own = held(state.velocity, name, gradient.length);
        velocity[name] = own;
        const data = entryOf(parameters, name).data.slice();
        for (let i = 0; i < data.length; i++) {
          const value = data[i] as number;
          const g = (gradient[i] as number) + weightDecay * value;
          const v = momentum * (own[i] as number) + g;
          own[i] = v;
          data[i] = value - rate * (nesterov ? g + momentum * v : v);
        }
        return data;
      });
      return { parameters: replaced(parameters, moved), state: { steps: state.steps + 1, velocity } };
    },
  };
}
