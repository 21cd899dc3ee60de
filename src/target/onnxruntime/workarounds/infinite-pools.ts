/**
 * Pools of minus infinity, which masks put where a maximum must not look. ONNX Runtime's MaxPool (unless its indices
 * are requested) and GlobalMaxPool start from the lowest float, and return that for a window of only minus infinity
 * (1.32), so a later test for infinity does not find it. If the pooled values may be minus infinity, which the ranges
 * of ordinary models rule out, a second pool finds the windows that hold nothing else.
 */

import { type RangeOptions, Ranges } from "../../../analysis/ranges.js";
import { inputOf, outputOf } from "../../../graph/operands.js";
import { withInputs } from "../../../graph/remade.js";
import type { OnRewrite } from "../../../graph/rewritten.js";
import type { Node, Value } from "../../../graph/value.js";
import { nodesBefore } from "../../../graph/walk.js";
import { build } from "../../../ops/registry.js";
import { leadingOf, nth } from "../../../present.js";

/** Its name in a log of rewrites. */
export const emptyPools = "pool-of-infinities";

const pools = new Set(["MaxPool", "GlobalMaxPool"]);

/**
 * The same outputs, in which the maximum of minus infinities is minus infinity.
 * @param data what the inputs may hold
 * @param seen is called with each rewrite
 */
export function poolsOfInfinities(
  outputs: readonly Value[],
  data: RangeOptions = {},
  seen?: OnRewrite,
): readonly Value[] {
  const nodes = nodesBefore(outputs);
  if (!nodes.some(isPool)) return outputs;
  const ranges = Ranges.before(outputs, data);
  const mayBeEmpty = (node: Node) => {
    const { infinite, low } = ranges.of(inputOf(node, 0));
    return infinite && low === Number.NEGATIVE_INFINITY;
  };
  const current = new Map<Value, Value>();
  for (const node of nodes) {
    const before = withInputs(node, current);
    const found = isPool(node) && mayBeEmpty(node);
    const results = found ? exactly(before) : before.outputs;
    if (found) seen?.({ rule: emptyPools, node, results });
    node.outputs.forEach((output, k) => {
      if (results[k] !== output) current.set(output, nth(results, k));
    });
  }
  return outputs.map((output) => current.get(output) ?? output);
}

function isPool({ op, domain }: Node): boolean {
  return domain === "" && pools.has(op);
}

function exactly(node: Node): Value[] {
  const [x, [y, ...indices]] = [inputOf(node, 0), leadingOf(node.outputs, 1)];
  const least = build.scalar(Number.NEGATIVE_INFINITY, x);
  const filled = build.cast(build.op("Not", [build.equal(x, least)]), x.dtype);
  const held = outputOf(build.node(node.op, [filled], node.attributes, 1), 0);
  return [build.where(build.op("Greater", [held, build.scalar(0, held)]), y, least), ...indices];
}
