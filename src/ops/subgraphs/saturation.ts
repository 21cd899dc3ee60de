/**
 * Slopes and factors where an activation saturates. In float32, Sigmoid, Tanh and Erf are accurate to about 1e-7, so
 * the small remainder to 0 or 1 has no correct digits: for sigmoid(-18) = 1.5e-8 the runtime returns three times that.
 * Exp keeps its relative precision. So factors in derivatives are expressed by Exp, in forms that neither cancel nor
 * become infinity over infinity: where exp(x) overflows, its reciprocal is 0. The forward pass keeps its own nodes.
 */

import { uniform } from "../../graph/behind.js";
import type { Value } from "../../graph/value.js";
import { nth } from "../../present.js";
import type { Build } from "../build.js";
import type { Restated } from "../definition.js";
import { internalDomain } from "./internal.js";

const onePlus = (build: Build, x: Value): Value => build.add(x, build.scalar(1, x));

const reciprocal = (build: Build, x: Value): Value => build.op("Reciprocal", [x]);

/** 1 + exp(-x), the reciprocal of sigmoid(x). It is computed from exp(x), which other expressions of x share. */
const inverseSigmoid = (build: Build, x: Value): Value => onePlus(build, reciprocal(build, build.exp(x)));

/** 1 + exp(x), the reciprocal of 1 - sigmoid(x). */
const inverseComplement = (build: Build, x: Value): Value => onePlus(build, build.exp(x));

/** exp(x) + exp(-x). */
function twiceCosh(build: Build, x: Value): Value {
  const grown = build.exp(x);
  return build.add(grown, reciprocal(build, grown));
}

/** dy times the derivative of sigmoid at x, 1 / (2 + exp(x) + exp(-x)). */
export function timesSigmoidSlope(build: Build, dy: Value, x: Value): Value {
  return build.div(dy, build.add(twiceCosh(build, x), build.scalar(2, x)));
}

/** dy times sigmoid(x). */
export function timesSigmoid(build: Build, dy: Value, x: Value): Value {
  return build.div(dy, inverseSigmoid(build, x));
}

/** dy times the derivative of tanh at x, the square of 2 / (exp(x) + exp(-x)). */
export function timesTanhSlope(build: Build, dy: Value, x: Value): Value {
  const sech = build.div(build.scalar(2, x), twiceCosh(build, x));
  return build.mul(build.mul(dy, sech), sech);
}

/** The derivative of erf(scale x) with respect to x: 2 scale / sqrt(pi) exp(-(scale x)^2). */
export function bell(build: Build, x: Value, scale = 1): Value {
  // scale^2 x^2 rather than (scale x)^2: the rounding of scale x would show in the exponent.
  const exponent = build.scale(build.square(x), -squareOfScale(scale));
  return build.scale(build.exp(exponent), (2 / Math.sqrt(Math.PI)) * scale);
}

// Exact if scale is the square root of 1/2.
export const squareOfScale = (x: number): number => Math.round(x * x * 2 ** 40) / 2 ** 40;

/** 1 + side * erf(scale x). */
export function erfBesideOne(build: Build, x: Value, side: 1 | -1, scale = 1): Value {
  const { outputs } = build.node("OnePlusErf", [x], { side, scale }, 1, { domain: internalDomain });
  return nth(outputs, 0);
}

/** A saturating function of x, with a sign. */
interface Saturating {
  readonly op: "Sigmoid" | "Tanh" | "Erf";
  readonly x: Value;
  readonly sign: 1 | -1;
}

function saturating(build: Build, value: Value | null | undefined): Saturating | null {
  const node = value ? build.origin(value) : undefined;
  const x = node?.inputs[0];
  if (!node || !x || node.domain !== "") return null;
  if (node.op === "Sigmoid" || node.op === "Tanh" || node.op === "Erf") return { op: node.op, x, sign: 1 };
  const inner = node.op === "Neg" ? saturating(build, x) : null;
  return inner && { ...inner, sign: inner.sign === 1 ? -1 : 1 };
}

/** `value` as 1 plus or minus a saturating function. */
function besideOne(build: Build, value: Value): Saturating | null {
  const node = build.origin(value);
  const [a, b] = node?.inputs ?? [];
  if (node?.op === "Add") {
    if (uniform(b) === 1) return saturating(build, a);
    return uniform(a) === 1 ? saturating(build, b) : null;
  }
  if (node?.op !== "Sub" || uniform(a) !== 1) return null;
  const taken = saturating(build, b);
  return taken && { ...taken, sign: taken.sign === 1 ? -1 : 1 };
}

/** The reciprocal of a factor, if that form keeps its digits; null if the factor itself has them. */
function preciseReciprocal(build: Build, factor: Value): Value | null {
  const plain = saturating(build, factor);
  if (plain?.op === "Sigmoid" && plain.sign === 1) return inverseSigmoid(build, plain.x);
  const beside = besideOne(build, factor);
  if (beside?.op === "Sigmoid" && beside.sign === -1) return inverseComplement(build, beside.x);
  if (beside?.op !== "Tanh") return null;
  // 1 + tanh(x) = 2 sigmoid(2x)
  const grown = build.scale(beside.x, -2 * beside.sign);
  return build.scale(onePlus(build, build.exp(grown)), 0.5);
}

/**
 * The value with full relative precision, if it is the remainder of a saturated Sigmoid, Tanh or Erf (`sigmoid(x)`, `1
 * - sigmoid(x)`, `1 + erf(x)`, `1 - tanh(x)`), or the difference of one of these and another value; else the value
 * itself.
 */
export function precise(build: Build, value: Value): Value {
  const inverse = preciseReciprocal(build, value);
  if (inverse) return reciprocal(build, inverse);
  const beside = besideOne(build, value);
  if (beside?.op === "Erf") return erfBesideOne(build, beside.x, beside.sign);
  return difference(build, value) ?? value;
}

/** sigmoid(x) - t as (1 - t) sigmoid(x) - t (1 - sigmoid(x)), which does not cancel if t is 0 or 1. */
function difference(build: Build, value: Value): Value | null {
  const node = build.origin(value);
  const [a, b] = node?.inputs ?? [];
  if (node?.op !== "Sub" || !a || !b) return null;
  const [left, right] = [saturating(build, a), saturating(build, b)];
  const apart = (x: Value, other: Value, side: 1 | -1) => {
    const less = build.div(other, inverseComplement(build, x));
    const more = timesSigmoid(build, build.sub(build.scalar(1, other), other), x);
    return side === 1 ? build.sub(more, less) : build.sub(less, more);
  };
  if (left?.op === "Sigmoid" && left.sign === 1) return apart(left.x, b, 1);
  return right?.op === "Sigmoid" && right.sign === 1 ? apart(right.x, a, -1) : null;
}

/**
 * The logarithm of a saturating value, as a function of that value's argument: log(sigmoid(x)) is -softplus(-x), whose
 * derivative does not pass through a quotient of two numbers near 0. Null for other values.
 */
export function logarithmBehind(build: Build, value: Value): Restated | null {
  const node = build.origin(value);
  const [x] = node?.inputs ?? [];
  if (node?.op === "Softmax" && x) return { value: build.op("LogSoftmax", [x], node.attributes), input: x };
  const plain = saturating(build, value);
  const beside = plain ? null : besideOne(build, value);
  const minusSoftplus = (input: Value, argument: Value): Restated => ({
    value: build.neg(build.op("Softplus", [argument])),
    input,
  });
  if (plain?.op === "Sigmoid" && plain.sign === 1) return minusSoftplus(plain.x, build.neg(plain.x));
  if (beside?.op === "Sigmoid" && beside.sign === -1) return minusSoftplus(beside.x, beside.x);
  return null;
}

/** dy times a value of the forward pass, with that value's relative precision. */
export function times(build: Build, dy: Value, factor: Value): Value {
  const inverse = preciseReciprocal(build, factor);
  return inverse ? build.div(dy, inverse) : build.mul(dy, precise(build, factor));
}
