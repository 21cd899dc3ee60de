/** Normalisation and recurrent operators that used to state their modes differently. */
import { type Dim, divide, isBatch } from "../../../graph/dim.js";
import type { Value } from "../../../graph/value.js";
import type { Build } from "../../../ops/build.js";
import { intAttribute, part, requireInput, shapeMismatch, unsupported } from "../../../ops/checks.js";
import type { FileNode } from "../file-node.js";
import { dropping, type Rewrite, type Upgrade, withInputs, without } from "./rule.js";

const training = (node: FileNode): FileNode => ({ ...node, attributes: { ...node.attributes, training_mode: 1 } });

const batchNormTestMode: Rewrite = (node) => {
  const upgraded = { ...node, attributes: without(node.attributes, "is_test") };
  return intAttribute(node, "is_test", 0) === 0 ? training(upgraded) : upgraded;
};

const batchNormSpatial: Rewrite = (node) => {
  if (intAttribute(node, "spatial", 1) === 0)
    throw unsupported(node, "normalises each position separately (spatial=0), which ONNX no longer allows");
  return { ...node, attributes: without(node.attributes, "spatial") };
};

/**
 * More than one output used to mean training mode. The saved statistics, the last two of the five outputs, no longer
 * exist.
 */
const batchNormOutputs: Rewrite = (node) => {
  const isTraining = node.outputNames.slice(1).some((name) => name !== "");
  const kept = { ...node, outputs: Math.min(node.outputs, 3), outputNames: node.outputNames.slice(0, 3) };
  return isTraining ? training(kept) : kept;
};

/** Scale and bias per group become scale and bias per channel. */
const perChannel: Rewrite = (node, build) => {
  const channels = requireInput(node, 0).shape[1];
  const spread = (index: number) => spreadGroups(node, requireInput(node, index), channels, build);
  return withInputs(node, 1, [spread(1), spread(2)]);
};

function spreadGroups(node: FileNode, perGroup: Value, channels: Dim | undefined, build: Build): Value {
  const groups = perGroup.shape[0];
  const each = channels === undefined || groups === undefined ? undefined : divide(channels, groups);
  if (
    channels === undefined ||
    groups === undefined ||
    each === undefined ||
    isBatch(each) ||
    perGroup.shape.length !== 1
  ) {
    throw shapeMismatch(part(node, "the scale and bias"), "do not hold one element per group");
  }
  if (each === 1) return perGroup;
  return build.reshape(build.expand(build.unsqueeze(perGroup, [1]), [groups, each]), [channels]);
}

export const normalisationUpgrades: Readonly<Record<string, readonly Upgrade[]>> = {
  BatchNormalization: [
    { below: 7, rewrite: batchNormTestMode },
    { below: 9, rewrite: batchNormSpatial },
    { below: 14, rewrite: batchNormOutputs },
  ],
  GroupNormalization: [{ below: 21, rewrite: perChannel }],
  LSTM: [{ below: 7, rewrite: dropping("output_sequence") }],
  GRU: [{ below: 7, rewrite: dropping("output_sequence") }],
  RNN: [{ below: 7, rewrite: dropping("output_sequence") }],
};
