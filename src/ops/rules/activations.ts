/** Activation functions from Relu to Softsign, as well as Clip and Erf. */

import { inputsOf } from "../../graph/operands.js";
import type { Node, Value } from "../../graph/value.js";
import { leadingOf, nth, present } from "../../present.js";
import type { Call } from "../call.js";
import { floatAttribute, part, requireInput, shapeMismatch } from "../checks.js";
import { having, type OpDefinition, perhaps } from "../definition.js";
import { alignBatched, unary } from "../elementwise.js";
import { between, bounded, increasing } from "../range.js";
import { bell, timesSigmoid, timesSigmoidSlope, timesTanhSlope } from "../subgraphs/saturation.js";
import { unaryRule } from "./exponential.js";

// Piecewise linear

const leakyAlpha = (node: Call | Node) => floatAttribute(node, "alpha", 0.01);
const thresholdAlpha = (node: Call | Node) => floatAttribute(node, "alpha", 1);

/**
 * y <= 0 is equivalent to x <= 0, and testing y keeps x out of the backward pass. The test is false for NaN, so the
 * cotangent passes through.
 */
const relu = having(
  { overwrites: true, notNegative: "always", stepSlope: true, increasing: true },
  unaryRule(
    "Relu",
    (x) => Math.max(x, 0),
    (dy, _x, y, build) => build.cotangentUnless(build.lessOrEqual(y, build.scalar(0, y)), dy),
    increasing((x) => Math.max(x, 0)),
  ),
);

const leakyRelu = having(
  { overwrites: true, stepSlope: true },
  unary(
    "LeakyRelu",
    (x, node) => (x < 0 ? leakyAlpha(node) * x : x),
    (x, _y, build, node) =>
      build.where(build.greater(x, build.scalar(0, x)), build.scalar(1, x), build.scalar(leakyAlpha(node), x)),
  ),
);

const thresholdedRelu: OpDefinition = {
  ...unaryRule(
    "ThresholdedRelu",
    (x, node) => (x <= thresholdAlpha(node) ? 0 : x),
    (dy, x, _y, build, node) => build.cotangentWhere(build.greater(x, build.scalar(thresholdAlpha(node), x)), dy),
  ),
  hidesNaN: true,
  stepSlope: true,
};

const hardSigmoid = having(
  { notNegative: "always", stepSlope: true },
  unaryRule(
    "HardSigmoid",
    (x, node) => Math.max(0, Math.min(1, floatAttribute(node, "alpha", 0.2) * x + floatAttribute(node, "beta", 0.5))),
    (dy, _x, y, build, node) => {
      const flat = build.op("Or", [
        build.lessOrEqual(y, build.scalar(0, y)),
        build.greaterOrEqual(y, build.scalar(1, y)),
      ]);
      return build.cotangentUnless(flat, build.scale(dy, floatAttribute(node, "alpha", 0.2)));
    },
    bounded(0, 1),
  ),
);

// Exponential on the negative side

/** y = gamma * alpha * (exp(x / scale) - 1) where x <= 0, and gamma * x otherwise. */
function exponentialUnit(
  op: string,
  parameters: (node: Call | Node) => { alpha: number; gamma: number; scale: number },
): OpDefinition {
  const definition = unary(
    op,
    (x, node) => {
      const { alpha, gamma, scale } = parameters(node);
      return gamma * (x <= 0 ? alpha * Math.expm1(x / scale) : x);
    },
    // y + gamma * alpha also equals slope times scale, but loses all digits where y is close to -gamma * alpha.
    (x, _y, build, node) => {
      const { alpha, gamma, scale } = parameters(node);
      const decay = build.exp(scale === 1 ? x : build.div(x, build.scalar(scale, x)));
      const factor = (gamma * alpha) / scale;
      const negative = factor === 1 ? decay : build.mul(decay, build.scalar(factor, x));
      return build.where(build.greater(x, build.scalar(0, x)), build.scalar(gamma, x), negative);
    },
  );
  // Where the exponential overflows, the slope is gamma.
  return { ...definition, finiteSlope: true };
}

const elu = having(
  { overwrites: true },
  exponentialUnit("Elu", (node) => ({ alpha: floatAttribute(node, "alpha", 1), gamma: 1, scale: 1 })),
);

// ONNX's defaults are these numbers rounded to float32.
const selu = having(
  { overwrites: true },
  exponentialUnit("Selu", (node) => ({
    alpha: floatAttribute(node, "alpha", 1.6732632423543772),
    gamma: floatAttribute(node, "gamma", 1.0507009873554805),
    scale: 1,
  })),
);

const celu = having(
  { overwrites: true },
  exponentialUnit("Celu", (node) => {
    const alpha = floatAttribute(node, "alpha", 1);
    return { alpha, gamma: 1, scale: alpha };
  }),
);

// Smooth

const sigmoid64 = (x: number) => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)));

/** Evaluates the series 2/sqrt(pi) exp(-x^2) sum 2^k x^(2k+1) / (2k+1)!!, whose terms all have the same sign. */
export function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let k = 1; Math.abs(term) > Math.abs(sum) * 1e-17; k++) {
    term *= (2 * x * x) / (2 * k + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

const smooth: readonly OpDefinition[] = [
  // The slopes of these divide by a value that may overflow, and are 0 there.
  ...[
    having(
      { overwrites: true, notNegative: "always" },
      unaryRule("Sigmoid", sigmoid64, (dy, x, _y, build) => timesSigmoidSlope(build, dy, x), increasing(sigmoid64)),
    ),
    having(
      { overwrites: true },
      unaryRule("Tanh", Math.tanh, (dy, x, _y, build) => timesTanhSlope(build, dy, x), increasing(Math.tanh)),
    ),
    having(
      { overwrites: true, notNegative: "always" },
      unaryRule(
        "Softplus",
        (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
        (dy, x, _y, build) => timesSigmoid(build, dy, x),
        increasing((x) => (x > 0 ? x : 0) + Math.log1p(Math.exp(-Math.abs(x)))),
      ),
    ),
  ].map((definition): OpDefinition => ({ ...definition, finiteSlope: true })),
  having(
    { overwrites: true },
    unaryRule(
      "Softsign",
      (x) => x / (1 + Math.abs(x)),
      (dy, x, _y, build) => build.div(dy, build.square(build.add(build.abs(x), build.scalar(1, x)))),
    ),
  ),
  unary("Erf", erf, (x, _y, build) => bell(build, x), bounded(-1, 1)),
];

// Clip: min(max(x, low), high), where low and high are optional scalars

const clip: OpDefinition = {
  op: "Clip",
  overwrites: true,
  stepSlope: true,
  settings: { 1: perhaps("a bound of Clip"), 2: perhaps("a bound of Clip") },
  infer: (call) => {
    const { dtype, shape } = requireInput(call, 0);
    for (const limit of call.inputs.slice(1)) {
      if (limit?.shape.some((dim) => dim !== 1)) throw shapeMismatch(part(call, "the bounds"), "are not scalars");
    }
    return [{ dtype, shape }];
  },
  evaluate: ([x, low, high]) => {
    const { dims, data } = present(x);
    const [least, most] = [low?.data[0] ?? Number.NEGATIVE_INFINITY, high?.data[0] ?? Number.POSITIVE_INFINITY];
    const clipped = new Float64Array(data.length);
    for (let i = 0; i < data.length; i++) clipped[i] = Math.min(Math.max(data[i] as number, least), most);
    return [{ dims, data: clipped }];
  },
  differentiate: (node, [dy], build, wanted) => {
    const [x, low, high] = inputsOf(node, 1);
    const cotangent = present(dy);
    const toBound = (limit: Value, holds: Value) => ({
      kind: "reduction" as const,
      value: build.mask(holds, cotangent),
      axes: x.shape.map((_, axis) => axis),
      shape: limit.shape,
    });
    // The bounds as scalars, so that they do not add axes to x.
    const scalar = (limit: Value) => build.reshape(limit, []);
    // True beyond the bounds. The tests are false for NaN, so the cotangent passes through.
    const tests = [...(low ? [build.less(x, scalar(low))] : []), ...(high ? [build.greater(x, scalar(high))] : [])];
    // Where the bounds cross, the upper one wins, so each element's cotangent has exactly one receiver.
    const below = () => {
      const under = build.less(x, scalar(present(low)));
      return high ? build.and(under, build.lessOrEqual(scalar(present(low)), scalar(high))) : under;
    };
    const above = () => {
      const over = build.greater(x, scalar(present(high)));
      return low ? build.op("Or", [over, build.greater(scalar(low), scalar(present(high)))]) : over;
    };
    return [
      wanted[0] ? tests.reduce<Value>((passed, test) => build.cotangentUnless(test, passed), cotangent) : null,
      low && wanted[1] ? toBound(low, below()) : null,
      high && wanted[2] ? toBound(high, above()) : null,
    ];
  },
  batch: (_node, inputs, batched, build) => {
    if (batched[0] && !batched[1] && !batched[2]) return [build.op("Clip", inputs)];
    // Clip accepts only scalar bounds. Bounds that differ along the new axis therefore use Max and Min, which
    // broadcast.
    const flat = inputs.map((input, k) => {
      if (!input || k === 0) return input;
      return build.reshape(input, batched[k] ? [nth(input.shape, 0)] : []);
    });
    const [x, low, high] = leadingOf(alignBatched(build, flat, batched), 1);
    const raised = low ? build.op("Max", [x, low]) : x;
    return [high ? build.op("Min", [raised, high]) : raised];
  },
  sampleAxis: (_node, axes) => [axes[0] ?? null],
  mixes: () => [],
  range: (_node, [x, low, high]) => {
    const from = Math.max(present(x).low, low?.low ?? Number.NEGATIVE_INFINITY);
    const to = Math.min(present(x).high, high?.high ?? Number.POSITIVE_INFINITY);
    const { nan } = present(x);
    const open = present(x).infinite && (from === Number.NEGATIVE_INFINITY || to === Number.POSITIVE_INFINITY);
    return { ...between(Math.min(from, to), Math.max(from, to)), infinite: open, nan };
  },
};

export const activations: readonly OpDefinition[] = [
  relu,
  leakyRelu,
  thresholdedRelu,
  hardSigmoid,
  elu,
  selu,
  celu,
  ...smooth,
  clip,
];
