import type { Value } from "../graph/value.js";
import type { Build } from "../ops/build.js";
import { type Cotangent, isValue } from "../ops/cotangent.js";
import { contract } from "../ops/subgraphs/contract.js";
import { scatterRows } from "../ops/subgraphs/rows.js";

/** The cotangent as one tensor of the input's shape, summed over the samples if they share the input. */
export function emitCotangent(build: Build, cotangent: Cotangent): Value {
  if (isValue(cotangent)) return cotangent;
  switch (cotangent.kind) {
    case "reduction":
      return build.reshape(build.sum(cotangent.value, cotangent.axes), cotangent.shape);
    case "contraction":
      return build.reshape(contract(build, cotangent.left, cotangent.right, cotangent.subscripts), cotangent.shape);
    case "convolution":
      return cotangent.rules.gradient(build, cotangent);
    case "rows":
      return scatterRows(build, cotangent.indices, cotangent.cotangent, cotangent.axis, cotangent.shape);
  }
}
