/** Expressions that ONNX Runtime computes correctly, but faster or with less memory in another form (1.32). */
import { factorOf, sameDim } from "../../graph/dim.js";
import { inputOf, inputsOf, outputOf } from "../../graph/operands.js";
import { constantOf, dimsValue, type Node, nodeOf, type Value } from "../../graph/value.js";
import { restated } from "../../lower/restated.js";
import { intAttribute, intsAttribute, normalAxis } from "../../ops/checks.js";
import { build } from "../../ops/registry.js";
import { merged } from "../../optimise/merger.js";
import { leadingOf, nth, present } from "../../present.js";
import { typicalSamples } from "./order.js";

/** The same values in that form, with none computed twice. */
export function stated(values: readonly Value[]): Value[] {
  return merged(restated({ name: "stated-faster", begin: () => (node) => rules[node.op]?.(node) ?? null }, values));
}

const rules: Readonly<Record<string, (node: Node) => Value | null>> = {
  Gemm: product,
  Exp: probabilities,
  ReduceSum: summedInPlace,
};

function product(node: Node): Value | null {
  const ordered = inAnyOrder(node);
  return turnedBefore(ordered ? present(nodeOf(ordered)) : node) ?? ordered;
}

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

/**
 * From this many columns in the result on, transposing an operand first takes less time; with 256 columns it took 0.9
 * to 1.15 times as long.
 */
const manyColumns = 512;

/** From this many elements on, in a typical batch, it takes less time with the nodes that it adds. */
const manyElements = 2 ** 13;

/**
 * A product whose left operand is transposed. The kernel transposes it while it multiplies, a few elements at a time,
 * and again for every 128 columns of the result, so that such a product takes up to 1.5 times as long as others.
 */
function turnedBefore(node: Node): Value | null {
  if (node.domain !== "" || intAttribute(node, "transA", 0) !== 1) return null;
  const [left, right, ...others] = inputsOf(node, 2);
  const [inner, rows] = leadingOf(left.shape, 2);
  const columns = factorOf(nth(right.shape, intAttribute(node, "transB", 0) ? 0 : 1));
  const elements = factorOf(inner) * factorOf(rows) * typicalSamples;
  if (columns < manyColumns || elements < manyElements || factorOf(rows) === 1) return null;
  // One sample's part of the copy would then be larger than the result.
  if (factorOf(inner) > columns) return null;
  // An axis of size 1 between them keeps the runtime from fusing the two again.
  const turned = build.op("Transpose", [reshaped(left, [1, inner, rows])], { perm: [0, 2, 1] });
  const inputs = [reshaped(turned, [rows, inner]), right, ...others];
  return build.op("Gemm", inputs, { ...node.attributes, transA: 0 });
}

/** A separate node, whatever precedes it. */
const reshaped = (value: Value, shape: Value["shape"]): Value =>
  build.op("Reshape", [value, dimsValue(shape)], { allowzero: 1 });

/** From this many classes on, it matters. */
const manyClasses = 128;

/** exp(log softmax): Exp takes several times as long as Softmax, and does not overwrite its input. */
function probabilities(node: Node): Value | null {
  const before = nodeOf(inputOf(node, 0));
  if (before?.op !== "LogSoftmax" || before.domain !== "") return null;
  const x = inputOf(before, 0);
  const axis = normalAxis(before, intAttribute(before, "axis", -1), x.shape.length);
  return factorOf(nth(x.shape, axis)) < manyClasses ? null : build.op("Softmax", [x], before.attributes);
}
