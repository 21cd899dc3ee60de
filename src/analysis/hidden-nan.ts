/** Where a NaN can go unseen: what is computed of it is a number, or a truth value, that means nothing. */

import type { Node, Value } from "../graph/value.js";
import { nodesBefore } from "../graph/walk.js";
import { definitionOf } from "../ops/registry.js";
import { present } from "../present.js";
import { isFloat } from "../tensor/tensor.js";
import { Ranges } from "./ranges.js";

/** Whether the runtime gives a number where the node's first input holds a NaN. */
export function hidesNaN(node: Node): boolean {
  const hides = definitionOf(node)?.hidesNaN ?? false;
  return typeof hides === "boolean" ? hides : hides(node);
}

/** The floats of which a node makes what is none: the operands of comparisons, what is cast. */
function converted(node: Node): Value[] {
  const { testsFinite, ofShape } = definitionOf(node) ?? {};
  // The result shows a NaN, or does not depend on the elements at all.
  if (testsFinite || ofShape || node.outputs.every(({ dtype }) => isFloat(dtype))) return [];
  // x = x asks whether x is NaN.
  if (node.op === "Equal" && node.inputs[0] === node.inputs[1]) return [];
  return node.inputs.flatMap((input) => (input && isFloat(input.dtype) ? [input] : []));
}

/**
 * Values on the way to results of which a NaN may go unseen, whatever the inputs hold: in front of maxima and the like,
 * and, where a result is no float, in front of comparisons and conversions. None that IsNaN looks at as well.
 */
export function unseenBefore(results: readonly Value[]): Value[] {
  const nodes = nodesBefore(results);
  const tested = new Set(nodes.filter(({ op }) => op === "IsNaN").map(({ inputs: [x] }) => x));
  const discrete = new Set(nodesBefore(results.filter(({ dtype }) => !isFloat(dtype))));
  const values = nodes.flatMap((node) => [
    ...(hidesNaN(node) ? [present(node.inputs[0])] : []),
    ...(discrete.has(node) ? converted(node) : []),
  ]);
  const ranges = Ranges.before(results, { notFiniteInputs: true });
  return [...new Set(values)].filter((x) => isFloat(x.dtype) && !tested.has(x) && ranges.of(x).nan);
}
