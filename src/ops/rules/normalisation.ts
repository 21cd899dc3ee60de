/**
 * Normalisations and Dropout. All are composites, and differentiation works on their decompositions. Variances are
 * computed from centred values (two passes), so that they keep their precision in float32.
 */

import { type Dim, divide, elementsOf, fixedSize, isBatch, type Shape, sameShape, showShape } from "../../graph/dim.js";
import { inputOf, inputsOf } from "../../graph/operands.js";
import type { Node, Value, ValueType } from "../../graph/value.js";
import { nth } from "../../present.js";
import { option, sentence } from "../../sentence.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import {
  broadcastShape,
  floatAttribute,
  intAttribute,
  interaction,
  intsAttribute,
  normalAxis,
  ownAxis,
  part,
  requireInput,
  shapeMismatch,
  unsupported,
} from "../checks.js";
import { having, never, type OpDefinition } from "../definition.js";
import { lowered } from "../elementwise.js";
import { requireSteps } from "../limits.js";
import { keptShape } from "./reductions.js";

// Parts

export const epsilonOf = (node: Node) => floatAttribute(node, "epsilon", 1e-5);

/** The axes from `axis` (attribute, default -1) to the last one. */
export function trailingAxes(call: Call | Node): number[] {
  const rank = requireInput(call, 0).shape.length;
  const first = normalAxis(call, intAttribute(call, "axis", -1), rank);
  return Array.from({ length: rank - first }, (_, k) => first + k);
}

const mean = (build: Build, x: Value, axes: readonly number[]) => build.reduce("ReduceMean", x, axes, true);

/** sqrt(mean of squares + epsilon) along the axes, which are kept with size 1. */
function rootMeanSquare(build: Build, x: Value, axes: readonly number[], epsilon: number): Value {
  return build.sqrt(build.add(mean(build, build.square(x), axes), build.scalar(epsilon, x)));
}

interface Standardised {
  readonly y: Value;
  readonly mean: Value;
  readonly deviation: Value;
}

/** (x - mean) / sqrt(variance + epsilon) along the axes. */
function standardise(build: Build, x: Value, axes: readonly number[], epsilon: number): Standardised {
  const centre = mean(build, x, axes);
  const centred = build.sub(x, centre);
  const deviation = rootMeanSquare(build, centred, axes, epsilon);
  return { y: build.div(centred, deviation), mean: centre, deviation };
}

/** A `[C]` vector, laid along axis 1 of x. */
function alongChannels(build: Build, vector: Value, x: Value): Value {
  return build.reshape(vector, [nth(vector.shape, 0), ...x.shape.slice(2).map(() => 1)]);
}

function channelsOf(call: Call | Node): Dim {
  const { shape } = requireInput(call, 0);
  // BatchNormalization treats a vector as N samples of one channel.
  if (shape.length === 1) return 1;
  const channels = shape[1];
  if (channels === undefined) throw shapeMismatch(part(call, "the input"), "is a scalar, which has no channels");
  return channels;
}

/** Checks that the inputs in a range hold one number per channel. */
function requireChannelVectors(call: Call, from: number, to: number): void {
  const channels = channelsOf(call);
  for (let index = from; index <= to; index++) {
    const { shape } = requireInput(call, index);
    if (!sameShape(shape, [channels])) {
      throw shapeMismatch(
        part(call, `input ${index}`),
        `has the shape ${showShape(shape)}, not ${showShape([channels])}`,
      );
    }
  }
}

function likeInput(call: Call): ValueType {
  const { dtype, shape } = requireInput(call, 0);
  return { dtype, shape };
}

// Along the last axes: LayerNormalization, RMSNormalization

/** The type of Y, and of the given number of statistics, which keep the normalised axes with size 1. */
function inferTrailing(call: Call, statistics: number): ValueType[] {
  const y = likeInput(call);
  for (const input of call.inputs.slice(1)) {
    if (input && !sameShape(broadcastShape(call, [y.shape, input.shape]), y.shape)) {
      throw shapeMismatch(
        call,
        `has an input ${showShape(input.shape)}, which does not broadcast to ${showShape(y.shape)}`,
      );
    }
  }
  requireInput(call, 1);
  const statistic = { dtype: y.dtype, shape: keptShape(y.shape, trailingAxes(call)) };
  return [y, ...Array<ValueType>(statistics).fill(statistic)].slice(0, call.outputs);
}

const layerNormalization: OpDefinition = {
  op: "LayerNormalization",
  layer: { kind: "normalisation", names: [undefined, "weight", "bias"], optionalBias: 2 },
  optionalOutputs: true,
  infer: (call) => inferTrailing(call, 2),
  decompose: (node, build) => {
    const [x, scale, bias] = inputsOf(node, 2);
    const { y, mean, deviation } = standardise(build, x, trailingAxes(node), epsilonOf(node));
    const scaled = build.mul(y, scale);
    const inverse = () => build.op("Reciprocal", [deviation]);
    const outputs = [() => (bias ? build.add(scaled, bias) : scaled), () => mean, inverse];
    return outputs.slice(0, node.outputs.length).map((output) => output());
  },
};

/** RMSNormalization (opset 23), and the older name under which ONNX Runtime has it, with a second output. */
function rmsNormalization(op: string, statistics: number): OpDefinition {
  return {
    op,
    infer: (call) => inferTrailing(call, statistics),
    decompose: (node, build) => {
      const [x, scale] = inputsOf(node, 2);
      const root = rootMeanSquare(build, x, trailingAxes(node), epsilonOf(node));
      const y = build.mul(build.div(x, root), scale);
      return node.outputs.length > 1 ? [y, build.op("Reciprocal", [root])] : [y];
    },
  };
}

// Along the channels: InstanceNormalization, GroupNormalization, BatchNormalization

export function scaleAndShift(build: Build, y: Value, scale: Value, shift: Value): Value {
  return build.add(build.mul(y, alongChannels(build, scale, y)), alongChannels(build, shift, y));
}

const instanceNormalization: OpDefinition = {
  op: "InstanceNormalization",
  layer: { kind: "normalisation", names: [undefined, "weight", "bias"] },
  infer: (call) => {
    requireChannelVectors(call, 1, 2);
    return [likeInput(call)];
  },
  decompose: (node, build) => {
    const [x, scale, shift] = inputsOf(node, 3);
    const axes = x.shape.map((_, axis) => axis).slice(2);
    return [scaleAndShift(build, standardise(build, x, axes, epsilonOf(node)).y, scale, shift)];
  },
};

/** The shape `[N, groups, elements of a group]`. */
export function groupedShape(call: Call | Node): Shape {
  const { shape } = requireInput(call, 0);
  const groups = intAttribute(call, "num_groups", 1);
  const perGroup = groups > 0 ? divide(channelsOf(call), groups) : undefined;
  const elements = perGroup === undefined ? undefined : elementsOf([perGroup, ...shape.slice(2)]);
  if (elements === undefined) {
    throw shapeMismatch(call, `has an input ${showShape(shape)}, whose channels do not divide into ${groups} groups`);
  }
  return [nth(shape, 0), groups, elements];
}

const groupNormalization: OpDefinition = {
  op: "GroupNormalization",
  layer: { kind: "normalisation", names: [undefined, "weight", "bias"] },
  infer: (call) => {
    requireChannelVectors(call, 1, 2);
    groupedShape(call);
    return [likeInput(call)];
  },
  decompose: (node, build) => {
    const [x, scale, shift] = inputsOf(node, 3);
    const { y } = standardise(build, build.reshape(x, groupedShape(node)), [2], epsilonOf(node));
    return [scaleAndShift(build, build.reshape(y, x.shape), scale, shift)];
  },
};

export const normalisesOverBatch = (node: Call | Node) => intAttribute(node, "training_mode", 0) !== 0;

/**
 * In training mode, for values that all samples share: normalises with the statistics of x itself, which the runtime's
 * kernel does not support.
 */
function withOwnStatistics(node: Node, build: Build): Value[] {
  const [x, scale, shift] = inputsOf(node, 3);
  if (x.shape.some(isBatch)) {
    const advice = sentence`export it in eval mode, or replace it with group normalisation (${option("replaceBatchNorm")})`;
    throw interaction(node, "normalises over the batch (training mode)", advice);
  }
  const axes = [...x.shape.keys()].filter((axis) => axis !== 1);
  const centre = mean(build, x, axes);
  const centred = build.sub(x, centre);
  const variance = mean(build, build.square(centred), axes);
  const deviation = build.sqrt(build.add(variance, build.scalar(epsilonOf(node), x)));
  const kept = floatAttribute(node, "momentum", 0.9);
  const running = [centre, variance].map((own, k) => {
    const before = inputOf(node, 3 + k);
    return build.add(build.scale(before, kept), build.scale(build.reshape(own, before.shape), 1 - kept));
  });
  const y = scaleAndShift(build, build.div(centred, deviation), scale, shift);
  return [y, ...running].slice(0, node.outputs.length);
}

/**
 * With stored statistics, each sample is normalised by itself; in training mode, the statistics of the batch are used.
 */
const batchNormalization: OpDefinition = {
  op: "BatchNormalization",
  layer: { kind: "normalisation", names: [undefined, "weight", "bias"] },
  settings: { 3: never("a running mean"), 4: never("a running variance") },
  optionalOutputs: true,
  infer: (call) => {
    if (call.outputs > 1 && !normalisesOverBatch(call))
      throw unsupported(
        call,
        "gives statistics, which exist in training mode only",
        "export the model in evaluation mode",
      );
    requireChannelVectors(call, 1, 4);
    const statistics = call.inputs
      .slice(3, 5)
      .flatMap((input) => (input ? [{ dtype: input.dtype, shape: input.shape }] : []));
    return [likeInput(call), ...statistics].slice(0, call.outputs);
  },
  lower: (node, build) => {
    const shared = !inputOf(node, 0).shape.some(isBatch);
    return normalisesOverBatch(node) && shared ? withOwnStatistics(node, build) : null;
  },
  decompose: (node, build) => {
    if (normalisesOverBatch(node)) return withOwnStatistics(node, build);
    const [x, scale, shift, mean] = inputsOf(node, 4);
    const variance = inputOf(node, 4);
    const deviation = build.sqrt(build.add(variance, build.scalar(epsilonOf(node), x)));
    const centred = build.sub(x, alongChannels(build, mean, x));
    return [scaleAndShift(build, centred, build.div(scale, deviation), shift)];
  },
};

// LRN, LpNormalization, MeanVarianceNormalization

/** The sum of x over `size` neighbouring channels. */
function channelWindow(node: Node, build: Build, x: Value, size: number): Value {
  const channels = fixedSize(x.shape, 1);
  const before = Math.min(Math.floor((size - 1) / 2), channels);
  const after = Math.min(Math.ceil((size - 1) / 2), channels);
  const atChannels = (amount: number) => x.shape.map((_, axis) => (axis === 1 ? amount : 0));
  const padded = build.pad(x, atChannels(before), atChannels(after));
  requireSteps(node, before + after + 1);
  const shifts = Array.from({ length: before + after + 1 }, (_, k) => build.slice(padded, 1, k, k + channels));
  return shifts.reduce((sum, shift) => build.add(sum, shift));
}

/** x / (bias + alpha / size * sum of squares of neighbouring channels)^beta. */
const lrnInParts: NonNullable<OpDefinition["decompose"]> = (node, build) => {
  const x = inputOf(node, 0);
  const size = intAttribute(node, "size", 1);
  const alpha = build.scalar(floatAttribute(node, "alpha", 1e-4) / size, x);
  const window = channelWindow(node, build, build.square(x), size);
  const base = build.add(build.mul(window, alpha), build.scalar(floatAttribute(node, "bias", 1), x));
  return [build.div(x, build.op("Pow", [base, build.scalar(floatAttribute(node, "beta", 0.75), x)]))];
};

const lrn: OpDefinition = {
  op: "LRN",
  infer: (call) => {
    const y = likeInput(call);
    if (isBatch(channelsOf(call)) || y.shape.length < 2) {
      throw shapeMismatch(call, `has an input ${showShape(y.shape)}, whose channels (axis 1) are of no fixed number`);
    }
    const size = intAttribute(call, "size", 1);
    if (size < 1) throw shapeMismatch(call, `has a window of ${size} channels, which is less than one`);
    return [y];
  },
  decompose: lrnInParts,
};

/** x divided by its norm along one axis; 0 where the norm is 0. */
const lpNormalization: OpDefinition = {
  op: "LpNormalization",
  infer: (call) => {
    const y = likeInput(call);
    normalAxis(call, intAttribute(call, "axis", -1), y.shape.length);
    const p = intAttribute(call, "p", 2);
    if (p !== 1 && p !== 2) throw unsupported(call, `has the norm p = ${p}`, "give 1 or 2, which ONNX defines");
    return [y];
  },
  decompose: (node, build) => {
    const x = inputOf(node, 0);
    const axis = normalAxis(node, intAttribute(node, "axis", -1), x.shape.length);
    const norm = build.reduce(intAttribute(node, "p", 2) === 1 ? "ReduceL1" : "ReduceL2", x, [axis], true);
    const zero = build.equal(norm, build.scalar(0, norm));
    return [build.div(x, build.where(zero, build.scalar(1, norm), norm))];
  },
};

function meanVarianceAxes(call: Call | Node): number[] {
  const rank = requireInput(call, 0).shape.length;
  const axes = intsAttribute(call, "axes") ?? [0, 2, 3];
  if (axes.length === 0) throw shapeMismatch(part(call, "the list of axes"), "is empty");
  return axes.map((axis) => ownAxis(call, axis, rank));
}

/** (x - mean) / (deviation + 1e-9). The deviation is a Euclidean length, whose derivative at 0 is taken as 0. */
const meanVarianceNormalization: OpDefinition = {
  op: "MeanVarianceNormalization",
  infer: (call) => {
    meanVarianceAxes(call);
    return [likeInput(call)];
  },
  decompose: (node, build) => {
    const x = inputOf(node, 0);
    const axes = meanVarianceAxes(node);
    const count = elementsOf(axes.map((axis) => nth(x.shape, axis)));
    if (typeof count !== "number") throw interaction(node, "normalises over the batch");
    const centred = build.sub(x, mean(build, x, axes));
    const length = build.reduce("ReduceL2", centred, axes, true);
    const deviation = build.div(length, build.scalar(Math.sqrt(count), x));
    return [build.div(centred, build.add(deviation, build.scalar(1e-9, x)))];
  },
};

// Dropout

/** The identity, as in inference. */
const dropout: OpDefinition = {
  op: "Dropout",
  notNegative: "kept",
  settings: { 1: never("the ratio of a dropout") },
  optionalOutputs: true,
  infer: (call) => {
    const training = call.inputs[2];
    if (training && training.known?.[0] !== 0) {
      throw unsupported(
        call,
        "is in training mode, in which its output is random",
        "export the model in evaluation mode",
      );
    }
    for (const setting of call.inputs.slice(1)) {
      if (setting && setting.shape.length > 0)
        throw shapeMismatch(part(call, `input "${setting.name}"`), "is not a scalar");
    }
    const y = likeInput(call);
    return [y, { dtype: "bool" as const, shape: y.shape }].slice(0, call.outputs);
  },
  decompose: (node, build) => {
    const x = inputOf(node, 0);
    const mask = () => build.expand(build.filled(1, [], "bool"), x.shape);
    return [build.op("Identity", [x]), ...(node.outputs.length > 1 ? [mask()] : [])];
  },
};

export const normalisation: readonly OpDefinition[] = [
  layerNormalization,
  // Introduced in opset 23.
  lowered(having({ since: 23 }, rmsNormalization("RMSNormalization", 0))),
  having({ optionalOutputs: true }, rmsNormalization("SimplifiedLayerNormalization", 1)),
  instanceNormalization,
  groupNormalization,
  batchNormalization,
  lrn,
  lpNormalization,
  meanVarianceNormalization,
  // The seed has no effect in inference.
  lowered(dropout),
];
