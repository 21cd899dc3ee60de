/**
 * GroupQueryAttention of ONNX Runtime's own domain, which that runtime's tools write for language models. It is a
 * composite.
 */

import { type Dim, fixedSize, sameShape, showShape } from "../../graph/dim.js";
import { inputOf } from "../../graph/operands.js";
import type { Node, Value, ValueType } from "../../graph/value.js";
import { leadingOf, nth } from "../../present.js";
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
import { type OpDefinition, said } from "../definition.js";
import { lowered } from "../elementwise.js";
import {
  all,
  counted,
  defaultScale,
  headSize,
  mergeHeads,
  perHead,
  scoresOf,
  splitHeads,
} from "../subgraphs/attend.js";
import { contrib } from "../subgraphs/contrib.js";

/** The positions of the inputs. */
const at = {
  key: 1,
  value: 2,
  pastKey: 3,
  pastValue: 4,
  /** The number of keys of each sample, including past ones, minus one. */
  lengths: 5,
  /** The largest number of keys of any sample. */
  total: 6,
  cosines: 7,
  sines: 8,
  positions: 9,
  bias: 10,
  sink: 11,
  keyScale: 12,
  valueScale: 13,
  queryNorm: 14,
  keyNorm: 15,
  queryLengths: 16,
} as const;

interface GroupedQuerySizes {
  readonly batch: Dim;
  readonly queries: number;
  /** The number of keys of this call, without those of the past. */
  readonly keys: number;
  /** The number of keys that the cache has room for. `lengths` says how many of them each sample has filled. */
  readonly past: number;
  readonly heads: number;
  readonly keyHeads: number;
  /** The size of one head. */
  readonly size: number;
  /** Whether queries, keys and values lie side by side in the first input. */
  readonly packed: boolean;
}

function readSizes(call: Call | Node): GroupedQuerySizes {
  const query = requireInput(call, 0);
  const [heads, keyHeads] = [intAttribute(call, "num_heads", 0), intAttribute(call, "kv_num_heads", 0)];
  if (!(heads > 0 && keyHeads > 0 && heads % keyHeads === 0))
    throw shapeMismatch(call, `has ${heads} heads of queries and ${keyHeads} of keys, which do not share evenly`);
  const [key, value] = [call.inputs[at.key], call.inputs[at.value]];
  if (query.shape.length !== 3 || !key !== !value || (key && value && !sameShape(key.shape, value.shape)))
    throw shapeMismatch(part(call, "the queries, keys and values"), "are not of shape [batch, length, heads * size]");
  const [batch, length, hidden] = leadingOf(query.shape, 3);
  const size = headSize(call, hidden, key ? heads : heads + 2 * keyHeads);
  const given = key?.shape ?? [batch, length, keyHeads * size];
  const keys = nth(given, 1);
  if (typeof length !== "number" || typeof keys !== "number")
    throw interaction(call, "orders the samples, as queries or keys,");
  if (!sameShape(given, [batch, keys, keyHeads * size]) || (isCausal(call) && keys !== length))
    throw shapeMismatch(
      call,
      `has queries ${showShape(query.shape)} and keys ${showShape(given)}, which do not fit each other`,
    );
  const past = pastLength(call, batch, keyHeads, size);
  return { batch, queries: length, keys, past, heads, keyHeads, size, packed: !key };
}

function pastLength(call: Call | Node, batch: Dim, keyHeads: number, size: number): number {
  const caches = [call.inputs[at.pastKey], call.inputs[at.pastValue]];
  if (caches.every((cache) => !cache)) return 0;
  const length = caches[0]?.shape[2];
  if (
    typeof length !== "number" ||
    !caches.every((cache) => cache && sameShape(cache.shape, [batch, keyHeads, length, size]))
  )
    throw shapeMismatch(
      part(call, "the keys and values of past steps"),
      `are not both of shape ${showShape([batch, keyHeads])} and a fixed length of ${size} numbers each`,
    );
  return length;
}

const isCausal = (call: Call | Node) => intAttribute(call, "causal", 1) !== 0;

/** How many keys back a query sees, counting its own; -1 if there is no limit. */
const windowOf = (call: Call | Node) => intAttribute(call, "local_window_size", -1);

function refuseUnknown(call: Call, { past, batch }: GroupedQuerySizes): void {
  if (call.inputs[at.keyScale] || call.inputs[at.valueScale])
    throw unsupported(call, "holds keys and values as integers", "export the model with a cache of floats");
  if (call.inputs[at.queryLengths])
    throw unsupported(call, "takes lengths of its queries", "export the model without query_seqlens");
  if (past === 0) return;
  if (call.inputs[at.bias])
    throw unsupported(
      call,
      "adds a bias to scores of keys of past steps",
      "export the model without a cache, or give its caches the length 0 (dimensions: { NAME: 0 }, or --dim NAME=0, with the name that the file has for their axis 2)",
    );
  const lengths = requireInput(call, at.lengths);
  if (
    !sameShape(
      lengths.shape.filter((dim) => dim !== 1),
      [batch].filter((dim) => dim !== 1),
    )
  )
    throw shapeMismatch(part(call, `the lengths ${showShape(lengths.shape)}`), "are not one for each sample");
}

function checkBeside(call: Call, { batch, queries, keys, past, heads, size }: GroupedQuerySizes): void {
  const bias = call.inputs[at.bias];
  const full = [batch, heads, queries, keys];
  if (bias && !sameShape(broadcastShape({ ...call, outputs: 1 }, [full, bias.shape]), full))
    throw shapeMismatch(part(call, `the bias ${showShape(bias.shape)}`), `does not broadcast to ${showShape(full)}`);
  for (const [index, length] of [
    [at.sink, heads],
    [at.queryNorm, size],
    [at.keyNorm, size],
  ] as const) {
    const vector = call.inputs[index];
    if (vector && !sameShape(vector.shape, [length]))
      throw shapeMismatch(part(call, `input ${index}`), `has the shape ${showShape(vector.shape)}, not [${length}]`);
  }
  const positions = call.inputs[at.positions];
  if (positions && !sameShape(positions.shape, [batch, queries]))
    throw shapeMismatch(part(call, `the positions ${showShape(positions.shape)}`), "are not one for each query");
  if (isTurned(call)) checkAngles(call, past + Math.max(queries, keys));
}

const isTurned = (call: Call | Node) => intAttribute(call, "do_rotary", 0) !== 0;

function checkAngles(call: Call, length: number): void {
  const [cosines, sines] = [requireInput(call, at.cosines), requireInput(call, at.sines)];
  const [known] = cosines.shape;
  if (
    cosines.shape.length !== 2 ||
    !sameShape(cosines.shape, sines.shape) ||
    typeof known !== "number" ||
    known < length
  ) {
    throw shapeMismatch(
      part(call, `the angles ${showShape(cosines.shape)}`),
      `do not fit a sequence of ${length} elements`,
    );
  }
}

function infer(call: Call): ValueType[] {
  const sizes = readSizes(call);
  refuseUnknown(call, sizes);
  checkBeside(call, sizes);
  if (call.outputs > 3) throw unsupported(call, "gives its scores as an output", "remove that output from the model");
  const { batch, queries, heads, keyHeads, size } = sizes;
  const cache = [batch, keyHeads, cacheLength(call, sizes), size];
  const { dtype } = requireInput(call, 0);
  return [[batch, queries, heads * size], cache, cache].slice(0, call.outputs).map((shape) => ({ dtype, shape }));
}

/**
 * The length of the returned caches. The given caches are used if they have room for all keys, and are otherwise
 * extended.
 */
function cacheLength(call: Call | Node, { keys, past }: GroupedQuerySizes): number {
  const total = call.inputs[at.total]?.known?.[0];
  return past === 0 ? keys : Math.max(past, typeof total === "number" ? total : past + keys);
}

// What it consists of

/** Queries, keys and values, `[B, heads, S, size]`, before normalisation and rotation. */
function headsOf(node: Node, sizes: GroupedQuerySizes, build: Build): readonly [Value, Value, Value] {
  const { heads, keyHeads, size, packed } = sizes;
  const query = inputOf(node, 0);
  const parts = packed
    ? build.node("Split", [query, build.ints([heads, keyHeads, keyHeads].map((own) => own * size))], { axis: 2 }, 3)
        .outputs
    : [query, inputOf(node, at.key), inputOf(node, at.value)];
  const [q, k, v] = leadingOf(parts, 3);
  return [
    splitHeads(build, q, heads, size),
    splitHeads(build, k, keyHeads, size),
    splitHeads(build, v, keyHeads, size),
  ];
}

/** Divides each head by its root mean square, if the model has trained weights for that. */
function normalised(node: Node, x: Value, which: "query" | "key", build: Build): Value {
  const weight = node.inputs[which === "query" ? at.queryNorm : at.keyNorm];
  if (!weight) return x;
  const shared = floatAttribute(node, "qk_norm_epsilon", 1e-6);
  const epsilon = floatAttribute(node, which === "query" ? "q_norm_epsilon" : "k_norm_epsilon", shared);
  return build.op("SimplifiedLayerNormalization", [x, weight], { axis: -1, epsilon });
}

/** How many keys of the past each sample has, `[B, 1]`. */
function filled(node: Node, { batch, queries }: GroupedQuerySizes, build: Build): Value {
  const lengths = build.cast(build.reshape(inputOf(node, at.lengths), [batch, 1]), "int64");
  // A padded first prompt has fewer keys than queries, and no past.
  return build.op("Max", [build.sub(lengths, build.ints([queries - 1], [])), build.ints([0], [])]);
}

/**
 * Rotates by the angles of the positions. A sample's positions are consecutive, starting from its first one, as in the
 * kernel.
 */
function turned(node: Node, x: Value, sizes: GroupedQuerySizes, build: Build): Value {
  if (!isTurned(node)) return x;
  const [cosines, sines] = [inputOf(node, at.cosines), inputOf(node, at.sines)];
  const length = fixedSize(x.shape, 2);
  const half = fixedSize(cosines.shape, 1);
  const attributes = {
    interleaved: intAttribute(node, "rotary_interleaved", 0),
    rotary_embedding_dim: 2 * half,
  };
  const positions = node.inputs[at.positions];
  if (!positions && sizes.past === 0) {
    const angles = [cosines, sines].map((table) => build.reshape(build.slice(table, 0, 0, length), [1, length, half]));
    return build.op("RotaryEmbedding", [x, ...angles], attributes);
  }
  const first = positions ? build.cast(build.slice(positions, 1, 0, 1), "int64") : filled(node, sizes, build);
  const own = build.add(first, counted(build, length, false));
  return build.op("RotaryEmbedding", [x, cosines, sines, own], attributes);
}

/** Which keys of this call a query sees; null if it sees all. */
function visible(node: Node, { queries, keys }: GroupedQuerySizes, build: Build): Value | null {
  const [row, column] = [counted(build, keys, false), counted(build, queries, true)];
  const window = windowOf(node);
  return all(build, [
    ...(isCausal(node) ? [build.lessOrEqual(row, column)] : []),
    ...(window >= 0 ? [build.greater(row, build.sub(column, build.ints([window], [])))] : []),
  ]);
}

/** Which past keys a query sees, `[B, 1, S or 1, past]`: those that its sample has filled, within the window. */
function visiblePast(node: Node, sizes: GroupedQuerySizes, build: Build): Value {
  const { batch, queries, past } = sizes;
  const count = build.reshape(filled(node, sizes, build), [batch, 1, 1, 1]);
  const row = counted(build, past, false);
  const window = windowOf(node);
  const there = build.less(row, count);
  if (window < 0) return there;
  const from = build.sub(build.add(count, counted(build, queries, true)), build.ints([window], []));
  return build.and(there, build.greater(row, from));
}

/** The scores of visible keys, and minus infinity for hidden ones. Past keys come before the keys of this call. */
function maskedScores(node: Node, scores: Value, sizes: GroupedQuerySizes, build: Build): Value {
  const { past, keys } = sizes;
  const lowest = build.scalar(Number.NEGATIVE_INFINITY, scores);
  const masked = (part: Value, seen: Value | null) => (seen ? build.where(seen, part, lowest) : part);
  const seen = visible(node, sizes, build);
  if (past === 0) return masked(scores, seen);
  const [before, now] = [build.slice(scores, 3, 0, past), build.slice(scores, 3, past, past + keys)];
  return build.concat([masked(before, visiblePast(node, sizes, build)), masked(now, seen)], 3);
}

/** An additional score for each query of a head, as if for a key whose value is 0; null if there is none. */
function sinkOf(node: Node, scores: Value, { heads }: GroupedQuerySizes, build: Build): Value | null {
  const own = node.inputs[at.sink];
  if (!own && intAttribute(node, "smooth_softmax", 0) <= 0) return null;
  const sink = own ? build.reshape(own, [1, heads, 1, 1]) : build.scalar(0, scores);
  return build.expand(sink, [...scores.shape.slice(0, 3), 1]);
}

function weightsOf(node: Node, [q, k]: readonly [Value, Value], sizes: GroupedQuerySizes, build: Build): Value {
  const stated = floatAttribute(node, "scale", 0);
  const raw = scoresOf(build, q, k, stated === 0 ? defaultScale(sizes.size) : stated);
  const cap = floatAttribute(node, "softcap", 0);
  const capped = cap > 0 ? build.scale(build.tanh(build.scale(raw, 1 / cap)), cap) : raw;
  const bias = node.inputs[at.bias];
  const scores = maskedScores(node, bias ? build.add(capped, bias) : capped, sizes, build);
  const sink = sinkOf(node, scores, sizes, build);
  const softmax = (x: Value) => build.op("Softmax", [x], { axis: 3 });
  return sink ? build.slice(softmax(build.concat([scores, sink], 3)), 3, 0, sizes.past + sizes.keys) : softmax(scores);
}

/** The contents of the cache afterwards: each sample's keys one after another, followed by zeros. */
function cacheAfter(node: Node, joined: Value, sizes: GroupedQuerySizes, build: Build): Value {
  const { batch, past, keys } = sizes;
  if (past === 0) return build.op("Identity", [joined]);
  const length = cacheLength(node, sizes);
  const count = filled(node, sizes, build);
  const place = counted(build, length, false);
  const later = build.add(place, build.sub(build.ints([past], []), count));
  const from = build.where(build.less(place, count), build.expand(place, later.shape), later);
  const within = build.op("Min", [from, build.ints([past + keys - 1], [])]);
  const shape = joined.shape.with(2, length);
  const along = [batch, 1, length, 1];
  const moved = build.op("GatherElements", [joined, build.expand(build.reshape(within, along), shape)], { axis: 2 });
  const there = build.less(place, build.add(count, build.ints([keys], [])));
  return build.mask(build.reshape(there, along), moved);
}

/** Appends after the whole length of the cache, whether filled or not. */
function joined(node: Node, index: number, own: Value, build: Build): Value {
  const past = node.inputs[index];
  return past && past.shape[2] !== 0 ? build.concat([past, own], 2) : own;
}

const table = said("a table of angles");

const definition: OpDefinition = contrib({
  op: "GroupQueryAttention",
  settings: { [at.cosines]: table, [at.sines]: table },
  optionalOutputs: true,
  infer,
  decompose: (node, build) => {
    const sizes = readSizes(node);
    const [q, k, v] = headsOf(node, sizes, build);
    const query = turned(node, normalised(node, q, "query", build), sizes, build);
    const own = turned(node, normalised(node, k, "key", build), sizes, build);
    const [key, value] = [joined(node, at.pastKey, own, build), joined(node, at.pastValue, v, build)];
    const y = mergeHeads(build, perHead(build, weightsOf(node, [query, key], sizes, build), value));
    return [y, ...[key, value].map((all) => cacheAfter(node, all, sizes, build))].slice(0, node.outputs.length);
  },
});

// The kernel requires caches and lengths even if they have no effect.
export const groupQueryAttention: OpDefinition = lowered(definition);
