/**
 * Activation functions that fewer models use than those in `activations.ts`: Gelu, Mish, Swish and similar ones, PRelu,
 * Shrink.
 */

import { sameShape, showShape } from "../../graph/dim.js";
import { inputOf, inputsOf } from "../../graph/operands.js";
import type { Node, Value } from "../../graph/value.js";
import { leadingOf, nth, present } from "../../present.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import {
  broadcastShape,
  floatAttribute,
  part,
  requireInput,
  shapeMismatch,
  stringAttribute,
  unsupported,
} from "../checks.js";
import { having, type OpDefinition } from "../definition.js";
import { alignBatched, binary, elementwise, lowered } from "../elementwise.js";
import { exactGelu } from "../subgraphs/gelu.js";
import { unaryRule } from "./exponential.js";

const shrinkBound = (node: Call | Node) => floatAttribute(node, "lambd", 0.5);
const shrinkBias = (node: Call | Node) => floatAttribute(node, "bias", 0);

/** Moves x towards zero by the bias; zero within the bound. */
const shrink: OpDefinition = {
  ...unaryRule(
    "Shrink",
    (x, node) => {
      const [bound, bias] = [shrinkBound(node), shrinkBias(node)];
      return x < -bound ? x + bias : x > bound ? x - bias : 0;
    },
    (dy, x, _y, build, node) => {
      const limit = (by: number) => build.scalar(by * shrinkBound(node), x);
      return build.cotangentWhere(build.op("Or", [build.less(x, limit(-1)), build.greater(x, limit(1))]), dy);
    },
  ),
  hidesNaN: true,
  stepSlope: true,
};

// Composites

function composite(op: string, decompose: (x: Value, build: Build, node: Node) => Value): OpDefinition {
  return {
    op,
    infer: (call) => {
      const { dtype, shape } = requireInput(call, 0);
      return [{ dtype, shape }];
    },
    decompose: (node, build) => [decompose(inputOf(node, 0), build, node)],
  };
}

/** x Phi(x), or approximately x sigmoid(2u). */
const gelu: OpDefinition = {
  op: "Gelu",
  infer: (call) => {
    const { dtype, shape } = requireInput(call, 0);
    const approximate = stringAttribute(call, "approximate", "none");
    if (!["none", "tanh"].includes(approximate))
      throw unsupported(call, `has the approximation "${approximate}", which ONNX does not define`);
    return [{ dtype, shape }];
  },
  decompose: (node, build) => {
    const x = inputOf(node, 0);
    if (stringAttribute(node, "approximate", "none") !== "tanh") return [exactGelu(build, x)];
    // (1 + tanh(u)) / 2 = sigmoid(2u)
    const inner = build.scale(build.square(x), 2 * Math.sqrt(2 / Math.PI) * 0.044715);
    return [build.mul(x, build.sigmoid(build.mul(x, build.add(inner, build.scalar(2 * Math.sqrt(2 / Math.PI), x)))))];
  },
  ...elementwise,
};

/**
 * x tanh(softplus(x)) = x n / (n + 2) with n = e (e + 2), e = exp(x). The slope is (n + 4 x e (e + 1) / (n + 2)) / (n +
 * 2). From x = 20 on the slope is 1; e is limited there so that n does not overflow.
 */
const mish: OpDefinition = unaryRule(
  "Mish",
  (x) => {
    const e = Math.exp(Math.min(x, 20));
    return (x * e * (e + 2)) / (e * (e + 2) + 2);
  },
  (dy, x, _y, build) => {
    const plus = (value: Value, addend: number) => build.add(value, build.scalar(addend, x));
    const e = build.exp(build.op("Min", [x, build.scalar(20, x)]));
    const n = build.mul(e, plus(e, 2));
    const denominator = plus(n, 2);
    const second = build.div(build.mul(build.scale(x, 4), build.mul(e, plus(e, 1))), denominator);
    return build.div(build.mul(dy, build.add(n, second)), denominator);
  },
);

const composites: readonly OpDefinition[] = [
  gelu,
  // Below -3 it is 0 whatever x is, so that the cotangent is discarded rather than multiplied by 0.
  composite("HardSwish", (x, build) => {
    const kept = build.op("Clip", [x, build.scalar(-3, x)]);
    return build.mul(kept, build.op("HardSigmoid", [kept], { alpha: 1 / 6, beta: 0.5 }));
  }),
  mish,
  // Introduced in opset 24.
  lowered(
    having(
      { since: 24 },
      composite("Swish", (x, build, node) => {
        const alpha = floatAttribute(node, "alpha", 1);
        return build.mul(x, build.sigmoid(alpha === 1 ? x : build.mul(x, build.scalar(alpha, x))));
      }),
    ),
  ),
  // Introduced in opset 28.
  lowered({
    op: "SwiGLU",
    since: 28,
    infer: (call) => {
      const [gate, value] = [requireInput(call, 0), requireInput(call, 1)];
      if (!sameShape(gate.shape, value.shape))
        throw shapeMismatch(
          part(call, `the inputs ${showShape(gate.shape)} and ${showShape(value.shape)}`),
          "differ in shape",
        );
      return [{ dtype: gate.dtype, shape: gate.shape }];
    },
    decompose: (node, build) => {
      const [gate, value] = inputsOf(node, 2);
      return [build.mul(build.op("Swish", [gate], node.attributes), value)];
    },
  }),
];

// PRelu: the slope is broadcast to x

const prelu: OpDefinition = {
  ...binary(
    "PRelu",
    (x, slope) => (x < 0 ? slope * x : x),
    (node, [dy], build, wanted) => {
      const [x, slope] = inputsOf(node, 2);
      const zero = build.scalar(0, x);
      const cotangent = present(dy);
      const positive = () => build.greater(x, zero);
      return [
        wanted[0] ? build.where(positive(), cotangent, build.mul(cotangent, slope)) : null,
        wanted[1] ? build.unbroadcast(build.cotangentUnless(positive(), build.mul(cotangent, x)), slope.shape) : null,
      ];
    },
  ),
  layer: { kind: "activation", names: [undefined, "weight"] },
  stepSlope: true,
  infer: (call) => {
    const [x, slope] = [requireInput(call, 0), requireInput(call, 1)];
    if (!sameShape(broadcastShape(call, [x.shape, slope.shape]), x.shape)) {
      throw shapeMismatch(
        part(call, `the slope ${showShape(slope.shape)}`),
        `does not broadcast to ${showShape(x.shape)}`,
      );
    }
    return [{ dtype: x.dtype, shape: x.shape }];
  },
  batch: (_node, inputs, batched, build) => {
    const [x, slope] = leadingOf(alignBatched(build, inputs, batched), 2);
    const full = batched[0] ? x : build.expand(x, [nth(slope.shape, 0), ...x.shape]);
    return [build.op("PRelu", [full, slope])];
  },
};

export const moreActivations: readonly OpDefinition[] = [shrink, ...composites, prelu];
