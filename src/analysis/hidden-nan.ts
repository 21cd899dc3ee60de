/** Finds where a NaN can go unnoticed: where a number or truth value computed from it means nothing. */

import type { Node, Value } from "../graph/value.js";
import { nodesBefore } from "../graph/walk.js";
import { definitionOf } from "../ops/registry.js";
import { present } from "../present.js";
import { isFloat } from "../tensor/tensor.js";
import { Ranges } from "./ranges.js";

/** Whether the runtime returns a number when the node's first input holds a NaN. */
export function hidesNaN(node: Node): boolean {
  const hides = definitionOf(node)?.hidesNaN ?? false;
  return typeof hides === "boolean" ? hides : hides(node);
}

/** The floats that a node turns into something else: the operands of comparisons and casts. */
function converted(node: Node): Value[] {
  const { testsFinite, ofShape } = definitionOf(node) ?? {};
  // The result shows the NaN, or does not depend on the elements at all.
  if (testsFinite || ofShape || node.outputs.every(({ dtype }) => isFloat(dtype))) return [];
  // x = x asks whether x is NaN.
  if (node.op === "Equal" && node.inputs[0] === node.inputs[1]) return [];
  return node.inputs.flatMap((input) => (input && isFloat(input.dtype) ? [input] : []));
}

/**
 * The values behind `results` whose NaN may go unnoticed, whatever the inputs hold: those that maxima and the like read
 * and, if a result is not a float, those that comparisons and conversions read. Values that IsNaN also tests are left
 * out.
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
