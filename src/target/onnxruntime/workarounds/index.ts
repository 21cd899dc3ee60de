/**
 * All that ONNX Runtime lacks, refuses or gets wrong of what ONNX defines, and how to do without. What makes numbers right
 * in float32 anywhere (sums in blocks, derivatives that keep their digits) is no work-around and stands in lower/ and ops/.
 */
import type { RangeOptions } from "../../../analysis/ranges.js";
import type { OnRewrite } from "../../../graph/rewritten.js";
import type { Node, Value } from "../../../graph/value.js";
import { build } from "../../../ops/registry.js";
import { type Replacement, simplifyFor } from "../../../optimise/simplify.js";
import { attention } from "./attention.js";
import { convolutions } from "./convolutions.js";
import { emptyPools, poolsOfInfinities } from "./infinite-pools.js";
import { loops } from "./loops.js";
import { normalisation } from "./normalisation.js";
import { pools } from "./pools.js";
import { products } from "./products.js";
import { shapes } from "./shapes.js";
import { transforms } from "./transforms.js";
import { keyOf, type Workaround } from "./workaround.js";

/** In the order in which they are tried at a node. */
export const workarounds: readonly Workaround[] = [
  ...products,
  ...convolutions,
  ...pools,
  ...normalisation,
  ...attention,
  ...loops,
  ...shapes,
  ...transforms,
];

/** The names under which a log has them. */
export const workaroundNames: readonly string[] = [emptyPools, ...workarounds.map(({ name }) => name)];

const operators = new Set(workarounds.flatMap(({ ops }) => ops));
const byOperator = new Map([...operators].map((op) => [op, workarounds.filter(({ ops }) => ops.includes(op))]));

function workedAround(node: Node): Replacement | null {
  for (const { name, rewrite } of byOperator.get(keyOf(node)) ?? []) {
    const results = rewrite(node, build);
    if (results) return { rule: name, results };
  }
  return null;
}

/**
 * The same outputs, in what ONNX Runtime computes as ONNX defines it.
 * @param data what the inputs may hold
 * @param seen is called with what becomes of each node
 */
export function aroundFaults(outputs: readonly Value[], data: RangeOptions = {}, seen?: OnRewrite): Value[] {
  return simplifyFor(workedAround, poolsOfInfinities(outputs, data, seen), seen);
}
