/** Constant folding: values that depend on constants alone are computed when the graph is made. */

import type { Array64 } from "../float64/array64.js";
import { isBatch } from "../graph/dim.js";
import { outputOf } from "../graph/operands.js";
import { constantValue, leaf, type Node, type Value } from "../graph/value.js";
import { presentInputs } from "../graph/walk.js";
import { elementFactor } from "../ops/build.js";
import { definitionOf } from "../ops/registry.js";
import { isFloat, numberArrayOf, tensorWith } from "../tensor/tensor.js";
import { evaluateGraph, toArray64 } from "./evaluate.js";

/** Results of up to this many elements are folded. */
const largestFolded = 4096;

/** The outputs as constants, or null if the node reads anything but small constants, or produces larger ones. */
export function foldNode(node: Node): Value[] | null {
  if (!node.inputs.every((input) => !input || isFixed(input))) return null;
  const definition = definitionOf(node);
  if (definition?.random || (!definition?.evaluate && !definition?.decompose)) return null;
  if (!node.outputs.every(isSmall)) return null;
  if (node.op === "Einsum" && workOf(node) > largestWork) return null;
  const feeds = new Map<Value, Array64>();
  for (const input of presentInputs(node)) feeds.set(input, fixedElements(input));
  const results = evaluateGraph(node.outputs, feeds, 0);
  // An integer result that is not finite, such as the mean of no integers, is left to the caller.
  const exact = results.every(
    ({ data }, k) => isFloat(node.outputs[k]?.dtype ?? "bool") || data.every(Number.isFinite),
  );
  return exact ? results.map((array, k) => constantOf64(array, outputOf(node, k))) : null;
}

/** An Einsum multiplies as many numbers as its operands' index letters span, however few elements its result has. */
const largestWork = 2 ** 20;

function workOf(node: Node): number {
  return presentInputs(node).reduce((product, { shape }) => product * (elementFactor(shape) || 1), 1);
}

function isSmall({ shape }: Value): boolean {
  const product = shape.reduce<number>((size, dim) => size * (isBatch(dim) ? Number.POSITIVE_INFINITY : dim), 1);
  return product <= largestFolded && shape.every((dim) => isBatch(dim) || dim >= 0);
}

/** Whether a value's elements are the same at every run and for every batch size. */
function isFixed({ source, known }: Value): boolean {
  return source.kind === "constant" || (known !== undefined && !known.some(isBatch));
}

/** The elements of a value that is fixed. */
function fixedElements({ source, known = [], shape }: Value): Array64 {
  if (source.kind === "constant") return toArray64(source.tensor);
  return { dims: shape.length === 0 ? [] : [known.length], data: Float64Array.from(known, Number) };
}

/** The number that means "to the end" in a Slice; float64 rounds it up by 1. */
const largest = 2n ** 63n - 1n;

function constantOf64({ dims, data }: Array64, from: Value): Value {
  const { dtype, name } = from;
  if (isFloat(dtype)) {
    const constant = constantValue({ dtype: "float64", dims, data }, name, dtype);
    return constant.source.kind === "constant" ? leaf(name, constant, { ...constant.source, from }) : constant;
  }
  const big = dtype === "int64" || dtype === "uint64";
  const typed = big
    ? BigInt64Array.from(data, (x) => (x >= 2 ** 63 ? largest : BigInt(Math.trunc(x))))
    : numberArrayOf(dtype).from(data);
  return constantValue(tensorWith(dtype, dims, typed), name);
}
