import type { Optimiser, Parameters } from "../../src/train/index.js";

/** An optimiser that moves nothing, and shows the gradients it was given last. */
export function recorder(): { readonly optimiser: Optimiser<number>; last(): Parameters } {
  let last: Parameters = {};
  return {
    optimiser: {
      start: () => 0,
      step: (parameters, gradients, state) => {
        last = gradients;
        return { parameters, state: state + 1 };
      },
    },
    last: () => last,
  };
}
