/**
 * Attention of opsets 23 to 25, a composite. It supports grouped heads, masks, causal and windowed forms, and caches.
 */

import { add, type Dim, sameDim, sameShape, showShape } from "../../graph/dim.js";
import { inputOf } from "../../graph/operands.js";
import type { Node, Value, ValueType } from "../../graph/value.js";
import { leadingOf, present } from "../../present.js";
import { isFloat } from "../../tensor/tensor.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import {
  broadcastShape,
  floatAttribute,
  intAttribute,
  interaction,
  part,
  requireInput,
  shapeMismatch,
  unsupported,
} from "../checks.js";
import { type OpDefinition, perhaps } from "../definition.js";
import { lowered } from "../elementwise.js";
import {
  type AttentionSizes,
  all,
  checkHeads,
  counted,
  defaultScale,
  headSize,
  mergeHeads,
  perHead,
  scoresOf,
  splitHeads,
} from "../subgraphs/attend.js";

/** The positions of the inputs. */
const [maskAt, pastKeyAt, pastValueAt, lengthsAt] = [3, 4, 5, 6];

interface Attention extends AttentionSizes {
  /**
   * The shapes of queries, keys and values of this call, `[batch, heads, length, size]`; keys do not include past ones.
   */
  readonly shapes: readonly [readonly Dim[], readonly Dim[], readonly Dim[]];
  readonly past: number;
  /** Whether the inputs have three axes, with heads and their elements merged into one. */
  readonly merged: boolean;
}

function headShape(call: Call | Node, index: number, merged: boolean): readonly Dim[] {
  const { shape } = requireInput(call, index);
  if (!merged) return shape;
  const heads = intAttribute(call, index === 0 ? "q_num_heads" : "kv_num_heads", 0);
  const [batch, length, hidden] = leadingOf(shape, 3);
  return [batch, heads, length, headSize(call, hidden, heads)];
}

/** The length of the cache, which must equal the keys and values in all other axes. */
function pastLength(call: Call | Node, key: readonly Dim[], value: readonly Dim[]): number {
  const caches = [call.inputs[pastKeyAt], call.inputs[pastValueAt]];
  if (!caches[0] && !caches[1]) return 0;
  const lengths = caches.map((cache, k) => {
    const own = (k === 0 ? key : value).map((dim, axis) => (axis === 2 ? (cache?.shape[2] ?? dim) : dim));
    if (!cache || !sameShape(cache.shape, own)) {
      throw shapeMismatch(part(call, `the past ${k === 0 ? "key" : "value"}`), `does not fit ${showShape(own)}`);
    }
    return cache.shape[2];
  });
  const [length] = lengths;
  if (typeof length !== "number" || length !== lengths[1]) {
    throw shapeMismatch(part(call, "the past key and past value"), "do not have the same fixed length");
  }
  return length;
}

function readAttention(call: Call | Node): Attention {
  const ranks = [0, 1, 2].map((index) => requireInput(call, index).shape.length);
  const merged = ranks.every((rank) => rank === 3);
  if (!merged && !ranks.every((rank) => rank === 4)) {
    throw shapeMismatch(
      part(call, "the queries, keys and values"),
      `have ${ranks.join(", ")} axes, not all 3 or all 4`,
    );
  }
  const shapeOf = (index: number) => headShape(call, index, merged);
  const shapes = [shapeOf(0), shapeOf(1), shapeOf(2)] as const;
  const sizes = checkHeads(call, ...shapes);
  const past = pastLength(call, shapes[1], shapes[2]);
  const keys = add(sizes.keys, past);
  if (keys === undefined) throw interaction(call, "attends to the samples");
  const read = { ...sizes, keys, shapes, past, merged };
  checkMasks(call, read);
  return read;
}

/** The conditions that exclude keys. */
interface Bounds {
  readonly causal: boolean;
  readonly left: number;
  readonly right: number;
}

function boundsOf(call: Call | Node): Bounds {
  return {
    causal: intAttribute(call, "is_causal", 0) !== 0,
    left: intAttribute(call, "left_window_size", -1),
    right: intAttribute(call, "right_window_size", -1),
  };
}

const isBounded = ({ causal, left, right }: Bounds) => causal || left >= 0 || right >= 0;

function checkMasks(call: Call | Node, { batch, heads, queries, keys, past }: Attention): void {
  const [mask, lengths] = [call.inputs[maskAt], call.inputs[lengthsAt]];
  const full = [batch, heads, queries, keys];
  if (mask) {
    const last = mask.shape.at(-1);
    if (last === 1 && keys !== 1)
      throw unsupported(call, "has a mask of one key for several keys, which runtimes read in two ways");
    if (!isFloat(mask.dtype) && mask.dtype !== "bool")
      throw shapeMismatch(part(call, "the mask"), `is of dtype ${mask.dtype}, not bool or that of the queries`);
    const shorter = typeof last === "number" && typeof keys === "number" && last < keys;
    const shape = shorter ? [...mask.shape.slice(0, -1), keys] : mask.shape;
    if (!sameShape(broadcastShape({ ...call, outputs: 1 }, [full, shape]), full)) {
      throw shapeMismatch(part(call, `the mask ${showShape(mask.shape)}`), `does not broadcast to ${showShape(full)}`);
    }
  }
  if (lengths && (past > 0 || !sameShape(lengths.shape, [batch]))) {
    throw shapeMismatch(
      part(call, `the lengths ${showShape(lengths.shape)}`),
      "are not one per sample, without a past",
    );
  }
  const places = isBounded(boundsOf(call)) || (lengths !== null && lengths !== undefined);
  if (places && (typeof queries !== "number" || typeof keys !== "number")) {
    throw interaction(call, "orders the samples, as queries or keys,");
  }
}

function inferAttention(call: Call): ValueType[] {
  const { batch, heads, keyHeads, queries, keys, shapes, merged } = readAttention(call);
  const mode = intAttribute(call, "qk_matmul_output_mode", 0);
  if (![0, 1, 2, 3].includes(mode))
    throw unsupported(call, `has the qk_matmul_output_mode ${mode}, which ONNX does not define`);
  const { dtype } = requireInput(call, 0);
  const [size, valueSize] = [shapes[1][3] as number, shapes[2][3] as number];
  const y = merged ? [batch, queries, heads * valueSize] : [batch, heads, queries, valueSize];
  const outputs = [y, [batch, keyHeads, keys, size], [batch, keyHeads, keys, valueSize], [batch, heads, queries, keys]];
  return outputs.slice(0, call.outputs).map((shape) => ({ dtype, shape }));
}

// Masks

/** Which keys a query sees as far as that depends on positions: causal order, windows and the lengths of samples. */
function visible(node: Node, { queries, keys, past, batch }: Attention, build: Build): Value | null {
  const { causal, left, right } = boundsOf(node);
  const lengths = node.inputs[lengthsAt];
  const each = lengths ? build.reshape(lengths, [batch, 1, 1, 1]) : null;
  const row = () => counted(build, keys, false);
  // The position of the first query: after the past, or counted back from the end of the sample's keys.
  const offset = () => (each ? build.sub(each, build.ints([Number(queries)], [])) : build.ints([past], []));
  const place = () => build.add(counted(build, queries, true), offset());
  const from = (shift: number) => build.add(place(), build.ints([shift], []));
  return all(build, [
    ...(causal ? [build.lessOrEqual(row(), place())] : []),
    ...(left >= 0 ? [build.greaterOrEqual(row(), from(-left))] : []),
    ...(right >= 0 ? [build.lessOrEqual(row(), from(right))] : []),
    ...(each ? [build.less(row(), each)] : []),
  ]);
}

/** The mask, extended to keys that it does not cover; those are hidden. */
function fullMask(mask: Value, keys: Dim, build: Build): Value {
  const last = mask.shape.at(-1) ?? keys;
  if (sameDim(last, keys)) return mask;
  const hidden = build.filled(mask.dtype === "bool" ? 0 : Number.NEGATIVE_INFINITY, [], mask.dtype);
  const shape = [...mask.shape.slice(0, -1), Number(keys) - Number(last)];
  return build.concat([mask, build.expand(hidden, shape)], mask.shape.length - 1);
}

interface Bias {
  /** The bias that is added to the scores. */
  readonly bias: Value;
  /** The queries that see no key at all; null if there are none. */
  readonly blind: Value | null;
}

function biasOf(node: Node, read: Attention, build: Build): Bias | null {
  const given = node.inputs[maskAt];
  const mask = given ? fullMask(given, read.keys, build) : null;
  const seen = visible(node, read, build);
  const conditions = [...(mask?.dtype === "bool" ? [mask] : []), ...(seen ? [seen] : [])];
  const allowed = all(build, conditions);
  const like = inputOf(node, 0);
  const hidden = build.scalar(Number.NEGATIVE_INFINITY, like);
  const added = mask && mask.dtype !== "bool" ? mask : null;
  if (!allowed && !added) return null;
  const bias = allowed ? build.where(allowed, added ?? build.scalar(0, like), hidden) : present(added);
  const last = [bias.shape.length - 1];
  const along = (x: Value, op: "ReduceMax" | "ReduceMin") =>
    bias.shape.length > 0 ? build.reduce(op, x, last, true) : x;
  // A maximum would hide a NaN in the mask.
  const none = () => build.equal(along(build.cast(build.equal(bias, hidden), bias.dtype), "ReduceMin"), one);
  const one = build.scalar(1, like);
  // With causal order alone, each query still sees its own key.
  const { causal, left, right } = boundsOf(node);
  const causalOnly = causal && left < 0 && right < 0 && !mask && !node.inputs[lengthsAt];
  if (causalOnly) return { bias, blind: null };
  return { bias, blind: added ? none() : build.equal(along(bias, "ReduceMax"), hidden) };
}

// The whole operator

interface AttentionParts {
  readonly y: Value;
  readonly key: Value;
  readonly value: Value;
  readonly scores: Value;
}

function attend(node: Node, build: Build): AttentionParts {
  const read = readAttention(node);
  const heads = (index: 0 | 1 | 2) => {
    const input = inputOf(node, index);
    const [, count, , size] = read.shapes[index] as readonly [Dim, number, Dim, number];
    return read.merged ? splitHeads(build, input, count, size) : input;
  };
  const joined = (at: number, own: Value) => build.concat([...(node.inputs[at] ? [inputOf(node, at)] : []), own], 2);
  const [key, value] = [joined(pastKeyAt, heads(1)), joined(pastValueAt, heads(2))];
  const scale = floatAttribute(node, "scale", defaultScale(read.shapes[0][3]));
  const raw = scoresOf(build, heads(0), key, scale);
  const cap = floatAttribute(node, "softcap", 0);
  const capped = cap > 0 ? build.scale(build.tanh(build.scale(raw, 1 / cap)), cap) : raw;
  const limits = biasOf(node, read, build);
  const biased = limits ? build.add(capped, limits.bias) : capped;
  const weights = weightsOf(biased, limits?.blind ?? null, build);
  const y = perHead(build, weights, value);
  const scores = [raw, capped, biased, weights][intAttribute(node, "qk_matmul_output_mode", 0)] ?? raw;
  return { y: read.merged ? mergeHeads(build, y) : y, key, value, scores };
}

/** Softmax over the keys. A query that sees no key gets zeros, and its scores do not enter the softmax. */
function weightsOf(scores: Value, blind: Value | null, build: Build): Value {
  const softmax = (x: Value) => build.op("Softmax", [x], { axis: 3 });
  if (!blind) return softmax(scores);
  const zero = build.scalar(0, scores);
  return build.where(blind, zero, softmax(build.where(blind, zero, scores)));
}

const definition: OpDefinition = {
  op: "Attention",
  settings: { 3: perhaps("an attention mask") },
  sameSamples: [0, 1, 2, 4, 5],
  since: 23,
  optionalOutputs: true,
  infer: inferAttention,
  decompose: (node, build) => {
    const { y, key, value, scores } = attend(node, build);
    // Each output needs a value of its own, even if a cache is an input.
    const outputs = [y, key, value, scores].slice(0, node.outputs.length);
    return outputs.map((output, k) => (k === 0 ? output : build.op("Identity", [output])));
  },
};

export const attention: readonly OpDefinition[] = [
  // Introduced in opset 23.
  lowered(definition),
];
