/**
 * Attention and MultiHeadAttention of ONNX Runtime's own domain: composites, without caches of past keys and values.
 */

import { type Dim, fixedSize, isBatch, sameDim, sameShape, showDim, showShape } from "../../graph/dim.js";
import { inputOf, inputsOf } from "../../graph/operands.js";
import type { Node, Value, ValueType } from "../../graph/value.js";
import { leadingOf, nth, present } from "../../present.js";
import { isFloat } from "../../tensor/tensor.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import {
  broadcastShape,
  floatAttribute,
  intAttribute,
  interaction,
  intsAttribute,
  part,
  requireInput,
  shapeMismatch,
  unsupported,
} from "../checks.js";
import type { OpDefinition } from "../definition.js";
import {
  checkHeads,
  counted,
  defaultScale,
  headSize,
  mergeHeads,
  perHead,
  scoresOf,
  splitHeads,
} from "../subgraphs/attend.js";
import { contrib } from "../subgraphs/contrib.js";
import { groupQueryAttention } from "./grouped-query.js";

/** Queries, keys and values as `[batch, heads, length, size]`. */
type Heads = readonly [Value, Value, Value];

interface Masks {
  /**
   * Integers. Either 0 hides a key, per sample or per sample and query, or the mask holds the number of keys of each
   * sample.
   */
  readonly mask: Value | null;
  /** The bias that is added to the scores. */
  readonly bias: Value | null;
}

function headsOf(call: Call | Node): number {
  const heads = intAttribute(call, "num_heads", 0);
  if (heads > 0) return heads;
  throw shapeMismatch(call, "has no number of heads");
}

/** Refuses the inputs through which a decoder passes on earlier keys and values. */
function refusePast(call: Call, indices: readonly number[]): void {
  if (indices.some((index) => call.inputs[index])) {
    throw unsupported(
      call,
      "reads keys and values of past steps",
      "export the model without a cache (use_cache=False)",
    );
  }
}

/** Checks the masks against `[batch, heads, queries, keys]`. */
function checkMasks(call: Call | Node, { mask, bias }: Masks, full: readonly [Dim, Dim, Dim, Dim]): void {
  const [batch, , queries, keys] = full;
  const fits = (shape: readonly Dim[]) => mask && sameShape(mask.shape, shape);
  if (
    mask &&
    (isFloat(mask.dtype) || (![[batch], [batch, keys], [batch, queries, keys]].some(fits) && !isDummy(mask, batch)))
  ) {
    throw unsupported(call, `has a mask ${showShape(mask.shape)} of ${mask.dtype}, which pergrad does not know`);
  }
  if (bias && !sameShape(broadcastShape({ ...call, outputs: 1 }, [full, bias.shape]), full)) {
    throw shapeMismatch(part(call, `the bias ${showShape(bias.shape)}`), `does not broadcast to ${showShape(full)}`);
  }
  const causal = intAttribute(call, "unidirectional", 0) !== 0;
  if (causal && !sameDim(queries, keys)) {
    throw unsupported(call, `is unidirectional, but has ${showDim(queries)} queries for ${showDim(keys)} keys`);
  }
  const ordered = causal || mask?.shape.length === 1;
  if (ordered && (typeof queries !== "number" || typeof keys !== "number")) {
    throw interaction(call, "orders the samples, as queries or keys,");
  }
}

/** A mask with one element per sample treats all keys of the sample alike, and so has no effect. */
function isDummy({ shape }: Value, batch: Dim): boolean {
  return shape.length === 2 && shape[1] === 1 && (shape[0] === 1 || sameDim(nth(shape, 0), batch));
}

/** 1 where the mask lets a query see a key, in a shape that broadcasts to `[batch, heads, queries, keys]`. */
function seenBy(build: Build, mask: Value, [batch, , , keys]: readonly Dim[]): Value | null {
  if (mask.shape.length === 1) {
    const ends = build.cast(build.reshape(mask, [present(batch), 1, 1, 1]), "int64");
    return build.less(counted(build, present(keys), false), ends);
  }
  if (isDummy(mask, present(batch)) && keys !== 1) return null;
  const [own, ...rest] = leadingOf(mask.shape, 1);
  const middle = rest.length === 1 ? [1, 1] : [1];
  return build.greater(build.reshape(mask, [own, ...middle, ...rest]), build.filled(0, [], mask.dtype));
}

/**
 * Attention over heads. A large negative number is added, before the bias, to the scores that the mask or the causal
 * order hides. A query whose keys are all hidden therefore also has a result, which must equal the kernel's.
 */
function attend(node: Node, [q, k, v]: Heads, { mask, bias }: Masks, build: Build): Value {
  const stated = floatAttribute(node, "scale", 0);
  const scores = scoresOf(build, q, k, stated === 0 ? defaultScale(q.shape[3]) : stated);
  const zero = build.scalar(0, scores);
  const seen = mask ? seenBy(build, mask, scores.shape) : null;
  const hidden = build.scalar(floatAttribute(node, "mask_filter_value", -10000), scores);
  const masked = seen ? build.where(seen, zero, hidden) : null;
  const causal = intAttribute(node, "unidirectional", 0) !== 0;
  const [, , queries, keys] = leadingOf(scores.shape, 4);
  const order = causal ? build.lessOrEqual(counted(build, keys, false), counted(build, queries, true)) : null;
  const filter = order ? build.where(order, masked ?? zero, build.scalar(causalFilter, scores)) : masked;
  const terms = [...(filter ? [filter] : []), ...(bias ? [bias] : [])];
  const biased = terms.reduce((sum, term) => build.add(sum, term), scores);
  return perHead(build, build.op("Softmax", [biased], { axis: 3 }), v);
}

const causalFilter = -3.4028234663852886e38;

// Attention: the projection to queries, keys and values is part of it

interface Projection {
  readonly heads: number;
  /** The sizes of queries, keys and values. */
  readonly hidden: readonly [number, number, number];
}

function readProjection(call: Call | Node): Projection {
  const [x, weight] = [requireInput(call, 0), requireInput(call, 1)];
  const heads = headsOf(call);
  const [inner, width] = weight.shape;
  if (
    x.shape.length !== 3 ||
    weight.shape.length !== 2 ||
    !sameDim(nth(x.shape, 2), present(inner)) ||
    typeof width !== "number"
  ) {
    throw shapeMismatch(call, `has inputs ${showShape(x.shape)} and ${showShape(weight.shape)}, which do not multiply`);
  }
  const stated = intsAttribute(call, "qkv_hidden_sizes");
  const hidden = stated && stated.length > 0 ? stated : [width / 3, width / 3, width / 3];
  const [q = 0, k = 0, v = 0] = hidden;
  if (
    hidden.length !== 3 ||
    q !== k ||
    q + k + v !== width ||
    !hidden.every((size) => Number.isInteger(size) && size >= 0)
  ) {
    throw shapeMismatch(
      part(call, `the weight ${showShape(weight.shape)}`),
      `does not hold queries, keys and values of ${hidden.join(", ")} columns`,
    );
  }
  for (const size of hidden) headSize(call, size, heads);
  const bias = call.inputs[2];
  if (bias && !sameShape(bias.shape, [width]))
    throw shapeMismatch(part(call, "the bias"), `is ${showShape(bias.shape)}, not [${width}]`);
  return { heads, hidden: [q, k, v] };
}

const attentionMasks = (node: Call | Node): Masks => ({ mask: node.inputs[3] ?? null, bias: node.inputs[5] ?? null });

function inferAttention(call: Call): ValueType[] {
  const { heads, hidden } = readProjection(call);
  refusePast(call, [4, 6]);
  if (intAttribute(call, "do_rotary", 0) !== 0)
    throw unsupported(
      call,
      "turns its queries and keys (do_rotary)",
      "export the rotary embedding as nodes of its own",
    );
  const { dtype, shape } = requireInput(call, 0);
  const [batch, length] = leadingOf(shape, 2);
  checkMasks(call, attentionMasks(call), [batch, heads, length, length]);
  const present = [2, batch, heads, length, hidden[0] / heads];
  if (call.outputs > 1 && hidden[0] !== hidden[2])
    throw unsupported(call, "has keys and values of different sizes, and gives them in one output");
  return [[batch, length, hidden[2]], present].slice(0, call.outputs).map((dims) => ({ dtype, shape: dims }));
}

const attention: OpDefinition = contrib({
  op: "Attention",
  optionalOutputs: true,
  infer: inferAttention,
  decompose: (node, build) => {
    const { heads, hidden } = readProjection(node);
    const [x, weight, bias] = inputsOf(node, 2);
    const product = build.matmul(x, weight);
    const projected = bias ? build.add(product, bias) : product;
    const parts = build.node("Split", [projected, build.ints(hidden)], { axis: 2 }, 3).outputs;
    const split = parts.map((part, k) => splitHeads(build, part, heads, nth(hidden, k) / heads));
    const [q, k, v] = leadingOf(split, 3);
    const y = mergeHeads(build, attend(node, [q, k, v], attentionMasks(node), build));
    if (node.outputs.length === 1) return [y];
    return [y, build.concat([build.unsqueeze(k, [0]), build.unsqueeze(v, [0])], 0)];
  },
});

// MultiHeadAttention: queries, keys and values apart, or packed

/** How the inputs hold queries, keys and values. */
type Packing = "apart" | "keys by heads" | "keys and values" | "all";

interface MultiHead {
  readonly packing: Packing;
  readonly heads: number;
  readonly shapes: readonly [readonly Dim[], readonly Dim[], readonly Dim[]];
}

function packingOf(call: Call | Node): Packing {
  const [query, key, value] = [requireInput(call, 0), call.inputs[1], call.inputs[2]];
  const ranks = [query, key, value].map((input) => input?.shape.length ?? 0).join();
  const packing = ({ "3,3,3": "apart", "3,4,4": "keys by heads", "3,5,0": "keys and values", "5,0,0": "all" } as const)[
    ranks
  ];
  if (packing) return packing;
  throw unsupported(call, `has queries, keys and values of ${ranks} axes, a form that pergrad does not know`);
}

function readMultiHead(call: Call | Node): MultiHead {
  const heads = headsOf(call);
  const packing = packingOf(call);
  const apart = (index: number): readonly Dim[] => {
    const [batch, length, hidden] = leadingOf(requireInput(call, index).shape, 3);
    return [batch, heads, length, headSize(call, hidden, heads)];
  };
  const packed = (index: number, count: number): readonly Dim[] => {
    const [batch, length, own, parts, size] = requireInput(call, index).shape as [Dim, Dim, Dim, Dim, Dim];
    if (own !== heads || parts !== count)
      throw shapeMismatch(part(call, `input ${index}`), `does not hold ${heads} heads, ${count} each`);
    return [batch, heads, length, size];
  };
  const given = (index: number) => requireInput(call, index).shape;
  const shapes = (): MultiHead["shapes"] => {
    if (packing === "apart") return [apart(0), apart(1), apart(2)];
    if (packing === "keys by heads") return [apart(0), given(1), sameShape(given(1), given(2)) ? given(2) : []];
    const keys = packing === "all" ? packed(0, 3) : packed(1, 2);
    return [packing === "all" ? keys : apart(0), keys, keys];
  };
  const read = { packing, heads, shapes: shapes() };
  const growing = read.shapes.find((shape) => isBatch(shape[3]));
  if (growing)
    throw shapeMismatch(
      call,
      `has heads ${showShape(growing)} of a size that grows with the batch, which none may have`,
    );
  const { keyHeads, batch, queries, keys } = checkHeads(call, ...read.shapes);
  if (keyHeads !== heads) throw shapeMismatch(call, `has ${heads} heads of queries and ${keyHeads} of keys`);
  checkBias(call, read);
  checkMasks(call, multiHeadMasks(call), [batch, heads, queries, keys]);
  return read;
}

/** Checks the bias, which holds those of queries, keys and values one after another. */
function checkBias(call: Call | Node, { packing, heads, shapes }: MultiHead): void {
  const bias = call.inputs[3];
  if (!bias) return;
  const sizes = shapes.map((shape) => heads * Number(shape[3]));
  const width = sizes.reduce((sum, size) => sum + size, 0);
  if (packing === "keys by heads" || packing === "keys and values" || !sameShape(bias.shape, [width])) {
    throw shapeMismatch(part(call, `the bias ${showShape(bias.shape)}`), "does not fit its queries, keys and values");
  }
}

const multiHeadMasks = (node: Call | Node): Masks => ({ mask: node.inputs[4] ?? null, bias: node.inputs[5] ?? null });

function inferMultiHead(call: Call): ValueType[] {
  refusePast(call, [6, 7, 8, 9]);
  const { heads, shapes } = readMultiHead(call);
  if (call.outputs > 3) throw unsupported(call, "gives its scores as an output", "remove that output from the model");
  const { dtype } = requireInput(call, 0);
  const [[batch, , queries], key, value] = shapes as [readonly [Dim, Dim, Dim], readonly Dim[], readonly Dim[]];
  const y = [batch, queries, heads * Number(value[3])];
  return [y, key, value].slice(0, call.outputs).map((shape) => ({ dtype, shape }));
}

/** The tensor at `index` of the `count` tensors packed along axis 3 of `[B, S, heads, count, d]`. */
function unpack(build: Build, packed: Value, index: number): Value {
  const [batch, length, heads, , size] = packed.shape as [Dim, Dim, Dim, Dim, Dim];
  const own = build.reshape(build.slice(packed, 3, index, index + 1), [batch, length, heads, size]);
  return build.transpose(own, [0, 2, 1, 3]);
}

function multiHeads(node: Node, { packing, heads, shapes }: MultiHead, build: Build): Heads {
  const query = inputOf(node, 0);
  const size = (index: 0 | 1 | 2) => Number(shapes[index][3]);
  const split = (x: Value, index: 0 | 1 | 2) => splitHeads(build, x, heads, size(index));
  switch (packing) {
    case "apart":
      return [split(query, 0), split(inputOf(node, 1), 1), split(inputOf(node, 2), 2)];
    case "keys by heads":
      return [split(query, 0), inputOf(node, 1), inputOf(node, 2)];
    case "keys and values":
      return [split(query, 0), unpack(build, inputOf(node, 1), 0), unpack(build, inputOf(node, 1), 1)];
    case "all":
      return [unpack(build, query, 0), unpack(build, query, 1), unpack(build, query, 2)];
  }
}

/** The heads, each with its part of the bias added. */
function withBias(build: Build, heads: Heads, bias: Value | null | undefined): Heads {
  if (!bias) return heads;
  let start = 0;
  const sums = heads.map((x) => {
    const [count, size] = [fixedSize(x.shape, 1), fixedSize(x.shape, 3)];
    const own = build.reshape(build.slice(bias, 0, start, start + count * size), [count, 1, size]);
    start += count * size;
    return build.add(x, own);
  });
  const [queries, keys, values] = leadingOf(sums, 3);
  return [queries, keys, values];
}

function decomposeMultiHead(node: Node, build: Build): Value[] {
  const read = readMultiHead(node);
  const heads = withBias(build, multiHeads(node, read, build), node.inputs[3]);
  const y = mergeHeads(build, attend(node, heads, multiHeadMasks(node), build));
  // Each output needs a value of its own, even if it equals an input.
  return [y, ...heads.slice(1).map((x) => build.op("Identity", [x]))].slice(0, node.outputs.length);
}

const multiHeadAttention: OpDefinition = contrib({
  op: "MultiHeadAttention",
  optionalOutputs: true,
  infer: inferMultiHead,
  decompose: decomposeMultiHead,
});

export const contribAttention: readonly OpDefinition[] = [attention, multiHeadAttention, groupQueryAttention];
