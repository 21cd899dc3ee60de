/** Operators whose second derivative counts as 0. */
import type { Value } from "../graph/value.js";
import { dependentsOf, nodesBefore, presentInputs } from "../graph/walk.js";
import { definitionOf } from "../ops/registry.js";

/**
 * A note that names, once, each operator between the parameters and the losses whose derivative is a step function; null if
 * there is none.
 */
export function stepNote(losses: Value, parameters: Iterable<Value>): string | null {
  const nodes = nodesBefore([losses]);
  const dependent = dependentsOf(parameters, nodes);
  const counts = new Map<string, number>();
  for (const node of nodes) {
    if (!definitionOf(node)?.stepSlope || !presentInputs(node).some((input) => dependent.has(input))) continue;
    counts.set(node.op, (counts.get(node.op) ?? 0) + 1);
  }
  if (counts.size === 0) return null;
  const names = [...counts].map(([op, count]) => (count === 1 ? op : `${op} (${count} nodes)`));
  const of = names.length === 1 ? names[0] : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
  return `The derivative of ${of} is a step function: its own derivative counts as 0, at the step too.`;
}
