/** Slice, Pad, Trilu, DepthToSpace, SpaceToDepth. */

import { array64, read64, stridesOf } from "../../float64/array64.js";
import { type Dim, factorOf, isBatch, sameDim, showShape } from "../../graph/dim.js";
import { inputOf } from "../../graph/operands.js";
import type { SampleAxis } from "../../graph/sample-axis.js";
import { dimsValue, type Node, type Value, type ValueType } from "../../graph/value.js";
import { leadingOf, nth, present } from "../../present.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import {
  apartFrom,
  intAttribute,
  interaction,
  knownDims,
  knownInt,
  knownInts,
  ownAxis,
  part,
  requireInput,
  shapeMismatch,
  unsupported,
} from "../checks.js";
import type { Along, OpDefinition } from "../definition.js";
import { moved, spread } from "../range.js";
import { depthToSpace, spaceToDepth } from "../subgraphs/shuffle.js";
import { pad } from "./padding.js";

// Slice

/** One sliced axis: `size` elements from `start`, `step` apart. Start and size are multiples of N if the axis is. */
interface Cut {
  readonly axis: number;
  readonly start: Dim;
  readonly step: number;
  readonly size: Dim;
}

/** INT_MAX, which stands for an open end. */
export const beyondAll = 2 ** 31 - 1;

/**
 * Bounds within an axis of known size. In ONNX (unlike NumPy) a start before the axis is its first element going
 * backwards too. In ONNX Runtime, an end of INT_MAX is the open end in either direction.
 */
function cutInts(axis: number, size: number, start: number, end: number, step: number): Cut {
  const high = step > 0 ? size : size - 1;
  const clamp = (at: number, low: number) => Math.min(Math.max(at < 0 ? at + size : at, low), high);
  const first = clamp(start, 0);
  const none = isBeyondAll(end);
  const last = none ? (step > 0 ? size : -1) : clamp(end, step > 0 ? 0 : -1);
  return { axis, start: first, step, size: Math.max(0, Math.ceil((last - first) / step)) };
}

/**
 * Far greater than any batch. The numbers that exporters write for an open end (1,000,000,000, 2^31 - 1, 2^63 - 1, ...)
 * are no smaller.
 */
const beyondBatch = 2 ** 24;

/** A bound within an axis of N * `factor` elements: a multiple of N, or undefined. */
function batchBound(bound: Dim, factor: number): number | undefined {
  if (!isBatch(bound)) return bound === 0 ? 0 : bound >= beyondBatch ? factor : bound <= -beyondBatch ? 0 : undefined;
  const from = bound.perSample < 0 ? bound.perSample + factor : bound.perSample;
  return Math.min(Math.max(from, 0), factor);
}

function cutBatch(call: Call | Node, axis: number, factor: number, bounds: readonly [Dim, Dim], step: number): Cut {
  const [first, last] = [batchBound(bounds[0], factor), batchBound(bounds[1], factor)];
  if (step !== 1 || first === undefined || last === undefined)
    throw interaction(call, "takes some of the samples, or reorders them");
  const multiple = (k: number): Dim => (k > 0 ? { perSample: k } : 0);
  return { axis, start: multiple(first), step, size: multiple(last - first) };
}

function cutsOf(call: Call | Node): Cut[] {
  const [{ shape }] = [requireInput(call, 0), requireInput(call, 1), requireInput(call, 2)];
  const [starts, ends] = [knownDims(call, 1) ?? [], knownDims(call, 2) ?? []];
  const axes = knownInts(call, 3) ?? starts.map((_, k) => k);
  const steps = knownInts(call, 4) ?? starts.map(() => 1);
  if (axes.length !== starts.length || ends.length !== starts.length || steps.length !== starts.length) {
    throw shapeMismatch(part(call, "the starts, ends, axes and steps"), "differ in number");
  }
  return axes.map((given, k) => {
    const axis = ownAxis(call, given, shape.length);
    const [size, start, end, step] = [nth(shape, axis), nth(starts, k), nth(ends, k), nth(steps, k)];
    if (step === 0) throw shapeMismatch(part(call, "the step"), "is 0");
    if (isBatch(size)) return cutBatch(call, axis, size.perSample, [start, end], step);
    if (isBatch(start) || isBatch(end))
      throw unsupported(call, `cuts axis ${axis} of ${showShape(shape)} at a place that depends on the batch size`);
    return cutInts(axis, size, start, end, step);
  });
}

function slicedKnown({ known, shape }: Value, cut: Cut | undefined): Pick<ValueType, "known"> {
  if (!known || shape.length !== 1) return {};
  if (!cut) return { known };
  const start = factorOf(cut.start);
  return { known: Array.from({ length: factorOf(cut.size) }, (_, k) => nth(known, start + k * cut.step)) };
}

/** Places dy along one axis where it was sliced from, with zeros elsewhere. */
function unslice(build: Build, dy: Value, cut: Cut, size: Dim): Value {
  const { axis, step } = cut;
  const with_ = (dim: Dim) => dy.shape.map((own, at) => (at === axis ? dim : own));
  if (isBatch(size)) {
    const behind = factorOf(size) - factorOf(cut.start) - factorOf(cut.size);
    const parts = [cut.start, behind > 0 ? { perSample: behind } : 0] as const;
    const zeros = (dim: Dim) => (dim === 0 ? [] : [build.zeros(with_(dim), dy.dtype)]);
    return build.concat([...zeros(parts[0]), dy, ...zeros(parts[1])], axis);
  }
  const [start, count] = [factorOf(cut.start), factorOf(cut.size)];
  if (count === 0) return build.zeros(with_(size), dy.dtype);
  const stride = Math.abs(step);
  const forwards = step < 0 ? build.slice(dy, axis, count - 1, -beyondAll, -1) : dy;
  const low = step < 0 ? start + (count - 1) * step : start;
  const spread = spreadApart(build, forwards, axis, stride);
  const amounts = (amount: number) => dy.shape.map((_, at) => (at === axis ? amount : 0));
  return build.pad(spread, amounts(low), amounts(size - low - ((count - 1) * stride + 1)));
}

/** Puts stride - 1 zeros between the elements along an axis. */
function spreadApart(build: Build, value: Value, axis: number, stride: number): Value {
  const { shape } = value;
  const count = factorOf(nth(shape, axis));
  if (stride === 1 || count <= 1) return value;
  const [front, behind] = [shape.slice(0, axis + 1), shape.slice(axis + 1)];
  const split = build.reshape(value, [...front, 1, ...behind]);
  const none = split.shape.map(() => 0);
  const padded = build.pad(
    split,
    none,
    none.map((_, at) => (at === axis + 1 ? stride - 1 : 0)),
  );
  const joined = build.reshape(padded, [...front.slice(0, -1), count * stride, ...behind]);
  return build.slice(joined, axis, 0, (count - 1) * stride + 1);
}

/** The samples may be kept whole or, if they come in several rounds, some of the rounds may be kept. */
function slicedSampleAxis(node: Node, at: SampleAxis | null): SampleAxis | null {
  const cut = cutsOf(node).find(({ axis }) => axis === at?.axis);
  if (!at || !cut || sameDim(cut.size, nth(inputOf(node, 0).shape, at.axis))) return at;
  const [skipped, rounds] = [factorOf(cut.start) / at.inner, factorOf(cut.size) / at.inner];
  if (at.uniform || rounds === 0 || !Number.isInteger(skipped) || !Number.isInteger(rounds)) {
    if (at.uniform && rounds > 0) return { ...at, outer: 1, inner: factorOf(cut.size) };
    throw interaction(node, "takes some of the samples");
  }
  return { ...at, outer: rounds };
}

/** One cut as a linear step along its axis; null if it depends on the batch size. */
function cutStep({ axis, start, step, size }: Cut): Along | null {
  if (isBatch(start) || isBatch(size)) return null;
  const end = start + size * step;
  return {
    kind: "along",
    axis,
    size,
    apply: (build, value, at) => build.slice(value, at, start, end < 0 ? -beyondAll : end, step),
    ...(step === 1 ? { shift: -start } : {}),
  };
}

function allOrNone<T>(steps: readonly (T | null)[]): T[] | null {
  const present = steps.filter((step) => step !== null);
  return present.length === steps.length ? present : null;
}

export const isBeyondAll = (end: Dim): boolean => !isBatch(end) && (end === beyondAll || end >= 2 ** 63);

/** The same Slice with other ends; null if none differs. `endOf` is given each end, its step, and its place in the list. */
export function withEnds(node: Node, build: Build, endOf: (end: Dim, step: number, k: number) => Dim): Value[] | null {
  const [ends, steps] = [knownDims(node, 2) ?? [], knownInts(node, 4) ?? []];
  const changed = ends.map((end, k) => endOf(end, steps[k] ?? 1, k));
  if (changed.every((end, k) => end === ends[k])) return null;
  return [build.op("Slice", [...node.inputs.slice(0, 2), dimsValue(changed), ...node.inputs.slice(3)])];
}

/**
 * Replaces an open end along the sample axis by one above any number of samples, times the elements folded with them.
 */
function endsLowered(node: Node, build: Build): Value[] | null {
  const { shape } = inputOf(node, 0);
  const cuts = cutsOf(node);
  return withEnds(node, build, (end, step, k) => {
    const open = isBatch(shape[cuts[k]?.axis ?? -1]) && step > 0 && !isBatch(end) && end >= beyondBatch;
    return open ? Math.max(end, beyondAll) : end;
  });
}

const slice: OpDefinition = {
  op: "Slice",
  notNegative: "kept",
  range: moved,
  shapeInputs: [1, 2],
  linear: (node) => allOrNone(cutsOf(node).map(cutStep)),
  infer: (call) => {
    const input = requireInput(call, 0);
    const cuts = cutsOf(call);
    const shape = input.shape.map((dim, axis) => cuts.find((cut) => cut.axis === axis)?.size ?? dim);
    return [{ dtype: input.dtype, shape, ...slicedKnown(input, cuts[0]) }];
  },
  evaluate: ([x], node) => {
    const input = present(x);
    const strides = stridesOf(input.dims);
    const result = [...input.dims];
    let from = 0;
    for (const cut of cutsOf(node)) {
      const whole = nth(inputOf(node, 0).shape, cut.axis);
      const samples = isBatch(whole) ? nth(input.dims, cut.axis) / whole.perSample : 1;
      const bind = (dim: Dim) => (isBatch(dim) ? dim.perSample * samples : dim);
      from += bind(cut.start) * nth(strides, cut.axis);
      result[cut.axis] = bind(cut.size);
      strides[cut.axis] = nth(strides, cut.axis) * cut.step;
    }
    return [array64(result, read64(input.data, result, strides, from))];
  },
  differentiate: (node, [dy], build) => {
    const { shape } = inputOf(node, 0);
    return [cutsOf(node).reduce((value, cut) => unslice(build, value, cut, nth(shape, cut.axis)), present(dy))];
  },
  batch: (node, [x, starts, ends, , steps], _batched, build) => {
    const axes = cutsOf(node).map(({ axis }) => axis + 1);
    return [
      build.op("Slice", [present(x), present(starts), present(ends), build.ints(axes), ...(steps ? [steps] : [])]),
    ];
  },
  sampleAxis: (node, [at]) => [slicedSampleAxis(node, at ?? null)],
  lower: endsLowered,
};

// Trilu

function diagonalOf(node: Call | Node): number {
  return knownInt(node, 1) ?? 0;
}

const trilu: OpDefinition = {
  op: "Trilu",
  range: spread,
  infer: (call) => {
    const { dtype, shape } = requireInput(call, 0);
    diagonalOf(call);
    if (shape.length < 2) throw shapeMismatch(part(call, "the input"), "is not a matrix");
    return [{ dtype, shape }];
  },
  evaluate: ([x], node) => {
    const input = present(x);
    const [rows, columns] = leadingOf(input.dims.slice(-2), 2);
    const [upper, k] = [intAttribute(node, "upper", 1) === 1, diagonalOf(node)];
    const kept = (at: number) => {
      const beyond = (at % columns) - (Math.floor(at / columns) % rows) - k;
      return upper ? beyond >= 0 : beyond <= 0;
    };
    return [{ dims: input.dims, data: input.data.map((element, at) => (kept(at) ? element : 0)) }];
  },
  differentiate: (node, [dy], build) => [build.op("Trilu", [present(dy), ...node.inputs.slice(1)], node.attributes)],
  batch: (node, inputs, _batched, build) => [build.op("Trilu", inputs, node.attributes)],
  sampleAxis: (node, [at]) => {
    const rank = inputOf(node, 0).shape.length;
    return [apartFrom(node, at ?? null, [rank - 2, rank - 1], "takes a triangle with the sample axis as a side")];
  },
};

export const slicing: readonly OpDefinition[] = [slice, pad, trilu, depthToSpace, spaceToDepth];
