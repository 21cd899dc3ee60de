/**
 * Everything that ONNX Runtime lacks, refuses or gets wrong although ONNX defines it, and the replacements. Changes
 * that make float32 accurate on any runtime (sums in blocks, derivatives that keep their digits) are no work-arounds:
 * they are in lower/ and ops/.
 */
import type { RangeOptions } from "../../../analysis/ranges.js";
import type { OnRewrite } from "../../../graph/rewritten.js";
import type { Node, Value } from "../../../graph/value.js";
import { build } from "../../../ops/registry.js";
import { type Replacement, simplifyFor } from "../../../optimise/simplify.js";
import { integers } from "./integers.js";
import { products } from "./products.js";
import { seldom } from "./seldom.js";
import { shapes } from "./shapes.js";
import { keyOf, type Workaround } from "./workaround.js";

/** The work-arounds for operators that many models use, in the order in which they are tried at a node. */
const usual: readonly Workaround[] = [...products, ...shapes, ...integers];

/** Their names in a log of rewrites. */
export function workaroundNames(): readonly string[] {
  const { workarounds, names } = seldom();
  return [...names, ...[...usual, ...workarounds].map(({ name }) => name)];
}

function byOperator(workarounds: readonly Workaround[]): (node: Node) => Replacement | null {
  const operators = new Set(workarounds.flatMap(({ ops }) => ops));
  const found = new Map([...operators].map((op) => [op, workarounds.filter(({ ops }) => ops.includes(op))]));
  return (node) => {
    for (const { name, rewrite } of found.get(keyOf(node)) ?? []) {
      const results = rewrite(node, build);
      if (results) return { rule: name, results };
    }
    return null;
  };
}

/**
 * The same outputs, in a form that ONNX Runtime computes as ONNX defines it.
 * @param data what the inputs may hold
 * @param seen is called with each rewrite
 */
export function aroundFaults(outputs: readonly Value[], data: RangeOptions = {}, seen?: OnRewrite): Value[] {
  const { workarounds, poolsOfInfinities } = seldom();
  return simplifyFor(byOperator([...usual, ...workarounds]), poolsOfInfinities(outputs, data, seen), seen);
}
