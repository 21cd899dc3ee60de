/** One row of a value whose rows, as many as the file has samples, can be shown to be equal. */
import { factorOf } from "../../../graph/dim.js";
import { constantOf, nodeOf, type Value } from "../../../graph/value.js";
import { intAttribute } from "../../../ops/checks.js";
import { build, definitionOf } from "../../../ops/registry.js";

/** One of `size` equal slices along an axis; null if they cannot be shown to be equal. */
export function oneRow(value: Value, axis: number, size: number): Value | null {
  if (value.shape[axis] !== size || size === 1) return value;
  return repeatedRow(value, axis) ?? rowThrough(value, axis, size);
}

/** The first slice along an axis if the value itself repeats it: by its operator, or as a constant of equal slices. */
export function repeatedRow(value: Value, axis: number): Value | null {
  const node = nodeOf(value);
  const source = node?.inputs[0];
  const own = source && (source.shape[axis - value.shape.length + source.shape.length] ?? 1);
  const repeats = node && definitionOf(node)?.repeats && own === 1;
  const isEqual = node?.op === "ConstantOfShape" || repeats || hasEqualRows(value, axis);
  return isEqual ? build.slice(value, axis, 0, 1) : null;
}

/** Row by row through an operator: the operator on one row of each of its inputs. */
function rowThrough(value: Value, axis: number, size: number): Value | null {
  const node = nodeOf(value);
  if (!node) return null;
  const rank = value.shape.length;
  const product =
    (node.op === "MatMul" || (node.op === "Gemm" && intAttribute(node, "transA", 0) === 0)) && axis === rank - 2;
  if (node.domain !== "" || !(product || definitionOf(node)?.elementwise)) return null;
  const rows = node.inputs.map((input, k) => {
    const at = input ? axis - rank + input.shape.length : -1;
    return !input || at < 0 || (product && k === 1) ? input : oneRow(input, at, size);
  });
  const complete = node.inputs.every((input, k) => input === null || rows[k] !== null);
  return complete ? build.op(node.op, rows, node.attributes) : null;
}

/** Whether all slices of a constant along an axis are the same, bit for bit. */
function hasEqualRows(value: Value, axis: number): boolean {
  const constant = constantOf(value);
  if (!constant) return false;
  const data = Array.from<number | bigint>(constant.data);
  const behind = value.shape.slice(axis + 1).reduce<number>((product, dim) => product * factorOf(dim), 1);
  const rows = factorOf(value.shape[axis] ?? 1);
  return data.every((element, k) => Object.is(element, data[k - (Math.floor(k / behind) % rows) * behind]));
}
