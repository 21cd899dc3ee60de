/** Sin, Cos, Tan, their hyperbolic forms, and the inverses of all six. */
import type { Value } from "../../graph/value.js";
import type { Build } from "../build.js";
import type { OpDefinition } from "../definition.js";
import { unary } from "../elementwise.js";
import { bounded, overflowing, within } from "../range.js";
import { unaryRule } from "./exponential.js";

const onePlusSquare = (x: Value, build: Build) => build.add(build.square(x), build.scalar(1, x));

/** 1 - x^2 as a product, which keeps its precision where x is close to 1. */
const oneMinusSquare = (x: Value, build: Build) => {
  const one = build.scalar(1, x);
  return build.mul(build.sub(one, x), build.add(one, x));
};

/** x^2 - 1, likewise. */
const squareMinusOne = (x: Value, build: Build) => {
  const one = build.scalar(1, x);
  return build.mul(build.sub(x, one), build.add(x, one));
};

export const trigonometric: readonly OpDefinition[] = [
  unary("Sin", Math.sin, (x, _y, build) => build.op("Cos", [x]), bounded(-1, 1, true)),
  unary("Cos", Math.cos, (x, _y, build) => build.neg(build.op("Sin", [x])), bounded(-1, 1, true)),
  unary("Tan", Math.tan, (_x, y, build) => onePlusSquare(y, build)),
  unaryRule(
    "Asin",
    Math.asin,
    (dy, x, _y, build) => build.div(dy, build.sqrt(oneMinusSquare(x, build))),
    within(-1, 1),
  ),
  unaryRule(
    "Acos",
    Math.acos,
    (dy, x, _y, build) => build.neg(build.div(dy, build.sqrt(oneMinusSquare(x, build)))),
    within(-1, 1),
  ),
  unaryRule("Atan", Math.atan, (dy, x, _y, build) => build.div(dy, onePlusSquare(x, build)), bounded(-2, 2)),
  unary("Sinh", Math.sinh, (x, _y, build) => build.op("Cosh", [x]), overflowing),
  unary("Cosh", Math.cosh, (x, _y, build) => build.op("Sinh", [x]), overflowing),
  unaryRule("Asinh", Math.asinh, (dy, x, _y, build) => build.div(dy, build.sqrt(onePlusSquare(x, build)))),
  unaryRule(
    "Acosh",
    Math.acosh,
    (dy, x, _y, build) => build.div(dy, build.sqrt(squareMinusOne(x, build))),
    within(1, Number.POSITIVE_INFINITY),
  ),
  unaryRule("Atanh", Math.atanh, (dy, x, _y, build) => build.div(dy, oneMinusSquare(x, build)), overflowing),
];
