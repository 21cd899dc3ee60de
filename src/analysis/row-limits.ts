/**
 * Limits on the rows of embeddings that a model looks up. The runtime counts a negative index from the end, which
 * silently selects the row of another token; for an index beyond the end its message names neither the input nor the
 * sample.
 */
import { sourceOf } from "../graph/behind.js";
import type { RowLimit } from "../graph/model.js";
import { describeNode, type Node, nodeOf, type Value } from "../graph/value.js";
import { nodesBefore } from "../graph/walk.js";
import { grouped } from "../grouped.js";
import { intAttribute, normalAxis } from "../ops/checks.js";

/** For each input that holds indices into tables of parameters: the rows that exist. */
export function rowLimits(outputs: Iterable<Value>): ReadonlyMap<Value, readonly RowLimit[]> {
  return grouped(nodesBefore(outputs).flatMap(lookups));
}

function lookups(node: Node): (readonly [indices: Value, limit: RowLimit])[] {
  const [table, indices] = node.inputs;
  if (node.op !== "Gather" || node.domain !== "" || !table || !indices || !isParameter(table)) return [];
  const source = sourceOf(indices);
  const rows = table.shape[normalAxis(node, intAttribute(node, "axis", 0), table.shape.length)];
  if (typeof rows !== "number" || source.source.kind !== "input") return [];
  return [[source, { rows, by: describeNode(node) }]];
}

/** A parameter, perhaps in another shape or order. */
function isParameter(table: Value): boolean {
  const { source } = sourceOf(table);
  if (source.kind === "parameter") return true;
  const node = nodeOf(sourceOf(table));
  const before = node?.op === "Transpose" && node.domain === "" ? node.inputs[0] : null;
  return before ? isParameter(before) : false;
}
