/**
 * Activations of ONNX Runtime's own domain. Most of them are fused with the preceding addition of a bias. All are
 * composites.
 */

import { divide, elementsOf, showDim, showShape } from "../../graph/dim.js";
import { inputOf } from "../../graph/operands.js";
import type { Node, ValueType } from "../../graph/value.js";
import { leadingOf, present } from "../../present.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import {
  floatAttribute,
  intAttribute,
  interaction,
  part,
  requireInput,
  shapeMismatch,
  unsupported,
} from "../checks.js";
import type { OpDefinition } from "../definition.js";
import { lineAxis } from "../rules/lines.js";
import {
  addOptional,
  composite,
  contrib,
  likeFirst,
  likeFirstWith,
  requireLastAxisVectors,
} from "../subgraphs/contrib.js";

const first = (node: Node) => inputOf(node, 0);

/** The first input plus the second, if there is one. */
const biased = (node: Node, build: Build) => addOptional(build, first(node), node.inputs[1]);

/** The type of x, along whose last axis the bias is added. */
function inferBiased(call: Call): ValueType {
  requireLastAxisVectors(call, 1);
  return likeFirst(call);
}

const gelus: readonly OpDefinition[] = [
  composite("Gelu", likeFirst, (node, build) => build.op("Gelu", [first(node)])),
  composite(
    "FastGelu",
    (call) => (call.inputs[1] ? inferBiased(call) : likeFirst(call)),
    (node, build) => build.op("Gelu", [biased(node, build)], { approximate: "tanh" }),
  ),
  composite(
    "BiasGelu",
    (call) => {
      requireInput(call, 1);
      return inferBiased(call);
    },
    (node, build) => build.op("Gelu", [biased(node, build)]),
  ),
  composite("QuickGelu", likeFirst, (node, build) => {
    const x = first(node);
    return build.mul(x, build.sigmoid(build.scale(x, floatAttribute(node, "alpha", 1.702))));
  }),
];

/** The first half of the last axis multiplied by the Gelu of the second half. */
const biasSplitGelu = composite(
  "BiasSplitGelu",
  (call) => {
    requireInput(call, 1);
    const { dtype, shape } = inferBiased(call);
    const half = divide(present(shape.at(-1)), 2);
    if (half === undefined)
      throw shapeMismatch(
        part(call, "the last axis"),
        `has ${showDim(present(shape.at(-1)))} elements, which is not even`,
      );
    return { dtype, shape: [...shape.slice(0, -1), half] };
  },
  (node, build) => {
    const x = biased(node, build);
    const { outputs } = build.node("Split", [x], { axis: x.shape.length - 1, num_outputs: 2 }, 2);
    const [value, gate] = leadingOf(outputs, 2);
    return build.mul(value, build.op("Gelu", [gate]));
  },
);

const biasAdd = composite(
  "BiasAdd",
  (call) => likeFirstWith(call, 1, 2),
  (node, build) => addOptional(build, biased(node, build), node.inputs[2]),
);

/** The first of the axes that are normalised together; all later axes belong to them. */
function softmaxAxis(call: Call | Node): number {
  return lineAxis(call, intAttribute(call, "axis", 1));
}

const biasSoftmax = composite(
  "BiasSoftmax",
  (call) => {
    requireInput(call, 1);
    const type = likeFirstWith(call, 1);
    if (elementsOf(type.shape.slice(softmaxAxis(call))) === undefined) {
      throw interaction(call, `normalises over two axes of ${showShape(type.shape)} that grow with the batch`);
    }
    return type;
  },
  (node, build) => {
    const x = biased(node, build);
    const axis = softmaxAxis(node);
    const together = present(elementsOf(x.shape.slice(axis)));
    const lines = build.reshape(x, [...x.shape.slice(0, axis), together]);
    return build.reshape(build.op("Softmax", [lines], { axis: lines.shape.length - 1 }), x.shape);
  },
);

/** x + bias + residual, as in inference, where nothing is dropped. */
const biasDropout = contrib({
  op: "BiasDropout",
  optionalOutputs: true,
  infer: (call) => {
    const training = call.inputs[4];
    if (training && training.known?.[0] !== 0) {
      throw unsupported(
        call,
        "is in training mode, in which its output is random",
        "export the model in evaluation mode",
      );
    }
    requireInput(call, 1);
    const y = likeFirstWith(call, 1, 2);
    return [y, { dtype: "bool" as const, shape: y.shape }].slice(0, call.outputs);
  },
  decompose: (node, build) => {
    const sum = addOptional(build, biased(node, build), node.inputs[2]);
    const mask = () => build.expand(build.filled(1, [], "bool"), sum.shape);
    return [sum, ...(node.outputs.length > 1 ? [mask()] : [])];
  },
});

export const contribActivations: readonly OpDefinition[] = [...gelus, biasSplitGelu, biasAdd, biasSoftmax, biasDropout];
