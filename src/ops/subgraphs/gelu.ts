/** x Phi(x) with Phi the normal distribution function, and its slope, which is cheap although it keeps all its digits. */

import erfc from "@stdlib/math-base-special-erfc";
import { inputOf } from "../../graph/operands.js";
import type { Value } from "../../graph/value.js";
import { nth } from "../../present.js";
import type { Build } from "../build.js";
import type { OpDefinition } from "../definition.js";
import { unary } from "../elementwise.js";
import { bounded } from "../range.js";
import { internalDomain } from "./internal.js";

const normal = (x: number) => 0.5 * erfc(-x * Math.SQRT1_2);
const density = (x: number) => Math.exp(-0.5 * x * x) / Math.sqrt(2 * Math.PI);

const internal = (build: Build, op: string, x: Value): Value =>
  nth(build.node(op, [x], {}, 1, { domain: internalDomain }).outputs, 0);

/** x Phi(x), as one operator: the decomposition of Gelu, whose derivative is a single operator too. */
export function exactGelu(build: Build, x: Value): Value {
  return internal(build, "ExactGelu", x);
}

/** exp(-x^2 / 2) */
const bell = (build: Build, x: Value): Value => build.exp(build.scale(build.square(x), -0.5));

/**
 * Where x is negative, Phi(x) = -x phi(x) / (x^2 + a - b / (x^2 + c)), the continued fraction of Mills' ratio (DLMF 7.9)
 * with numbers fitted for x <= -2.4. There the relative error of the slope is 1.1e-6 at most, and for any other x the
 * fraction is less than Phi(x).
 */
const [a, b, c] = [0.99469974, 1.76655704, 3.15329593];

/**
 * More than the rounding errors of (1 + Erf) / 2 where that is near 0: with this subtracted, it is less than the
 * fraction wherever it lacks digits, so the maximum of the two is the accurate one.
 */
const margin = 1.2e-7;

/** Phi(x) + x phi(x). */
function slope(build: Build, x: Value): Value {
  const constant = (value: number) => build.scalar(value, x);
  const squared = build.square(x);
  const rising = build.mul(bell(build, x), build.scale(x, 1 / Math.sqrt(2 * Math.PI)));
  const last = build.add(squared, constant(c));
  const negative = build.add(build.sub(build.div(constant(b), last), last), constant(c - a));
  const erf = build.op("Erf", [build.scale(x, Math.SQRT1_2)]);
  const above = build.op("HardSigmoid", [erf], { alpha: 0.5, beta: 0.5 - margin });
  return build.add(build.op("Max", [build.div(rising, negative), above]), rising);
}

/** The slope of x Phi(x), which is x phi(x) + Phi(x). The runtime gets its parts. */
const geluSlope: OpDefinition = {
  ...unary(
    "GeluSlope",
    (x) => normal(x) + x * density(x),
    (x, _y, build) => {
      const factor = build.sub(build.scalar(2, x), build.square(x));
      return build.mul(build.scale(bell(build, x), 1 / Math.sqrt(2 * Math.PI)), factor);
    },
    bounded(-0.13, 1.13, true),
    internalDomain,
  ),
  approximate: (node, build) => [slope(build, inputOf(node, 0))],
};

const gelu: OpDefinition = {
  ...unary(
    "ExactGelu",
    (x) => x * normal(x),
    (x, _y, build) => internal(build, "GeluSlope", x),
    undefined,
    internalDomain,
  ),
  lower: (node, build) => [build.op("Gelu", [inputOf(node, 0)])],
};

export const exactGelus: readonly OpDefinition[] = [gelu, geluSlope];
