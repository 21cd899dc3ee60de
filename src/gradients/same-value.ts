import { type Node, nodeOf, type Value } from "../graph/value.js";
import { definitionOf } from "../ops/registry.js";

/** How far back two values are compared before they count as different. */
const deepest = 4;

/** Whether two values are the same, or are made in the same way from the same values by a few nodes. */
export function sameValue(a: Value | null | undefined, b: Value | null | undefined, depth = deepest): boolean {
  if (!a || !b || a === b) return a === b;
  if (a.known && b.known) return a.dtype === b.dtype && JSON.stringify(a.known) === JSON.stringify(b.known);
  const [left, right] = [nodeOf(a), nodeOf(b)];
  if (depth === 0 || !left || !right || left.outputs.indexOf(a) !== right.outputs.indexOf(b)) return false;
  return movesOnly(left) && sameNode(left, right, depth);
}

/** Whether a node only moves elements: such nodes make factors from a model's values. */
function movesOnly(node: Node): boolean {
  return node.op === "Expand" || definitionOf(node)?.view !== undefined;
}

function sameNode(a: Node, b: Node, depth: number): boolean {
  if (a === b) return true;
  if (a.op !== b.op || JSON.stringify(a.attributes) !== JSON.stringify(b.attributes)) return false;
  return a.inputs.length === b.inputs.length && a.inputs.every((input, k) => sameValue(input, b.inputs[k], depth - 1));
}
