/**
 * Sums over some hundred samples, in parts that run side by side: of the sums that float32 adds up one term after
 * another, those over the samples are the only ones whose length is not known before a program runs. A mask of as many
 * rows as there are parts, `mask[k, n] = 1` where n mod parts is k, takes the place of a row of ones. That costs two
 * to three times the time of such a product, so it is for batches for which it is needed.
 */

import { isBody } from "../graph/body.js";
import { type Dim, elementsOf, factorOf, isBatch, N } from "../graph/dim.js";
import { inputsOf, outputOf } from "../graph/operands.js";
import type { OnRewrite } from "../graph/rewritten.js";
import { dimsValue, type Node, type Value } from "../graph/value.js";
import { nodesBefore } from "../graph/walk.js";
import { floatAttribute, intAttribute } from "../ops/checks.js";
import { build } from "../ops/registry.js";
import { reducedAxes } from "../ops/rules/reductions.js";
import { nth } from "../present.js";
import { remade, withInputs } from "./remade.js";

/** What a log of rewrites calls it. */
export const splitting = "samples-in-parts";

/** The same outputs, with sums over the samples in parts. For the other parameters see `sumsInBlocks`. */
export function samplesInParts(outputs: readonly Value[], own: readonly Value[] = [], seen?: OnRewrite): Value[] {
  const kept = new Set(nodesBefore(own));
  const current = new Map<Value, Value>();
  const masks = new Masks();
  for (const node of nodesBefore(outputs)) {
    if (kept.has(node)) continue;
    const before = withPartsInside(withInputs(node, current), seen);
    const [first] = before.outputs;
    const parts = first?.dtype === "float32" && before.domain === "" ? inParts(before, masks) : null;
    const results = parts ? [parts] : before.outputs;
    seen?.({ rule: parts ? splitting : null, node, results });
    node.outputs.forEach((output, k) => {
      if (results[k] !== output) current.set(output, nth(results, k));
    });
  }
  return outputs.map((output) => current.get(output) ?? output);
}

function withPartsInside(node: Node, seen: OnRewrite | undefined): Node {
  const { body } = node.attributes;
  if (!isBody(body)) return node;
  const outputs = samplesInParts(body.outputs, [], seen);
  if (outputs.every((output, k) => output === body.outputs[k])) return node;
  return remade({ ...node, attributes: { ...node.attributes, body: { ...body, outputs } } });
}

/**
 * With 128 columns or more the runtime adds up 128 products in a row, so that a part has few of them; with fewer
 * columns it adds up to 1,024.
 */
const partsFor = (columns: number): number => (columns >= 128 ? 4 : 16);

/** The masks `[parts, N]` of one graph. */
class Masks {
  readonly #made = new Map<number, Value>();

  of(parts: number): Value {
    const mask = this.#made.get(parts) ?? maskOf(parts);
    this.#made.set(parts, mask);
    return mask;
  }
}

function maskOf(parts: number): Value {
  const numbers = build.op("Range", [build.ints([0], []), dimsValue([N], true), build.ints([1], [])]);
  const own = build.op("Mod", [build.reshape(numbers, [1, N]), build.ints([parts], [])]);
  return build.cast(build.equal(own, build.ints([...Array(parts).keys()], [parts, 1])), "float32");
}

function inParts(node: Node, masks: Masks): Value | null {
  if (node.op === "MatMul") return productInParts(node, masks);
  if (node.op === "Gemm") return gemmInParts(node, masks);
  if (node.op === "ReduceSum") return reducedInParts(node, masks);
  return null;
}

const isSamples = (dim: Dim | undefined): boolean => dim !== undefined && isBatch(dim) && factorOf(dim) === 1;

/** A row times a matrix `[N, columns]`, or a matrix `[rows, N]` times a column; null where it is neither. */
function product(left: Value, right: Value, masks: Masks): Value | null {
  const [[rows, inner], [, columns]] = [left.shape, right.shape];
  if (left.shape.length !== 2 || right.shape.length !== 2 || !isSamples(inner)) return null;
  if (rows === undefined || columns === undefined || isBatch(rows) || isBatch(columns)) return null;
  if (rows === 1) {
    const parts = partsFor(columns);
    const sums = build.matmul(build.mul(left, masks.of(parts)), right);
    return together(sums, parts);
  }
  if (columns !== 1) return null;
  const parts = partsFor(1);
  const sums = build.matmul(left, build.mul(right, build.transposeLast(masks.of(parts))));
  return build.reduce("ReduceSum", sums, [1], true);
}

/** The sum of the rows, which the runtime computes faster as a product. */
const together = (sums: Value, parts: number): Value =>
  build.matmul(build.floats(new Float64Array(parts).fill(1), [1, parts], sums), sums);

function productInParts(node: Node, masks: Masks): Value | null {
  const [left, right] = inputsOf(node, 2);
  const before = left.shape.length === 1 ? build.unsqueeze(left, [0]) : left;
  const behind = right.shape.length === 1 ? build.unsqueeze(right, [1]) : right;
  const result = product(before, behind, masks);
  return result && build.reshape(result, outputOf(node, 0).shape);
}

function gemmInParts(node: Node, masks: Masks): Value | null {
  const [a, b] = inputsOf(node, 2);
  const turned = (value: Value, key: string) => (intAttribute(node, key, 0) ? build.transposeLast(value) : value);
  const result = product(turned(a, "transA"), turned(b, "transB"), masks);
  if (!result) return null;
  const scaled = build.scale(result, floatAttribute(node, "alpha", 1));
  const c = node.inputs[2];
  return c ? build.add(scaled, build.scale(c, floatAttribute(node, "beta", 1))) : scaled;
}

/** A sum over the samples alone, with fixed axes behind them or before them. */
function reducedInParts(node: Node, masks: Masks): Value | null {
  const [x] = inputsOf(node, 1);
  const [axis, ...others] = reducedAxes(node);
  if (axis === undefined || others.length > 0 || !isSamples(x.shape[axis])) return null;
  const { shape } = outputOf(node, 0);
  const [before, behind] = [elementsOf(x.shape.slice(0, axis)), elementsOf(x.shape.slice(axis + 1))];
  if (before === undefined || behind === undefined || isBatch(before) || isBatch(behind)) return null;
  if (before !== 1 && behind !== 1) return null;
  const parts = before === 1 ? partsFor(behind) : partsFor(1);
  const mask = masks.of(parts);
  if (before === 1) {
    const sums = build.matmul(mask, build.reshape(x, [N, behind]));
    return build.reshape(together(sums, parts), shape);
  }
  const sums = build.matmul(build.reshape(x, [before, N]), build.transposeLast(mask));
  return build.reshape(build.reduce("ReduceSum", sums, [1]), shape);
}
