import type { Attributes } from "../../src/graph/value.js";
import { describeOp } from "../support/op-suite.js";
import { recurrentCases, smooth } from "../support/recurrent-cases.js";

/** Parameters of activations that are not given: ONNX states no defaults for these two, and the runtime takes zeros. */
function leavesOpen({ activations, activation_alpha, activation_beta }: Attributes): boolean {
  const names = Array.isArray(activations)
    ? activations.filter((name) => name === "Affine" || name === "ScaledTanh")
    : [];
  const given = [activation_alpha, activation_beta].map((values) => (Array.isArray(values) ? values.length : 0));
  return given.some((count) => count < names.length);
}

const kinds = ["LSTM", "GRU", "RNN"] as const;

for (const kind of kinds) {
  describeOp(kind, {
    cases: recurrentCases(kind, { activations: smooth }),
    // The kernels know no layout with the samples first; programs hold a loop.
    notInRuntime: ({ attributes }) => attributes?.layout === 1 || leavesOpen(attributes ?? {}),
    inParts: true,
    // A case takes four runs of the loop for each of some fifty numbers.
    derivatives: 45,
  });
}
