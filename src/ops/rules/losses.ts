/** NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss: composites over the class axis, axis 1. */

import { sameShape, showShape } from "../../graph/dim.js";
import { inputOf, inputsOf } from "../../graph/operands.js";
import type { SampleAxis } from "../../graph/sample-axis.js";
import type { Node, Value, ValueType } from "../../graph/value.js";
import { isFloat } from "../../tensor/tensor.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import {
  agree,
  apartFrom,
  interaction,
  part,
  requireInput,
  shapeMismatch,
  stringAttribute,
  unsupported,
} from "../checks.js";
import { type OpDefinition, said } from "../definition.js";

const reductionOf = (node: Call | Node) => stringAttribute(node, "reduction", "mean");

/** The label that is ignored, if there is one. */
function ignoredLabel(node: Call | Node): number | undefined {
  const label = node.attributes.ignore_index;
  return typeof label === "number" ? label : undefined;
}

/** Checks scores `[N, C, ...]`, labels `[N, ...]` and class weights `[C]`. Returns the loss's type. */
function inferLoss(call: Call): ValueType {
  const [scores, labels] = [requireInput(call, 0), requireInput(call, 1)];
  const [batch, classes, ...positions] = scores.shape;
  if (batch === undefined || classes === undefined) {
    throw shapeMismatch(part(call, `the input ${showShape(scores.shape)}`), "has no class axis (axis 1)");
  }
  const shape = [batch, ...positions];
  if (!sameShape(labels.shape, shape)) {
    throw shapeMismatch(part(call, "the labels"), `have the shape ${showShape(labels.shape)}, not ${showShape(shape)}`);
  }
  if (isFloat(labels.dtype) || labels.dtype === "bool")
    throw shapeMismatch(part(call, "the labels"), `are ${labels.dtype}, not int64 or int32`);
  if (classes === 0) throw shapeMismatch(call, "has no classes");
  const weights = call.inputs[2];
  if (weights && !sameShape(weights.shape, [classes])) {
    throw shapeMismatch(
      part(call, "the weights"),
      `have the shape ${showShape(weights.shape)}, not ${showShape([classes])}`,
    );
  }
  const reduction = reductionOf(call);
  if (!["none", "sum", "mean"].includes(reduction))
    throw unsupported(call, `has the reduction "${reduction}", which ONNX does not define`, 'give "none"');
  return { dtype: scores.dtype, shape: reduction === "none" ? shape : [] };
}

/** The loss from log-probabilities. A mean is weighted by the class weights of the labels that count. */
function likelihoodLoss(node: Node, logProbabilities: Value, build: Build): Value {
  const [, given, classWeights] = inputsOf(node, 2);
  const label = ignoredLabel(node);
  const ignored = label === undefined ? null : build.equal(given, build.filled(label, [], given.dtype));
  // The ignored label may not be a valid class, so another class is looked up in its place.
  const labels = ignored ? build.where(ignored, build.filled(0, [], given.dtype), given) : given;
  const counted = (value: Value) => (ignored ? build.where(ignored, build.scalar(0, value), value) : value);
  const weights = classWeights ? counted(build.gather(classWeights, labels, 0)) : null;
  const picked = build.op("GatherElements", [logProbabilities, build.unsqueeze(labels, [1])], { axis: 1 });
  const each = counted(build.neg(build.squeeze(picked, [1])));
  const losses = weights ? build.mul(each, weights) : each;
  const reduction = reductionOf(node);
  if (reduction === "none") return losses;
  if (reduction === "sum") return build.sum(losses);
  if (weights || ignored) {
    const one = build.scalar(1, each);
    return build.div(build.sum(losses), build.sum(weights ?? build.expand(counted(one), losses.shape)));
  }
  const all = losses.shape.map((_, axis) => axis);
  return build.reduce("ReduceMean", losses, all);
}

/** Samples remain separate only if the loss is not reduced, and if the class axis is not the sample axis. */
function lossSampleAxis(node: Node, axes: readonly (SampleAxis | null)[]): (SampleAxis | null)[] {
  const reduction = reductionOf(node);
  if (reduction !== "none") {
    const verb = reduction === "sum" ? "sums" : "averages";
    throw interaction(node, `${verb} the losses of the batch (export it with reduction "none")`);
  }
  const scores = apartFrom(node, axes[0] ?? null, [1], "compares the classes, which lie along the sample axis");
  if (axes[2]) throw interaction(node, "weighs classes by the samples");
  const own = scores && scores.axis > 1 ? { ...scores, axis: scores.axis - 1 } : scores;
  return [agree(node, [own, axes[1] ?? null]), scores].slice(0, node.outputs.length);
}

const negativeLogLikelihoodLoss: OpDefinition = {
  op: "NegativeLogLikelihoodLoss",
  settings: { 2: said("weights of classes in a loss") },
  classLabels: true,
  infer: (call) => [inferLoss(call)],
  decompose: (node, build) => [likelihoodLoss(node, inputOf(node, 0), build)],
  sampleAxis: lossSampleAxis,
};

const softmaxCrossEntropyLoss: OpDefinition = {
  op: "SoftmaxCrossEntropyLoss",
  settings: { 2: said("weights of classes in a loss") },
  classLabels: true,
  optionalOutputs: true,
  infer: (call) => {
    const { dtype, shape } = requireInput(call, 0);
    return [inferLoss(call), { dtype, shape }].slice(0, call.outputs);
  },
  decompose: (node, build) => {
    const logProbabilities = build.op("LogSoftmax", [inputOf(node, 0)], { axis: 1 });
    return [likelihoodLoss(node, logProbabilities, build), logProbabilities].slice(0, node.outputs.length);
  },
  sampleAxis: lossSampleAxis,
};

export const losses: readonly OpDefinition[] = [negativeLogLikelihoodLoss, softmaxCrossEntropyLoss];
