import type { Optimizer, Parameters } from "../../src/train/index.js";

/** An optimizer that moves nothing, and shows the gradients it was given last. */
export function recorder(): { readonly optimizer: Optimizer<number>; last(): Parameters } {
  let last: Parameters = {};
  return {
    optimizer: {
      start: () => 0,
      step: (parameters, gradients, state) => {
        last = gradients;
        return { parameters, state: state + 1 };
      },
    },
    last: () => last,
  };
}
