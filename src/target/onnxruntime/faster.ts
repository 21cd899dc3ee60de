/** Expressions that ONNX Runtime computes correctly, but faster or with less memory in another form (1.32). */
import { factorOf } from "../../graph/dim.js";
import { inputOf, inputsOf } from "../../graph/operands.js";
import { dimsValue, type Node, nodeOf, type Value } from "../../graph/value.js";
import { restated } from "../../lower/restated.js";
import { intAttribute, normalAxis } from "../../ops/checks.js";
import { build } from "../../ops/registry.js";
import { merged } from "../../optimise/merger.js";
import { leadingOf, nth, present } from "../../present.js";
import type { FasterForms } from "./faster-forms.js";
import { typicalSamples } from "./order.js";
import { seldomFaster } from "./workarounds/seldom.js";

/** The same values in that form, with none computed twice. */
export function stated(values: readonly Value[]): Value[] {
  return merged(restated({ name: "stated-faster", begin: () => (node) => rules[node.op]?.(node) ?? null }, values));
}

const rules: FasterForms = {
  Gemm: product,
  Exp: probabilities,
  ReduceSum: (node) => seldomFaster().ReduceSum?.(node) ?? null,
};

function product(node: Node): Value | null {
  const ordered = seldomFaster().Gemm?.(node);
  return turnedBefore(ordered ? present(nodeOf(ordered)) : node) ?? ordered ?? null;
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
