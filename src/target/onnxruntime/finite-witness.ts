/** Numbers that show that large results and inputs are finite, which the runtime computes in less time than JavaScript. */
import { elementsOf, isBatch } from "../../graph/dim.js";
import { inputsOf } from "../../graph/operands.js";
import { nodeOf, type Value } from "../../graph/value.js";
import { floatAttribute } from "../../ops/checks.js";
import { build } from "../../ops/registry.js";
import { typicalSamples } from "./order.js";

/** From this many elements on, the runtime adds them up in less time than JavaScript, with the output that this takes. */
const manyElements = 2 ** 14;

export function isLarge({ dtype, shape }: Value): boolean {
  const elements = elementsOf(shape);
  return dtype === "float32" && typeof elements === "number" && elements >= manyElements;
}

/** Whether an input holds so many numbers of samples that looking at them in JavaScript takes noticeable time. */
export function isLargeInput(input: Value): boolean {
  return input.dtype === "float32" && input.shape.some(isBatch) && elementsIn(input) >= manyElements;
}

/**
 * A sum, `[]`, of numbers that are finite only if all elements are; it may overflow, too. Null for no values.
 * @param inputs data, of which squares are added up: a weight's gradient may need them anyway
 */
export function witnessOf(values: readonly Value[], inputs: readonly Value[]): Value | null {
  const sums = values.flatMap((value) => {
    const factors = smallFactors(value);
    return factors ? factors.map(sumOfSquares) : [build.op("ReduceSum", [value], { keepdims: 0 })];
  });
  const all = [...sums, ...inputs.map(sumOfSquares)];
  return all.length === 0 ? null : build.op("Sum", all);
}

const sumOfSquares = (value: Value): Value => build.op("ReduceSumSquare", [value], { keepdims: 0 });

/**
 * The factors of a matrix product, if they have far fewer elements than it has, for a usual batch. No element of the
 * product exceeds half of the sum of their squares (Cauchy and Schwarz).
 */
function smallFactors(value: Value): readonly Value[] | null {
  const node = nodeOf(value);
  if (node?.op !== "Gemm" || node.inputs.length !== 2 || floatAttribute(node, "alpha", 1) !== 1) return null;
  const [left, right] = inputsOf(node, 2);
  const factors = [left, right];
  const held = factors.reduce((sum, factor) => sum + elementsIn(factor), 0);
  return 2 * held < elementsIn(value) ? factors : null;
}

function elementsIn({ shape }: Value): number {
  const elements = elementsOf(shape) ?? Number.POSITIVE_INFINITY;
  return isBatch(elements) ? elements.perSample * typicalSamples : elements;
}
