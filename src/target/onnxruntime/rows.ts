/** Rows added to tables, for ONNX Runtime: it has no operator for them. */
import type { OnRewrite } from "../../graph/rewritten.js";
import type { Value } from "../../graph/value.js";
import { build, definitionOf } from "../../ops/registry.js";
import { type Lowering, simplifyFor } from "../../optimise/simplify.js";

/** The name under which a log has it. */
export const scatteringRows = "rows-scattered";

const scatter: Lowering = (node) => {
  const results = definitionOf(node)?.parts?.(node, build);
  return results ? { rule: scatteringRows, results } : null;
};

/** The same values, in which the runtime itself adds rows to tables. */
export function rowsScattered(values: readonly Value[], seen?: OnRewrite): Value[] {
  return simplifyFor(scatter, values, seen);
}
