/** Gather, GatherElements, GatherND, ScatterElements, ScatterND. */

import { PergradError } from "../../errors.js";
import type { Array64 } from "../../float64/array64.js";
import { stridesOf, walk, zeros64 } from "../../float64/array64.js";
import { type Dim, elementsOf, factorOf, isBatch, sameDim, sameShape, showShape } from "../../graph/dim.js";
import { inputOf, inputsOf, outputOf } from "../../graph/operands.js";
import type { SampleAxis } from "../../graph/sample-axis.js";
import { constantOf, type Node, type Value, type ValueType } from "../../graph/value.js";
import { entryOf, leadingOf, nth, present } from "../../present.js";
import { elementsIn, isFloat, sizeOf } from "../../tensor/tensor.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import {
  agree,
  apartFrom,
  describe,
  intAttribute,
  interaction,
  normalAxis,
  part,
  requireInput,
  shapeMismatch,
  stringAttribute,
  unsupported,
} from "../checks.js";
import type { Cotangent } from "../cotangent.js";
import type { Along, LinearStep, OpDefinition } from "../definition.js";
import { requireConstant } from "../limits.js";
import { moved } from "../range.js";
import { gatherND, scatterND } from "../subgraphs/points.js";
import { extremeCotangents, productCotangents } from "../subgraphs/scatter-reductions.js";

function axisOf(node: Call | Node): number {
  return normalAxis(node, intAttribute(node, "axis", 0), requireInput(node, 0).shape.length);
}

/** The index as one within 0..size-1; negative indices count from the end. */
function within(node: Call | Node, index: number, size: number): number {
  const at = index < 0 ? index + size : index;
  if (at >= 0 && at < size) return at;
  throw new PergradError(
    "INVALID_ARGUMENT",
    `${describe(node)} is given the index ${index}, outside an axis of ${size} elements; correct the data.`,
  );
}

function requireIntegers(call: Call, index: number): Value {
  const indices = requireInput(call, index);
  if (isFloat(indices.dtype) || indices.dtype === "bool")
    throw shapeMismatch(part(call, "the indices"), `are of dtype ${indices.dtype}, not int64 or int32`);
  return indices;
}

// Gather

function gatheredKnown(call: Call, data: Value, indices: Value): Pick<ValueType, "known"> {
  if (!data.known || !indices.known || data.shape.length !== 1 || indices.shape.length > 1) return {};
  const known = indices.known.map((index) => (isBatch(index) ? undefined : data.known?.at(index)));
  if (known.includes(undefined))
    throw shapeMismatch(call, `has an index outside its data, which has ${data.known.length} elements`);
  return { known: known as Dim[] };
}

function differentiateGather(node: Node, dy: Value): (Cotangent | null)[] {
  const [data, indices] = inputsOf(node, 2);
  return [{ kind: "rows", indices, cotangent: dy, axis: axisOf(node), shape: data.shape }, null];
}

function batchGather(
  node: Node,
  inputs: readonly (Value | null)[],
  batched: readonly boolean[],
  build: Build,
): Value[] {
  const [data, indices] = leadingOf(inputs, 2);
  const axis = axisOf(node);
  const rank = inputOf(node, 1).shape.length;
  if (!batched[1]) return [build.gather(data, indices, axis + 1)];
  // The batch axis of the indices appears where the gathered axis was, and is moved to the front.
  if (!batched[0]) return [build.moveAxis(build.gather(data, indices, axis), axis, 0)];
  const front = build.moveAxis(data, axis + 1, 1);
  const picked = build.op("GatherND", [front, build.cast(build.unsqueeze(indices, [rank + 1]), "int64")], {
    batch_dims: 1,
  });
  const axes = picked.shape.map((_, at) => at);
  const before = axes.slice(1 + rank, 1 + rank + axis);
  return [build.transpose(picked, [0, ...before, ...axes.slice(1, 1 + rank), ...axes.slice(1 + rank + axis)])];
}

/** Picks elements along an axis by shared indices, whose own axes replace that axis. */
function gatherSteps(node: Node, input: number): LinearStep[] | null {
  const [indices, axis] = [inputOf(node, 1), axisOf(node)];
  const count = elementsOf(indices.shape);
  if (input !== 0 || count === undefined || isBatch(count)) return null;
  const apply: Along["apply"] = (build, value, at) => build.gather(value, build.reshape(indices, [count]), at);
  return [
    { kind: "along", axis, size: count, apply },
    { kind: "reshape", shape: outputOf(node, 0).shape },
  ];
}

/** Checks constant indices before the model runs. */
function requireWithin(call: Call, indices: Value, size: Dim): void {
  const fixed = constantOf(indices)?.data ?? indices.known?.map((dim) => (isBatch(dim) ? 0 : dim)) ?? [];
  if (!isBatch(size)) for (const index of fixed) within(call, Number(index), size);
}

function lookedUpAcross(node: Node, alongSamples: boolean): PergradError {
  if (!alongSamples) return interaction(node, "looks up each sample's indices in every sample's data");
  return interaction(
    node,
    "looks up rows of all samples by each sample's indices, and pergrad could not show that these stay within the sample's own rows",
    "count the samples by a Range from 0 up to the batch size, or index each sample's own axes (GatherElements, or GatherND with batch_dims)",
  );
}

const gather: OpDefinition = {
  op: "Gather",
  notNegative: "kept",
  layer: { kind: "table", names: ["weight"] },
  indexes: "rows",
  range: moved,
  linear: gatherSteps,
  infer: (call) => {
    const [data, indices] = [requireInput(call, 0), requireIntegers(call, 1)];
    if (data.shape.length === 0)
      throw shapeMismatch(part(call, "the data"), "is a scalar, which has no axis to gather along");
    const axis = axisOf(call);
    requireWithin(call, indices, nth(data.shape, axis));
    const shape = [...data.shape.slice(0, axis), ...indices.shape, ...data.shape.slice(axis + 1)];
    return [{ dtype: data.dtype, shape, ...gatheredKnown(call, data, indices) }];
  },
  evaluate: ([data, indices], node) => {
    const [table, places] = [present(data), present(indices)];
    const axis = axisOf(node);
    const [size, inner] = [nth(table.dims, axis), sizeOf(table.dims.slice(axis + 1))];
    const result = zeros64([...table.dims.slice(0, axis), ...places.dims, ...table.dims.slice(axis + 1)]);
    const rows = places.data.length;
    for (let outer = 0; outer < sizeOf(table.dims.slice(0, axis)); outer++) {
      for (let p = 0; p < rows; p++) {
        const from = (outer * size + within(node, places.data[p] as number, size)) * inner;
        result.data.set(table.data.subarray(from, from + inner), (outer * rows + p) * inner);
      }
    }
    return [result];
  },
  differentiate: (node, [dy]) => differentiateGather(node, present(dy)),
  batch: batchGather,
  sampleAxis: (node, axes) => {
    const axis = axisOf(node);
    const [data, indices] = [axes[0] ?? null, axes[1] ?? null];
    const rank = inputOf(node, 1).shape.length;
    if (data && indices) throw lookedUpAcross(node, data.axis === axis);
    if (indices) return [{ ...indices, axis: indices.axis + axis }];
    const apart = apartFrom(node, data, [axis], "picks elements along the sample axis");
    return [apart && apart.axis > axis ? { ...apart, axis: apart.axis + rank - 1 } : apart];
  },
};

// GatherElements and ScatterElements: data, indices (and updates) of the same rank

/** For each index, the position in row-major order of the element that it names. */
function elementOffsets(node: Node, data: readonly number[], indices: Array64): Float64Array {
  const axis = axisOf(node);
  const strides = stridesOf(data);
  const stride = nth(strides, axis);
  const others = strides.map((own, at) => (at === axis ? 0 : own));
  const offsets = new Float64Array(indices.data.length);
  walk(indices.dims, others, (position, offset) => {
    offsets[position] = offset + within(node, indices.data[position] as number, nth(data, axis)) * stride;
  });
  return offsets;
}

function requireElementwise(call: Call): { data: Value; indices: Value } {
  const [data, indices] = [requireInput(call, 0), requireIntegers(call, 1)];
  if (data.shape.length === 0 || data.shape.length !== indices.shape.length) {
    throw shapeMismatch(
      call,
      `has data ${showShape(data.shape)} and indices ${showShape(indices.shape)}, which differ in rank or are scalars`,
    );
  }
  return { data, indices };
}

/** The sample axis, if all operands have the samples whole along the same axis and the indices do not run over it. */
function elementsSampleAxis(node: Node, axes: readonly (SampleAxis | null)[]): SampleAxis | null {
  const at = apartFrom(node, agree(node, axes), [axisOf(node)], "moves elements along the sample axis");
  const [data, indices] = inputsOf(node, 2);
  if (at && !sameDim(nth(data.shape, at.axis), nth(indices.shape, at.axis))) {
    throw interaction(
      node,
      axes[0] ? "indexes some of the samples only" : "takes elements by a sample's place in the batch",
    );
  }
  return at;
}

/** If the data is shared, its elements may be picked along the sample axis of the indices. */
function takenSampleAxis(node: Node, axes: readonly (SampleAxis | null)[]): SampleAxis | null {
  const [data, indices] = axes;
  return !data && indices?.axis === axisOf(node) ? indices : elementsSampleAxis(node, axes);
}

/**
 * The cotangent of shared data: for each index along the axis, a tensor that is zero except at the element that the
 * index names. An axis that counts the indices precedes the data's own axis.
 */
function scatteredApart(node: Node, dy: Value, build: Build): Cotangent {
  const [data, indices] = inputsOf(node, 2);
  const axis = axisOf(node);
  const apart = indices.shape.flatMap((dim, at) => (at === axis ? [dim, nth(data.shape, axis)] : [dim]));
  const [place, update] = leadingOf(
    [indices, dy].map((value) => build.unsqueeze(value, [axis + 1])),
    2,
  );
  const value = build.op("ScatterElements", [build.zeros(apart, dy.dtype), place, update], { axis: axis + 1 });
  const whole = [...apart.slice(0, axis), ...apart.slice(axis + 1)];
  const missing = data.shape.map((dim, at) => factorOf(dim) - factorOf(nth(whole, at)));
  const padded = build.pad(
    value,
    apart.map(() => 0),
    [...missing.slice(0, axis), 0, ...missing.slice(axis)],
  );
  return { kind: "reduction", value: padded, axes: [axis], shape: data.shape };
}

function batchElements(
  node: Node,
  inputs: readonly (Value | null)[],
  batched: readonly boolean[],
  build: Build,
): Value[] {
  const batch = nth(nth(inputs, batched.indexOf(true)).shape, 0);
  const whole = inputs.map((input, k) =>
    batched[k] ? input : build.expand(present(input), [batch, ...present(input).shape]),
  );
  return [build.op(node.op, whole, { ...node.attributes, axis: axisOf(node) + 1 })];
}

const gatherElements: OpDefinition = {
  op: "GatherElements",
  sameSamples: [0, 1],
  indexes: "elements",
  range: moved,
  infer: (call) => {
    const { data, indices } = requireElementwise(call);
    axisOf(call);
    return [{ dtype: data.dtype, shape: indices.shape }];
  },
  evaluate: ([data, indices], node) => {
    const [source, places] = [present(data), present(indices)];
    const offsets = elementOffsets(node, source.dims, places);
    return [{ dims: places.dims, data: offsets.map((offset) => source.data[offset] as number) }];
  },
  differentiate: (node, [dy], build) => {
    const [data, indices] = inputsOf(node, 2);
    const axis = axisOf(node);
    if (isBatch(indices.shape[axis]) && !isBatch(data.shape[axis]))
      return [scatteredApart(node, present(dy), build), null];
    const attributes = { axis, reduction: "add" };
    return [build.op("ScatterElements", [build.zeros(data.shape, data.dtype), indices, present(dy)], attributes), null];
  },
  batch: batchElements,
  sampleAxis: (node, axes) => [takenSampleAxis(node, axes)],
};

type Combine = (old: number, update: number) => number;
const reductions: Readonly<Record<string, Combine>> = {
  none: (_, update) => update,
  add: (old, update) => old + update,
  mul: (old, update) => old * update,
  max: Math.max,
  min: Math.min,
};

function reductionOf(node: Call | Node): string {
  const reduction = stringAttribute(node, "reduction", "none");
  if (!(reduction in reductions))
    throw unsupported(node, `has the reduction "${reduction}", which pergrad does not know`);
  return reduction;
}

/** Whether the indices are constant and no two of them name the same element. */
function distinctIndices(node: Node): boolean {
  const [data, indices] = inputsOf(node, 2);
  const [constant, axis] = [constantOf(indices), axisOf(node)];
  const size = nth(data.shape, axis);
  if (!constant || isBatch(size)) return false;
  const places = { dims: constant.dims, data: Float64Array.from(elementsIn(constant), Number) };
  const offsets = elementOffsets(
    node,
    constant.dims.map((dim, at) => (at === axis ? size : dim)),
    places,
  );
  return new Set(offsets).size === offsets.length;
}

/** Whether an update remains, or a later update to the same place overwrote it. */
function staying(node: Node, build: Build): Value {
  const [data, indices] = inputsOf(node, 2);
  const axis = axisOf(node);
  const count = nth(indices.shape, axis);
  if (isBatch(count)) throw interaction(node, "scatters along the sample axis");
  requireConstant(node, count, "an index");
  const counting = build.ints(
    Array.from({ length: count }, (_, p) => p),
    indices.shape.map((_, at) => (at === axis ? count : 1)),
  );
  const numbers = build.expand(counting, indices.shape);
  const last = build.op("ScatterElements", [build.zeros(data.shape, "int64"), indices, numbers], { axis });
  return build.equal(build.op("GatherElements", [last, indices], { axis }), numbers);
}

function differentiateScatter(node: Node, dy: Value, build: Build, wanted: readonly boolean[]): (Value | null)[] {
  const [, indices, updates] = inputsOf(node, 3);
  const axis = axisOf(node);
  const reduction = reductionOf(node);
  if (reduction === "max" || reduction === "min" || reduction === "mul") {
    const cotangents = reduction === "mul" ? productCotangents : extremeCotangents;
    const found = cotangents(node, axis, dy, build, wanted);
    return [found.data, null, found.updates];
  }
  const taken = () => build.op("GatherElements", [dy, indices], { axis });
  if (reduction === "add") return [dy, null, wanted[2] ? taken() : null];
  const zeros = build.zeros(updates.shape, dy.dtype);
  const kept = wanted[0] ? build.op("ScatterElements", [dy, indices, zeros], { axis }) : null;
  if (!wanted[2]) return [kept, null, null];
  return [kept, null, distinctIndices(node) ? taken() : build.cotangentWhere(staying(node, build), taken())];
}

const scatterElements: OpDefinition = {
  op: "ScatterElements",
  overwrites: true,
  sameSamples: [0, 1, 2],
  indexes: "elements",
  infer: (call) => {
    const { data, indices } = requireElementwise(call);
    const updates = requireInput(call, 2);
    axisOf(call);
    reductionOf(call);
    if (!sameShape(indices.shape, updates.shape)) {
      throw shapeMismatch(
        call,
        `has indices ${showShape(indices.shape)} and updates ${showShape(updates.shape)}, which differ in shape`,
      );
    }
    return [{ dtype: data.dtype, shape: data.shape }];
  },
  evaluate: ([data, indices, updates], node) => {
    const [old, places, more] = [present(data), present(indices), present(updates)];
    const combine = entryOf(reductions, reductionOf(node));
    const result = Float64Array.from(old.data);
    elementOffsets(node, old.dims, places).forEach((offset, at) => {
      result[offset] = combine(result[offset] as number, more.data[at] as number);
    });
    return [{ dims: old.dims, data: result }];
  },
  differentiate: (node, [dy], build, wanted) => differentiateScatter(node, present(dy), build, wanted),
  batch: batchElements,
  sampleAxis: (node, axes) => {
    const at = elementsSampleAxis(node, axes);
    // Shared data receives the samples of its updates, so it must hold one row for each sample.
    const [data, indices] = inputsOf(node, 2);
    if (at && !sameDim(nth(data.shape, at.axis), nth(indices.shape, at.axis)))
      throw interaction(node, "scatters several samples into one tensor");
    return [at];
  },
};

export const indexing: readonly OpDefinition[] = [gather, gatherElements, scatterElements, gatherND, scatterND];
