/** Rewriting rules for rows that are added to zeros: an operation on the sum can be applied to fewer elements. */

import { isZero } from "../graph/behind.js";
import { elementsOf, factorOf, sameDim, sameShape } from "../graph/dim.js";
import { inputOf, inputsOf, outputOf } from "../graph/operands.js";
import { constantOf, type Node, nodeOf, type Value } from "../graph/value.js";
import type { Build } from "../ops/build.js";
import { addRowsTo, rowsAddedBy } from "../ops/subgraphs/table.js";
import { leadingOf, nth, present } from "../present.js";
import type { Rewrite, Rule } from "./rule.js";

/** Updates added to zeros at places along one axis, as ScatterElements and AddRows do, and then perhaps reshaped. */
interface Scattered {
  /** Whether each place receives a whole row. */
  readonly rows: boolean;
  /** The node's own result, before any reshape. */
  readonly result: Value;
  readonly places: Value;
  readonly updates: Value;
  readonly axis: number;
}

function scattered(value: Value): Scattered | null {
  const node = nodeOf(value);
  if (node?.op === "Reshape") return scattered(inputOf(node, 0));
  const added = rowsAddedBy(node);
  if (node && added && !added.table) return { ...added, rows: true, result: outputOf(node, 0), axis: 0 };
  if (node?.op !== "ScatterElements" || node.attributes.reduction !== "add" || !isZero(node.inputs[0])) return null;
  const [, places, updates] = inputsOf(node, 3);
  const [result] = leadingOf(node.outputs, 1);
  const axis = Number(node.attributes.axis ?? 0);
  return { rows: false, result, places, updates, axis: axis < 0 ? axis + result.shape.length : axis };
}

/** The same updates, added to x instead of zeros. */
function onto(build: Build, { result, places, updates, axis, rows }: Scattered, x: Value): Value {
  const base = build.reshape(x, result.shape);
  const sum = rows
    ? addRowsTo(build, { places, updates }, base)
    : build.op("ScatterElements", [base, places, updates], { axis, reduction: "add" });
  return build.reshape(sum, x.shape);
}

/** The two terms of a node, if both have its result's shape; null if one is broadcast. */
function terms(node: Node): readonly [Value, Value] | null {
  const [a, b] = node.inputs;
  const shape = present(node.outputs[0]?.shape);
  return a && b && sameShape(a.shape, shape) && sameShape(b.shape, shape) ? [a, b] : null;
}

/** Scattered u plus x = u scattered onto x; minus x, onto -x: this writes no zeros and adds no two tensors. */
const sumOfScatter: Rewrite = (node, build) => {
  const operands = terms(node);
  if (!operands) return null;
  const [a, b] = operands;
  const [left, right] = [scattered(a), scattered(b)];
  if (left) return [onto(build, left, node.op === "Add" ? b : build.neg(b))];
  if (right) return [onto(build, node.op === "Add" ? right : { ...right, updates: build.neg(right.updates) }, a)];
  return null;
};

/** The sum of scattered u along the axis of its places = the sum of u. */
const reductionOfScatter: Rewrite = (node, build) => {
  const found = node.inputs[0] ? scattered(node.inputs[0]) : null;
  const axes = node.inputs[1] ? Array.from(constantOf(node.inputs[1])?.data ?? [], Number) : [];
  if (!found || found.result !== node.inputs[0] || axes.length === 0) return null;
  const { result, updates, axis } = found;
  const rank = result.shape.length;
  const whole = result.shape.every((dim, k) => k === axis || sameDim(dim, nth(updates.shape, k)));
  const summed = axes.map((each) => (each < 0 ? each + rank : each));
  return whole && summed.includes(axis) ? [build.sum(updates, summed, node.attributes.keepdims !== 0)] : null;
};

/** -(a b) = a (-b) if b is the smaller: this negates fewer elements. */
const negatedProduct: Rewrite = (node, build) => {
  const product = node.inputs[0] ? nodeOf(node.inputs[0]) : undefined;
  if (product?.op !== "Mul") return null;
  const size = (value: Value) => factorOf(elementsOf(value.shape) ?? Number.POSITIVE_INFINITY);
  const [a, b] = inputsOf(product, 2);
  if (size(a) === size(b)) return null;
  return [size(a) < size(b) ? build.mul(build.neg(a), b) : build.mul(a, build.neg(b))];
};

export const scatterRules: readonly Rule[] = [
  { name: "sum-of-scatter", ops: ["Add", "Sub"], rewrite: sumOfScatter },
  { name: "reduction-of-scatter", ops: ["ReduceSum"], rewrite: reductionOfScatter },
  { name: "negated-product", ops: ["Neg"], rewrite: negatedProduct },
];
