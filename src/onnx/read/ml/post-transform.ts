/** The function that is applied to the scores of a linear model, as ONNX Runtime computes it. */
import type { Value } from "../../../graph/value.js";
import type { Build } from "../../../ops/build.js";
import { stringAttribute, unsupported } from "../../../ops/checks.js";
import type { MlNode } from "./call.js";

const transforms = ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"] as const;

type Transform = (typeof transforms)[number];

/** Throws UNSUPPORTED_OP for a function that ONNX does not define. */
export function postTransform(node: MlNode): Transform {
  const name = stringAttribute(node, "post_transform", "NONE");
  const found = transforms.find((each) => each === name);
  if (found) return found;
  throw unsupported(
    node,
    `has the post_transform "${name}", which ONNX does not define`,
    `give one of ${transforms.join(", ")}`,
  );
}

/** Transforms scores `[N, E]`. A single score is transformed by PROBIT only: otherwise the runtime leaves it as it is. */
export function transformed(node: MlNode, scores: Value): Value {
  const { build } = node;
  const transform = postTransform(node);
  if (transform === "PROBIT") return probit(scores, build);
  if (scores.shape[1] === 1 || transform === "NONE") return scores;
  if (transform === "LOGISTIC") return build.sigmoid(scores);
  return transform === "SOFTMAX" ? build.op("Softmax", [scores], { axis: 1 }) : softmaxZero(scores, build);
}

/** Magnitudes that count as 0 in SOFTMAX_ZERO. */
const nothing = 1e-7;

/** A softmax over the scores that are not 0; scores of 0 stay 0. */
function softmaxZero(scores: Value, build: Build): Value {
  const zero = build.lessOrEqual(build.abs(scores), build.scalar(nothing, scores));
  const largest = build.reduce("ReduceMax", scores, [1], true);
  const powers = build.exp(build.sub(scores, largest));
  const sum = build.sum(build.where(zero, build.scalar(0, scores), powers), [1], true);
  const kept = build.mul(scores, build.exp(build.neg(largest)));
  return build.div(build.where(zero, kept, powers), sum);
}

/** Winitzki's constant. */
const a = 0.147;

/** Below this square, log(1 - u) / u is computed by its series, 1 + u/2 + ..., which errs by 1e-8; the logarithm errs by more. */
const smallSquare = 0.05;

/**
 * sqrt(2) erfinv(2p - 1), by Winitzki's approximation ("A handy approximation for the error function and its inverse",
 * 2008): with L = log(1 - x^2) and v = 2 / (pi a) + L / 2, erfinv(x)^2 is sqrt(v^2 - L / a) - v. It is written as x times
 * the root of erfinv(x)^2 / x^2, so that nothing cancels and its derivative is finite at p = 1/2.
 */
function probit(p: Value, build: Build): Value {
  const number = (value: number) => build.scalar(value, p);
  const one = number(1);
  const x = build.sub(build.scale(p, 2), one);
  const square = build.square(x);
  const small = build.less(square, number(smallSquare));
  // These stay harmless if the other side is chosen.
  const divisor = build.where(small, one, square);
  const logarithm = build.log(build.where(small, one, build.mul(build.scale(p, 4), build.sub(one, p))));
  const ratio = build.where(small, series(square, build), build.neg(build.div(logarithm, divisor)));
  const L = build.where(small, build.neg(build.mul(square, ratio)), logarithm);
  const v = build.op("Add", [build.scale(L, 0.5), number(2 / (Math.PI * a))]);
  const root = build.sqrt(build.sub(build.square(v), build.scale(L, 1 / a)));
  const near = build.greater(v, number(0));
  const below = build.div(ratio, build.scale(build.add(build.where(near, v, one), root), a));
  const above = build.div(build.sub(root, v), divisor);
  return build.scale(build.mul(x, build.sqrt(build.where(near, below, above))), Math.SQRT2);
}

/** -log(1 - u) / u = 1 + u/2 + u^2/3 + ... */
function series(u: Value, build: Build): Value {
  const number = (value: number) => build.scalar(value, u);
  let sum = number(1 / 7);
  for (let k = 6; k > 0; k--) sum = build.add(build.mul(sum, u), number(1 / k));
  return sum;
}
