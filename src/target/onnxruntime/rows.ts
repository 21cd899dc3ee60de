/** Rows added to tables, for ONNX Runtime: it has no operator for them. */
import type { Value } from "../../graph/value.js";
import { build, definitionOf } from "../../ops/registry.js";
import { type Lowering, simplifyFor } from "../../optimise/simplify.js";

const scatter: Lowering = (node) => {
  const results = definitionOf(node)?.parts?.(node, build);
  return results ? { rule: "rows-scattered", results } : null;
};

/** The same values, in which the runtime itself adds rows to tables: so their memory is known. (A file has it so anyway.) */
export function rowsScattered(values: readonly Value[]): Value[] {
  return simplifyFor(scatter, values);
}
