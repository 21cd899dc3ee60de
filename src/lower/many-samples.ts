/**
 * Sums over some hundred samples, in parts that are added side by side. Of all sums that float32 adds one term after
 * another, only those over the samples have a length that is unknown until a program runs. A row of ones is replaced by
 * a mask with one row per part: `mask[k, n] = 1` where n mod parts is k. Such a product takes two to three times as
 * long, so only batches that need it use it.
 */

import { type Dim, elementsOf, factorOf, isBatch, N } from "../graph/dim.js";
import { inputsOf, outputOf } from "../graph/operands.js";
import type { OnRewrite } from "../graph/rewritten.js";
import { dimsValue, type Node, type Value } from "../graph/value.js";
import { build } from "../ops/registry.js";
import { reducedAxes } from "../ops/rules/reductions.js";
import { gemmBy, matMulBy, restated } from "./restated.js";

/** Its name in a log of rewrites. */
export const splitting = "samples-in-parts";

/** The same outputs, with sums over the samples in parts. `sumsInBlocks` describes the other parameters. */
export function samplesInParts(outputs: readonly Value[], own: readonly Value[] = [], seen?: OnRewrite): Value[] {
  const begin = () => {
    const masks = new Masks();
    return (node: Node) =>
      node.outputs[0]?.dtype === "float32" && node.domain === "" ? summedInParts(node, masks) : null;
  };
  return restated({ name: splitting, begin }, outputs, own, seen);
}

/**
 * With 128 columns or more the runtime adds 128 products in a row, so a few parts suffice; with fewer columns it adds
 * up to 1,024.
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

function summedInParts(node: Node, masks: Masks): Value | null {
  const ofMatrices = (left: Value, right: Value) => product(left, right, masks);
  if (node.op === "MatMul") return matMulBy(node, ofMatrices);
  if (node.op === "Gemm") return gemmBy(node, ofMatrices);
  if (node.op === "ReduceSum") return reducedInParts(node, masks);
  return null;
}

const isSamples = (dim: Dim | undefined): boolean => dim !== undefined && isBatch(dim) && factorOf(dim) === 1;

/** A row times a matrix `[N, columns]`, or a matrix `[rows, N]` times a column; null for other products. */
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

/** A sum over the samples alone, with fixed axes either after them or before them. */
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
