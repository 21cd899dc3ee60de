/** Rows added to tables, for ONNX Runtime, which has no operator for that. */
import type { Value } from "../../graph/value.js";
import { build, definitionOf } from "../../ops/registry.js";
import { type Lowering, simplifyFor } from "../../optimise/simplify.js";

const scatter: Lowering = (node) => {
  const results = definitionOf(node)?.parts?.(node, build);
  return results ? { rule: "rows-scattered", results } : null;
};

/**
 * The same values, with nodes of the runtime that add rows to tables, so that their memory is known. (A file has these
 * nodes anyway.)
 */
export function rowsScattered(values: readonly Value[]): Value[] {
  return simplifyFor(scatter, values);
}
