/** What the reference's computations take. */
import type { Value } from "../graph/value.js";
import { nodesBefore, presentInputs } from "../graph/walk.js";
import { elementFactor } from "../ops/build.js";

/** Numbers that these values of one sample take to read and write, about. */
export function workOf(values: readonly Value[]): number {
  const sizeOf = (total: number, { shape }: Value) => total + elementFactor(shape);
  return nodesBefore(values).reduce(
    (total, node) => [...presentInputs(node), ...node.outputs].reduce(sizeOf, total),
    0,
  );
}
