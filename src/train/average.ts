/** An exponential moving average of the weights, kept while an optimiser runs. */
import type { Tensor } from "../tensor/tensor.js";
import { type Arrays, held, mapArrays, needDecay, type Optimiser, type Parameters, replaced } from "./optimiser.js";

export interface AveragingState<S> {
  /** The state of the optimiser underneath. */
  readonly optimiser: S;
  readonly steps: number;
  readonly average: Arrays;
}

/**
 * The same steps as `optimiser`, with a running average beside them: average = decay * average + (1 - decay) * parameter,
 * begun at the parameters after the first step. Averages of private parameters are as private as these.
 * @param decay in [0, 1); 0.999 averages over about the last thousand steps
 * Throws INVALID_ARGUMENT.
 */
export function averaging<S>(optimiser: Optimiser<S>, { decay }: { decay: number }): Optimiser<AveragingState<S>> {
  needDecay("decay", decay);
  return {
    start: (parameters) => ({
      optimiser: optimiser.start(parameters),
      steps: 0,
      average: mapArrays(parameters, ({ data }) => data.slice()),
    }),
    step: (before, gradients, state) => {
      const { parameters, state: inner } = optimiser.step(before, gradients, state.optimiser);
      // What has no gradient stays, and its average with it: that also leaves frozen parameters alone.
      const average: Record<string, Float32Array> = { ...state.average };
      const share = state.steps === 0 ? 1 : 1 - decay;
      for (const name of Object.keys(gradients)) {
        const { data } = parameters[name] as Tensor<"float32">;
        const own = held(state.average, name, data.length);
        for (let i = 0; i < own.length; i++) own[i] = (1 - share) * (own[i] as number) + share * (data[i] as number);
        average[name] = own;
      }
      return { parameters, state: { optimiser: inner, steps: state.steps + 1, average } };
    },
  };
}

/** The averaged parameters: those of the last step with the averages in their place. */
export function averageOf(parameters: Parameters, { average }: AveragingState<unknown>): Parameters {
  return replaced(parameters, average);
}
