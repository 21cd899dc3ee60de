/**
 * Inputs of layers behind guards. Where a cotangent is 0, an activation that may not be finite is taken for 0 in the product
 * with it (autodiff/absorb.ts): a gradient's factors then both depend on the cotangent. The inputs themselves do not.
 */

import { isZero } from "../graph/behind.js";
import { substitute } from "../graph/body.js";
import { type Node, nodeOf, type Value } from "../graph/value.js";
import { presentInputs } from "../graph/walk.js";
import { build } from "../ops/registry.js";
import { nth } from "../present.js";

/** Nodes that unfold a guarded image, at most. */
const mostNodes = 64;

/** A value without its guards, which then is one of those that do not depend on the cotangent; null where it does. */
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

/** What is taken for 0 where a cotangent is. */
function guardedBy({ op, domain, inputs }: Node, dependent: ReadonlySet<Value>): Value | null {
  const [test, zero, value] = inputs;
  if (op !== "Where" || domain !== "" || !test || !zero || !value) return null;
  return dependent.has(test) && isZero(zero) && !dependent.has(value) ? value : null;
}

/** The largest float32. */
const largest = 3.4028234663852886e38;

/** 0 where it is not finite: there no cotangent comes to it, or the loss is not finite either. */
function finite(value: Value): Value {
  const inRange = build.lessOrEqual(build.abs(value), build.scalar(largest, value));
  return build.where(inRange, value, build.scalar(0, value));
}
