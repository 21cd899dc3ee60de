/** Normalisations of ONNX Runtime's own domain: fused with residual sums, activations or embeddings. All composites. */

import { type Dim, sameShape, showShape } from "../../graph/dim.js";
import { inputOf, inputsOf } from "../../graph/operands.js";
import type { Node, Value, ValueType } from "../../graph/value.js";
import { leadingOf, nth, present } from "../../present.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import { floatAttribute, intAttribute, part, requireInput, shapeMismatch, unsupported } from "../checks.js";
import type { OpDefinition } from "../definition.js";
import { normalisation } from "../rules/normalisation.js";
import { keptShape } from "../rules/reductions.js";
import {
  addOptional,
  contrib,
  likeFirst,
  likeFirstWith,
  partOf,
  requireLastAxisVectors,
} from "../subgraphs/contrib.js";

// SkipLayerNormalization: a residual sum, normalised along the last axis

interface Skip {
  readonly op: string;
  /** The position of the bias, which is added to the sum. */
  readonly bias: number;
  /** Y and the statistics of the normalised sum: its mean and its inverse deviation. */
  readonly normalise: (node: Node, sum: Value, build: Build) => readonly Value[];
}

const epsilonOf = (node: Node, fallback: number) => ({ epsilon: floatAttribute(node, "epsilon", fallback) });
const skipAttributes = (node: Node) => ({ ...epsilonOf(node, 1e-12), axis: -1 });

function inferSkip(call: Call, bias: number): ValueType[] {
  const y = likeFirstWith(call, 1);
  for (const index of [1, 2]) requireInput(call, index);
  requireLastAxisVectors(call, 2, 3, bias);
  const statistic = { dtype: y.dtype, shape: keptShape(y.shape, [y.shape.length - 1]) };
  return [y, statistic, statistic, y].slice(0, call.outputs);
}

function skipNormalization({ op, bias, normalise }: Skip): OpDefinition {
  const decompose = (node: Node, build: Build): Value[] => {
    const [x, skip] = inputsOf(node, 2);
    const sum = addOptional(build, build.add(x, skip), node.inputs[bias]);
    return [...normalise(node, sum, build), sum].slice(0, node.outputs.length);
  };
  return contrib({
    op,
    optionalOutputs: true,
    infer: (call) => inferSkip(call, bias),
    decompose,
    // If the sum is an output, it becomes a node of its own, which the backward pass reads too.
    lower: (node, build) => (node.outputs.length > 1 ? decompose(node, build) : null),
  });
}

const skips: readonly OpDefinition[] = [
  skipNormalization({
    op: "SkipLayerNormalization",
    bias: 4,
    normalise: (node, sum, build) => {
      const inputs = [sum, node.inputs[2] ?? null, node.inputs[3] ?? null];
      const normalised = (outputs: number) =>
        build.node("LayerNormalization", inputs, skipAttributes(node), outputs).outputs;
      // Separate nodes, so that statistics that nobody reads are not computed.
      return [...normalised(1), ...normalised(3).slice(1)];
    },
  }),
  skipNormalization({
    op: "SkipSimplifiedLayerNormalization",
    bias: 3,
    normalise: (node, sum, build) => {
      const inputs = [sum, node.inputs[2] ?? null];
      const normalised = (outputs: number) =>
        build.node("SimplifiedLayerNormalization", inputs, skipAttributes(node), outputs).outputs;
      const mean = build.reduce("ReduceMean", sum, [sum.shape.length - 1], true);
      return [...normalised(1), mean, ...normalised(2).slice(1)];
    },
  }),
];

// GroupNorm: GroupNormalization, with the channels first or last, after a sum, before an activation

const channelsLast = (node: Call | Node) => intAttribute(node, "channels_last", 1) !== 0;

/** `[N, C, ...]`, whichever order the node's axes have. */
function channelsFirst(node: Node, x: Value, build: Build): Value {
  return channelsLast(node) ? build.moveAxis(x, x.shape.length - 1, 1) : x;
}

/** Applies GroupNormalization and the activation to x, whose axes are in the node's order. */
function groupNorm(node: Node, x: Value, build: Build): Value {
  const [, scale, shift] = inputsOf(node, 3);
  const attributes = { ...epsilonOf(node, 1e-5), num_groups: intAttribute(node, "groups", 1) };
  const y = build.op("GroupNormalization", [channelsFirst(node, x, build), scale, shift], attributes);
  const back = channelsLast(node) ? build.moveAxis(y, 1, y.shape.length - 1) : y;
  return intAttribute(node, "activation", 0) === 1 ? build.mul(back, build.sigmoid(back)) : back;
}

/** The shape rule of GroupNormalization, applied to axes in its order. */
function inferGroupNorm(call: Call): ValueType {
  const x = requireInput(call, 0);
  if (x.shape.length < 2) throw shapeMismatch(part(call, `the input ${showShape(x.shape)}`), "has no channels");
  const activation = intAttribute(call, "activation", 0);
  if (activation !== 0 && activation !== 1)
    throw unsupported(call, `has the activation ${activation}, which its definition lacks`);
  const channels = present(x.shape.at(-1));
  const shape = channelsLast(call) ? [nth(x.shape, 0), channels, ...x.shape.slice(1, -1)] : x.shape;
  const attributes = { num_groups: intAttribute(call, "groups", 1) };
  const inputs = [{ ...x, shape }, requireInput(call, 1), requireInput(call, 2)];
  partOf(normalisation, "GroupNormalization").infer({ ...call, inputs, attributes, outputs: 1 });
  return likeFirst(call);
}

/** The tensor that is added to x, with axes of size 1 in place of the positions that it lacks. */
function skipOf(call: Call | Node): { readonly skip: Value; readonly shape: readonly Dim[] } {
  const [x, skip] = [requireInput(call, 0), requireInput(call, 3)];
  if (skip.shape.length !== 2 || x.shape.length === 2) return { skip, shape: skip.shape };
  const [batch, channels] = leadingOf(skip.shape, 2);
  const ones = x.shape.slice(2).map(() => 1);
  return { skip, shape: channelsLast(call) ? [batch, ...ones, channels] : [batch, channels, ...ones] };
}

/** A vector along the channels, in a shape that broadcasts to x. */
function alongChannels(node: Node, vector: Value, x: Value, build: Build): Value {
  return channelsLast(node) ? vector : build.reshape(vector, [...vector.shape, ...x.shape.slice(2).map(() => 1)]);
}

const skipGroupNorm: OpDefinition = contrib({
  op: "SkipGroupNorm",
  optionalOutputs: true,
  infer: (call) => {
    const y = inferGroupNorm(call);
    const { skip, shape } = skipOf(call);
    likeFirstWith({ ...call, inputs: [requireInput(call, 0), { ...skip, shape }] }, 1);
    const [bias, scale] = [call.inputs[4], requireInput(call, 1)];
    if (bias && !sameShape(bias.shape, scale.shape)) {
      throw shapeMismatch(part(call, `the bias ${showShape(bias.shape)}`), "is not one number per channel");
    }
    return [y, y].slice(0, call.outputs);
  },
  decompose: (node, build) => {
    const x = inputOf(node, 0);
    const bias = node.inputs[4];
    const { skip, shape } = skipOf(node);
    const residual = build.add(x, build.reshape(skip, shape));
    const sum = bias ? build.add(residual, alongChannels(node, bias, x, build)) : residual;
    return [groupNorm(node, sum, build), sum].slice(0, node.outputs.length);
  },
});

const plainGroupNorm: OpDefinition = contrib({
  op: "GroupNorm",
  infer: (call) => [inferGroupNorm(call)],
  decompose: (node, build) => [groupNorm(node, inputOf(node, 0), build)],
});

// EmbedLayerNormalization: word, position and segment embeddings, added up and normalised

interface Embedding {
  readonly ids: Value;
  readonly words: Value;
  readonly positions: Value;
  readonly segments: { readonly ids: Value; readonly table: Value } | null;
  readonly positionIds: Value | null;
}

/** Checks the shapes: ids `[B, S]` or `[1, S]`, tables `[entries, H]`, vectors `[H]`. */
function readEmbedding(call: Call | Node): Embedding {
  const [ids, words, positions] = leadingOf(
    [0, 2, 3].map((index) => requireInput(call, index)),
    3,
  );
  const [segmentIds, table] = [call.inputs[1], call.inputs[4]];
  const positionIds = call.inputs[8] ?? null;
  const hidden = words.shape.slice(1);
  const tables = [words, positions, ...(table ? [table] : [])];
  const vectors = [requireInput(call, 5), requireInput(call, 6)];
  const fits =
    tables.every(({ shape }) => shape.length === 2 && sameShape(shape.slice(1), hidden)) &&
    vectors.every(({ shape }) => sameShape(shape, hidden));
  if (!fits) throw shapeMismatch(part(call, "the embeddings, gamma and beta"), "do not have the same width");
  const alike = (place: Value | null | undefined, batch?: Dim) =>
    !place || sameShape(place.shape, [batch ?? nth(ids.shape, 0), ...ids.shape.slice(1)]);
  const fitting = () => alike(segmentIds) && alike(call.inputs[7]) && (alike(positionIds) || alike(positionIds, 1));
  if (ids.shape.length !== 2 || !fitting()) {
    throw shapeMismatch(part(call, "the ids and mask"), "are not of shape [batch, sequence]");
  }
  const [length, known] = [nth(ids.shape, 1), nth(positions.shape, 0)];
  if (!positionIds && !(typeof length === "number" && typeof known === "number" && length <= known)) {
    throw shapeMismatch(call, `has ${showShape([known])} positions for a sequence of ${showShape([length])}`);
  }
  if (!segmentIds !== !table)
    throw shapeMismatch(call, "has segments without a table of them, or a table without segments");
  return { ids, words, positions, positionIds, segments: segmentIds && table ? { ids: segmentIds, table } : null };
}

/** The sum of the embeddings, `[B, S, H]`. */
function embed({ ids, words, positions, segments, positionIds }: Embedding, build: Build): Value {
  const placed = positionIds
    ? build.gather(positions, positionIds, 0)
    : build.slice(positions, 0, 0, nth(ids.shape, 1));
  const sum = build.add(build.gather(words, ids, 0), placed);
  return segments ? build.add(sum, build.gather(segments.table, segments.ids, 0)) : sum;
}

/** How many elements of the mask are 1 in each row of the batch; 0 if there is no mask. */
function maskLengths(node: Node, { ids }: Embedding, build: Build): Value {
  const mask = node.inputs[7];
  if (!mask) return build.zeros(ids.shape.slice(0, 1), "int32");
  const ones = build.cast(build.equal(mask, build.filled(1, [], mask.dtype)), "int32");
  return build.reduce("ReduceSum", ones, [1]);
}

const embedLayerNormalization: OpDefinition = contrib({
  op: "EmbedLayerNormalization",
  optionalOutputs: true,
  infer: (call) => {
    const { ids, words } = readEmbedding(call);
    const y = { dtype: words.dtype, shape: [...ids.shape, nth(words.shape, 1)] };
    return [y, { dtype: "int32" as const, shape: ids.shape.slice(0, 1) }, y].slice(0, call.outputs);
  },
  decompose: (node, build) => {
    const parts = readEmbedding(node);
    const sum = embed(parts, build);
    const inputs = [sum, node.inputs[5] ?? null, node.inputs[6] ?? null];
    const y = build.op("LayerNormalization", inputs, skipAttributes(node));
    const outputs = [() => y, () => maskLengths(node, parts, build), () => sum];
    return outputs.slice(0, node.outputs.length).map((output) => output());
  },
});

export const contribNormalisation: readonly OpDefinition[] = [
  ...skips,
  plainGroupNorm,
  skipGroupNorm,
  embedLayerNormalization,
];
