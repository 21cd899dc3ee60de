/** An exponential moving average of the weights, kept while an optimizer runs. */
import { entryOf } from "../present.js";
import { type Arrays, held, mapArrays, needDecay, type Optimizer, type Parameters, replaced } from "./optimizer.js";

export interface AveragingState<S> {
  /** The state of the optimizer underneath. */
  readonly optimizer: S;
  readonly steps: number;
  readonly average: Arrays;
}

/**
 * The same steps as `optimizer`, plus a running average: average = decay * average + (1 - decay) * parameter,
 * starting at the parameters after the first step. Averages of private parameters are as private as the parameters.
 * @param decay in [0, 1); 0.999 averages over about the last thousand steps
 * @throws PergradError INVALID_ARGUMENT.
 */
export function averaging<S>(
  optimizer: Optimizer<S>,
  {
    decay,
  }: {
    /** In [0, 1); 0.999 averages over about the last thousand steps. */
    readonly decay: number;
  },
): Optimizer<AveragingState<S>> {
  needDecay("decay", decay);
  return {
    start: (parameters) => ({
      optimizer: optimizer.start(parameters),
      steps: 0,
      average: mapArrays(parameters, ({ data }) => data.slice()),
    }),
    step: (before, gradients, state) => {
      const { parameters, state: inner } = optimizer.step(before, gradients, state.optimizer);
      // Parameters without a gradient stay, and so do their averages; this also leaves frozen parameters alone.
      const average: Record<string, Float32Array> = { ...state.average };
      const share = state.steps === 0 ? 1 : 1 - decay;
      for (const name of Object.keys(gradients)) {
        const { data } = entryOf(parameters, name);
        const own = held(state.average, name, data.length);
        for (let i = 0; i < own.length; i++) own[i] = (1 - share) * (own[i] as number) + share * (data[i] as number);
        average[name] = own;
      }
      return { parameters, state: { optimizer: inner, steps: state.steps + 1, average } };
    },
  };
}

/** The averaged parameters, which replace those of the last step. */
export function averageOf(parameters: Parameters, { average }: AveragingState<unknown>): Parameters {
  return replaced(parameters, average);
}
