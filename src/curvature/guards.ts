/**
 * Finds the inputs of layers behind guards. A guard takes an activation that may not be finite for 0 where its cotangent is 0
 * (autodiff/absorb.ts), so that both factors of a gradient depend on the cotangent. The layer's inputs themselves do not.
 */

import { isZero } from "../graph/behind.js";
import { substitute } from "../graph/body.js";
import { type Node, nodeOf, type Value } from "../graph/value.js";
import { presentInputs } from "../graph/walk.js";
import { build } from "../ops/registry.js";
import { nth } from "../present.js";

/** The most nodes that unfold a guarded image. */
const mostNodes = 64;

/** The value without its guards, if it then does not depend on the cotangent; else null. */
export function independentOf(value: Value, dependent: ReadonlySet<Value>): Value | null {
  if (!dependent.has(value)) return value;
  const replaced = new Map<Value, Value>();
  const seen = new Set<Node>();
  const stack = [value];
  for (let next = stack.pop(); next; next = stack.pop()) {
    const node = nodeOf(next);
    if (!node) return null;
    if (seen.has(node)) continue;
    seen.add(node);
    if (seen.size > mostNodes) return null;
    const guarded = guardedBy(node, dependent);
    if (guarded) replaced.set(next, finite(guarded));
    else stack.push(...presentInputs(node).filter((input) => dependent.has(input)));
  }
  return nth(substitute([value], replaced), 0);
}

/** What a guard takes for 0 where its cotangent is 0; null if the node is no guard. */
function guardedBy({ op, domain, inputs }: Node, dependent: ReadonlySet<Value>): Value | null {
  const [test, zero, value] = inputs;
  if (op !== "Where" || domain !== "" || !test || !zero || !value) return null;
  return dependent.has(test) && isZero(zero) && !dependent.has(value) ? value : null;
}

/** The largest float32. */
const largest = 3.4028234663852886e38;

/** The value, with 0 where it is not finite: no cotangent reaches it there, or the loss is not finite either. */
function finite(value: Value): Value {
  const inRange = build.lessOrEqual(build.abs(value), build.scalar(largest, value));
  return build.where(inRange, value, build.scalar(0, value));
}
