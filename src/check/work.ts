/** The cost of the reference's computations. */
import type { Value } from "../graph/value.js";
import { nodesBefore, presentInputs } from "../graph/walk.js";
import { elementFactor } from "../ops/build.js";

/** The approximate number of numbers read and written to compute these values for one sample. */
export function workOf(values: readonly Value[]): number {
  const sizeOf = (total: number, { shape }: Value) => total + elementFactor(shape);
  return nodesBefore(values).reduce(
    (total, node) => [...presentInputs(node), ...node.outputs].reduce(sizeOf, total),
    0,
  );
}
