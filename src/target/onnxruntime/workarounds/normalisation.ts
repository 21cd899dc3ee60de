/** Work-arounds for normalisations. */

import { elementsOf, sameShape } from "../../../graph/dim.js";
import { inputsOf } from "../../../graph/operands.js";
import { floatAttribute, intAttribute, requireInput } from "../../../ops/checks.js";
import { epsilonOf, groupedShape, scaleAndShift, trailingAxes } from "../../../ops/rules/normalisation.js";
import type { Rewrite } from "../../../optimise/rule.js";
import { contributed, decomposed, decomposedWhere, type Workaround } from "./workaround.js";

/** By LayerNormalization, which centres before it squares. */
const centredGroups: Rewrite = (node, build) => {
  const [x, scale, shift] = inputsOf(node, 3);
  const shape = groupedShape(node);
  if (elementsOf(shape) === 0) return null;
  const ones = build.expand(build.scalar(1, x), shape.slice(2));
  const attributes = { axis: 2, epsilon: epsilonOf(node) };
  const y = build.op("LayerNormalization", [build.reshape(x, shape), ones], attributes);
  return [scaleAndShift(build, build.reshape(y, x.shape), scale, shift)];
};

/** Requests the second output too, although nobody reads it. */
const withSecondOutput: Rewrite = ({ op, name, domain, inputs, attributes, outputs }, build) =>
  outputs.length === 1 ? build.node(op, inputs, attributes, 2, { name, domain }).outputs.slice(0, 1) : null;

export const normalisation: readonly Workaround[] = [
  {
    name: "group-statistics",
    ops: ["GroupNormalization"],
    why: "It takes the square of the mean from the mean of the squares, and has no digits left, or NaN, where the mean is far from 0.",
    versions: "1.30 to 1.32",
    rewrite: centredGroups,
  },
  {
    name: "statistic-of-several-axes",
    ops: ["SimplifiedLayerNormalization"],
    why: "It expects the statistic of several axes to be of another shape, and reuses memory by that.",
    versions: "1.30 to 1.32",
    rewrite: decomposedWhere((node) => node.outputs.length > 1 && trailingAxes(node).length > 1),
  },
  {
    name: "local-response",
    ops: ["LRN"],
    why: "It has LRN of images only, of odd sizes, and with positive factors.",
    versions: "1.30 to 1.32",
    rewrite: decomposedWhere((node) => {
      const images = requireInput(node, 0).shape.length === 4 && intAttribute(node, "size", 1) % 2 === 1;
      return !(images && floatAttribute(node, "alpha", 1e-4) > 0 && floatAttribute(node, "beta", 0.75) > 0);
    }),
  },
  {
    name: "skip-of-other-shape",
    ops: ["SkipLayerNormalization", "SkipSimplifiedLayerNormalization"].map(contributed),
    why: "Its kernel adds tensors of rank 2 and 3 only, and of the same last axes.",
    versions: "1.30 to 1.32",
    rewrite: decomposedWhere((node) => {
      const [x, skip] = [requireInput(node, 0), requireInput(node, 1)];
      const ranks = [x, skip].every(({ shape }) => shape.length === 2 || shape.length === 3);
      return !ranks || !sameShape(x.shape.slice(-2), skip.shape.slice(-2));
    }),
  },
  {
    name: "on-gpus-only",
    ops: ["GroupNorm", "SkipGroupNorm", "BiasSplitGelu", "BiasAdd", "BiasSoftmax", "BiasDropout"].map(contributed),
    why: "It has these on GPUs only.",
    versions: "1.30 to 1.32",
    rewrite: decomposed,
  },
  {
    name: "embedding-without-mask-index",
    ops: [contributed("EmbedLayerNormalization")],
    why: "Its kernel asks for its second output to be there.",
    versions: "1.30 to 1.32",
    rewrite: withSecondOutput,
  },
];
