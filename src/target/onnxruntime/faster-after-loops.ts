/** Faster forms of what is computed from results of loops, whose steps come first and samples second. */
import { factorOf, sameDim } from "../../graph/dim.js";
import { inputOf, inputsOf, outputOf } from "../../graph/operands.js";
import { constantOf, type Node, nodeOf, type Value } from "../../graph/value.js";
import { intAttribute, intsAttribute } from "../../ops/checks.js";
import { build } from "../../ops/registry.js";
import { nth } from "../../present.js";
import type { FasterForms } from "./faster-forms.js";

/** A matrix whose rows are the two first axes of a value. */
interface Rows {
  readonly value: Value;
  /** Whether the two axes are exchanged before they are joined. */
  readonly exchanged: boolean;
}

/** `[a, b, c]` as the matrix `[a*b, c]`, or `[b*a, c]`; null for any other matrix. */
function rowsOf(matrix: Value): Rows | null {
  const node = nodeOf(matrix);
  if (node?.op !== "Reshape") return null;
  const value = inputOf(node, 0);
  if (value.shape.length !== 3 || matrix.shape.length !== 2 || !sameDim(nth(value.shape, 2), nth(matrix.shape, 1)))
    return null;
  const before = nodeOf(value);
  const exchanged = before?.op === "Transpose" && intsAttribute(before, "perm")?.join() === "1,0,2";
  return { value: exchanged ? inputOf(before, 0) : value, exchanged };
}

/**
 * A sum of outer products, over steps and samples: the order of its terms does not matter. So operands that are both
 * transposed to bring the samples to the front, as results of loops are, stay as they are; of two operands of which one
 * is transposed, that with fewer columns is.
 */
function inAnyOrder(node: Node): Value | null {
  if (node.domain !== "" || intAttribute(node, "transA", 0) !== 1 || intAttribute(node, "transB", 0) !== 0) return null;
  const [a, b, ...others] = inputsOf(node, 2);
  const [left, right] = [rowsOf(a), rowsOf(b)];
  if (!left || !right || !(left.exchanged || right.exchanged)) return null;
  const columns = ({ value }: Rows) => factorOf(nth(value.shape, 2));
  if (left.exchanged !== right.exchanged) {
    const [moved, still] = left.exchanged ? [left, right] : [right, left];
    if (columns(still) >= columns(moved)) return null;
  }
  const operand = ({ value, exchanged }: Rows, matrix: Value) => {
    const ordered = exchanged || left.exchanged === right.exchanged ? value : build.transpose(value, [1, 0, 2]);
    return build.reshape(ordered, matrix.shape);
  };
  return build.op("Gemm", [operand(left, a), operand(right, b), ...others], node.attributes);
}

/** A sum over axes of a transposed value is the sum over other axes of the value itself. */
function summedInPlace(node: Node): Value | null {
  const before = nodeOf(inputOf(node, 0));
  const axes = Array.from(constantOf(node.inputs[1])?.data ?? [], Number);
  const permutation = before?.op === "Transpose" ? intsAttribute(before, "perm") : undefined;
  if (!before || !permutation || axes.length === 0) return null;
  const summed = axes.map((axis) => nth(permutation, axis < 0 ? axis + permutation.length : axis));
  const left = permutation.filter((axis) => !summed.includes(axis));
  if (left.some((axis, k) => k > 0 && axis < nth(left, k - 1))) return null;
  const sum = build.sum(inputOf(before, 0), summed);
  return build.reshape(sum, outputOf(node, 0).shape);
}

export const fasterAfterLoops: FasterForms = { Gemm: inAnyOrder, ReduceSum: summedInPlace };
