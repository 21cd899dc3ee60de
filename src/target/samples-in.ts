import type { Value } from "../graph/value.js";
import type { Tensors } from "./target.js";

/** The number of samples that a graph is fed, along the inputs' own axes; undefined if no input has such an axis. */
export function samplesIn(inputs: readonly Value[], feeds: Tensors): number | undefined {
  for (const { name, shape } of inputs) {
    for (const [axis, dim] of shape.entries()) {
      if (typeof dim !== "number") return (feeds[name]?.dims[axis] ?? 0) / dim.perSample;
    }
  }
  return undefined;
}
