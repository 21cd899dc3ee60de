/** Constant masks of -inf: finds whether each line that they are added to keeps an element. */

import { stridesOf } from "../../float64/array64.js";
import { fixedSizes, isBatch } from "../../graph/dim.js";
import { inputOf } from "../../graph/operands.js";
import { constantOf, nodeOf, type Value } from "../../graph/value.js";
import { nth } from "../../present.js";
import { alwaysFinite, type Range } from "../range.js";

/** Whether each line along `axis` certainly holds a finite element, if all other values are finite or -inf. */
export function holdsFinite(value: Value, axis: number, of: (value: Value) => Range): boolean {
  if (alwaysFinite(of(value))) return true;
  if (constantOf(value)) return eachLine(value, axis, (element) => Number.isFinite(element));
  const node = nodeOf(value);
  if (!node) return false;
  const operand = (index: number): readonly [Value, number] => {
    const input = inputOf(node, index);
    // Shapes align at the right; a line that is broadcast is one element, repeated.
    return [input, axis - value.shape.length + input.shape.length];
  };
  if (node.op === "Add") return additive(operand(0), operand(1), of) || additive(operand(1), operand(0), of);
  return node.op === "Where" && chosen(operand, of);
}

function additive(
  [a, axis]: readonly [Value, number],
  [b]: readonly [Value, number],
  of: (value: Value) => Range,
): boolean {
  return axis >= 0 && alwaysFinite(of(b)) && holdsFinite(a, axis, of);
}

/** Where(mask, x, -inf) or Where(mask, -inf, x) with a constant mask. */
function chosen(operand: (index: number) => readonly [Value, number], of: (value: Value) => Range): boolean {
  const [condition, axis] = operand(0);
  if (axis < 0 || !constantOf(condition)) return false;
  return [true, false].some((holds) => {
    const [kept] = operand(holds ? 1 : 2);
    return alwaysFinite(of(kept)) && eachLine(condition, axis, (element) => (element !== 0) === holds);
  });
}

function eachLine(value: Value, axis: number, test: (element: number) => boolean): boolean {
  const data = constantOf(value)?.data;
  if (!data || value.shape.some(isBatch)) return false;
  const dims = fixedSizes(value.shape);
  const [stride, count] = [nth(stridesOf(dims), axis), nth(dims, axis)];
  const lines = new Set<number>();
  data.forEach((element: number | bigint, at: number) => {
    if (test(Number(element))) lines.add(Math.floor(at / (stride * count)) * stride + (at % stride));
  });
  return lines.size * count === data.length;
}
