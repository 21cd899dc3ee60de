/** Rewriting rules for arithmetic with constants. */

import { Ranges } from "../analysis/ranges.js";
import { uniform } from "../graph/behind.js";
import { sameShape } from "../graph/dim.js";
import { inputOf, inputsOf } from "../graph/operands.js";
import { type Node, nodeOf, type Value } from "../graph/value.js";
import { type Build, elementFactor } from "../ops/build.js";
import { isFloat } from "../tensor/tensor.js";
import { input, output, type Rewrite, type Rule } from "./rule.js";

/** x if the result has x's shape; null if x is broadcast. */
export function unchanged(node: Node, x: Value): Value[] | null {
  return sameShape(x.shape, output(node).shape) && x.dtype === output(node).dtype ? [x] : null;
}

const neutral: Rewrite = (node) => {
  const holds = (index: number, element: number) => uniform(node.inputs[index]) === element;
  const same = (index: number) => unchanged(node, input(node, index));
  if (node.op === "Mul" || node.op === "Add") {
    const element = node.op === "Mul" ? 1 : 0;
    if (holds(1, element)) return same(0);
    return holds(0, element) ? same(1) : null;
  }
  if (node.op === "Sub") return holds(1, 0) ? same(0) : null;
  return holds(1, 1) ? same(0) : null;
};

const minusOne: Rewrite = (node, build) => {
  if (uniform(node.inputs[1]) !== -1) return null;
  return unchanged(node, input(node, 0)) && [build.neg(input(node, 0))];
};

/** `Pow` by 2, of any dtype. */
const square: Rewrite = (node, build) =>
  uniform(node.inputs[1]) === 2 && unchanged(node, input(node, 0)) ? [build.square(input(node, 0))] : null;

/**
 * Powers whose exponents amount to a few products, roots and reciprocals. They are within 2 units in the last place of
 * `Pow`, and equal to it where it is 0, infinite or NaN. `Pow` takes a kernel 25 times as long.
 */
const powers: ReadonlyMap<number, (build: Build, x: Value) => Value> = new Map([
  [-2, (build, x) => build.square(reciprocal(build, x))],
  [-1.5, (build, x) => build.mul(reciprocal(build, root(build, x)), reciprocal(build, build.abs(x)))],
  [-1, (build, x) => reciprocal(build, x)],
  [-0.5, (build, x) => reciprocal(build, root(build, x))],
  [0.5, (build, x) => root(build, x)],
  [1.5, (build, x) => build.mul(root(build, x), build.abs(x))],
  [3, (build, x) => build.mul(build.square(x), x)],
  [4, (build, x) => build.square(build.square(x))],
]);

const power: Rewrite = (node, build) => {
  const exponent = uniform(node.inputs[1]);
  const compute = exponent === undefined ? undefined : powers.get(exponent);
  if (!compute) return null;
  const x = inputOf(node, 0);
  return isFloat(x.dtype) && unchanged(node, x) ? [compute(build, x)] : null;
};

function reciprocal(build: Build, x: Value): Value {
  return build.op("Reciprocal", [x]);
}

/** x to the power of 0.5: unlike the square root, it is +0 for -0 and infinite for -infinity. */
function root(build: Build, x: Value): Value {
  const plain = build.op("Sqrt", [x]);
  const { low } = Ranges.before([x]).of(x);
  if (low > 0) return plain;
  const unsigned = build.abs(plain);
  if (low === 0) return unsigned;
  const lowest = build.scalar(Number.NEGATIVE_INFINITY, x);
  return build.where(build.equal(x, lowest), build.scalar(Number.POSITIVE_INFINITY, x), unsigned);
}

/** A value times a number. */
interface Scaling {
  readonly x: Value;
  readonly factor: number;
}

/** Bounds on numbers whose products neither overflow nor lose bits in float32. */
const [smallestFactor, largestFactor] = [2 ** -60, 2 ** 60];

/** The value and the factor if a node multiplies by a constant number or divides by one; null for any other node. */
function scalingOf(node: Node | undefined): Scaling | null {
  if (!node || (node.op !== "Mul" && node.op !== "Div") || !isFloat(output(node).dtype)) return null;
  const [a, b] = inputsOf(node, 2);
  const [left, right] = [uniform(a), uniform(b)];
  const by = (x: Value, factor: number): Scaling | null =>
    unchanged(node, x) && Math.abs(factor) >= smallestFactor && Math.abs(factor) <= largestFactor
      ? { x, factor }
      : null;
  if (right !== undefined) return by(a, node.op === "Mul" ? right : 1 / right);
  return left !== undefined && node.op === "Mul" ? by(b, left) : null;
}

/** (x a) b = x (a b), even if x a has other readers: for a target that runs faster this way. */
export const scaledTwice: Rewrite = (node, build) => {
  const outer = scalingOf(node);
  const inner = outer && scalingOf(nodeOf(outer.x));
  return inner ? [build.scale(inner.x, inner.factor * outer.factor)] : null;
};

/** A product with a mask that is 1 where a condition holds and 0 elsewhere. */
interface Masked {
  readonly x: Value;
  readonly condition: Value;
}

function maskedOf(node: Node | undefined): Masked | null {
  if (node?.op !== "Mul" || !isFloat(output(node).dtype)) return null;
  const [a, b] = inputsOf(node, 2);
  const conditionOf = (value: Value) => {
    const before = nodeOf(value);
    return before?.op === "Cast" && input(before, 0).dtype === "bool" ? input(before, 0) : null;
  };
  const [left, right] = [conditionOf(a), conditionOf(b)];
  if (right && unchanged(node, a)) return { x: a, condition: right };
  return left && unchanged(node, b) ? { x: b, condition: left } : null;
}

/**
 * Two masks are combined first if they have fewer elements than the value they mask, which is then multiplied only
 * once.
 */
const maskedTwice: Rewrite = (node, build) => {
  const outer = maskedOf(node);
  const inner = outer && maskedOf(nodeOf(outer.x));
  if (!inner) return null;
  const both = build.op("And", [inner.condition, outer.condition]);
  const isSmaller = elementFactor(both.shape) < elementFactor(output(node).shape);
  return isSmaller ? [build.mul(inner.x, build.cast(both, output(node).dtype))] : null;
};

/** The rules, in the order in which they are tried. */
export const arithmeticRules: readonly Rule[] = [
  { name: "neutral-element", ops: ["Mul", "Add", "Sub", "Div", "Pow"], rewrite: neutral },
  { name: "power-of-two", ops: ["Pow"], rewrite: square },
  { name: "constant-power", ops: ["Pow"], rewrite: power },
  { name: "times-minus-one", ops: ["Mul"], rewrite: minusOne },
  { name: "masked-twice", ops: ["Mul"], rewrite: maskedTwice },
];
