/** Limits that a model's operators put on the lengths they are fed. */

import { sourceOf } from "../graph/behind.js";
import type { Node, Value } from "../graph/value.js";
import { nodesBefore } from "../graph/walk.js";
import { intAttribute } from "../ops/checks.js";
import { definitionOf } from "../ops/registry.js";

/** The largest number of steps that an LSTM, GRU or RNN takes. */
function stepsOf(node: Node): number {
  const steps = node.inputs[0]?.shape[intAttribute(node, "layout", 0) === 1 ? 1 : 0];
  return typeof steps === "number" ? steps : Number.POSITIVE_INFINITY;
}

/** For each input that holds lengths of sequences: the greatest length allowed. */
export function lengthLimits(outputs: Iterable<Value>): ReadonlyMap<Value, number> {
  const limits = new Map<Value, number>();
  for (const node of nodesBefore(outputs)) {
    if (!definitionOf(node)?.recurrent) continue;
    const lengths = node.inputs[4];
    if (!lengths) continue;
    const source = sourceOf(lengths);
    limits.set(source, Math.min(limits.get(source) ?? Number.POSITIVE_INFINITY, stepsOf(node)));
  }
  return limits;
}
