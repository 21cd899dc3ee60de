/**
 * Indices that lead each sample to its own rows. `h[arange(N), i]` reads all of h by the sample's number; here it
 * becomes "element i of each sample's own part", which is equal and shows that samples do not meet. The rules are
 * identities of the operators: they hold whatever the rows are.
 */

import type { SampleAxes } from "../../../analysis/sample-axes.js";
import { stridesOf } from "../../../float64/array64.js";
import { divide, elementsOf, factorOf, isBatch, type Shape } from "../../../graph/dim.js";
import { inputOf, inputsOf, outputOf } from "../../../graph/operands.js";
import type { Value } from "../../../graph/value.js";
import { leavesOf } from "../../../graph/walk.js";
import { boundsOf, linearOf } from "../../../ops/alike.js";
import type { Call } from "../../../ops/call.js";
import { intAttribute, normalAxis, stringAttribute } from "../../../ops/checks.js";
import { build, definitionOf } from "../../../ops/registry.js";
import { nth } from "../../../present.js";
import { isFloat } from "../../../tensor/tensor.js";
import { type Numbered, type Numbers, type Place, wholeRest } from "./numbers.js";
import { pick } from "./pick.js";
import { roundsOf } from "./rounds.js";

/** An index along an axis of `size` elements: the number of the block of rows, and the place in the block. */
interface OwnIndex extends Numbered {
  /** The number of rows in a block, at least 1. */
  readonly block: number;
  /**
   * In how many rounds the samples' rows follow each other, each round with a part of every block; 1 if each block is
   * contiguous.
   */
  readonly rounds: number;
  /** Whether negative places count from the end of the block, as in the file. */
  readonly fromEnd: boolean;
}

/** What is known about a file while it is read. */
export interface Reading {
  readonly numbers: Numbers;
  readonly axes: SampleAxes;
  /** Whether the file was written for a single sample: all that it indexes is then that sample's own. */
  readonly ofOne: boolean;
}

/** Null unless the index is known to stay in the sample's own block. */
function ownIndex(reading: Reading, data: Value, axis: number, indices: Value): OwnIndex | null {
  const size = data.shape[axis];
  if (!isBatch(size) || isFloat(indices.dtype)) return null;
  const form = reading.numbers.of(indices) ?? (reading.ofOne ? onlyIndex(reading.axes, data, axis, indices) : null);
  if (!form || form.factor < 1) return null;
  if (form.factor * form.rows.perSample !== size.perSample) return inRounds(form, size.perSample);
  const whole = { ...form, block: form.factor, rounds: 1, fromEnd: false };
  if (!form.rest) return whole;
  const bounds = boundsOf(form.rest);
  const varies = bounds === null || bounds[0] !== bounds[1];
  const within = bounds !== null && bounds[0] >= 0 && bounds[1] < form.factor;
  const apart = bounds !== null && (bounds[1] < 0 || bounds[0] >= form.factor);
  // An index that is the same in every run must be in range; the runtime checks one that is computed.
  const reaches = within || !varies || isFixed(form.rest) ? !within : reachesOut(form.rest, form.factor);
  if (apart || reaches) return null;
  return whole;
}

/**
 * The place q * N * K + n * K + r, if the samples come second: `h[q, arange(N)]` of `[T, N, D]`, flattened. Each
 * sample's block has K rows in each of T rounds, and the place in it is q * K + r.
 */
function inRounds(form: Numbered, size: number): OwnIndex | null {
  const { factor, rest } = form;
  const apart = rest && roundsOf(rest);
  const round = factor * form.rows.perSample;
  if (!apart || apart.round !== round || size % round !== 0) return null;
  const bounds = apart.rest ? boundsOf(apart.rest) : [0, 0];
  if (!bounds || nth(bounds, 0) < 0 || nth(bounds, 1) >= factor) return null;
  const before = build.scale(apart.number, factor);
  const place = apart.rest ? build.add(before, build.cast(apart.rest, before.dtype)) : before;
  const rounds = size / round;
  return { ...form, rest: place, block: rounds * factor, rounds, fromEnd: true };
}

/** In a batch of one sample all rows are that sample's: any index is a place among them. */
function onlyIndex(axes: SampleAxes, data: Value, axis: number, indices: Value): Numbered | null {
  const [at, own] = [axes.along(data), axes.along(indices)];
  if (!at || !own || at.axis !== axis || at.outer !== 1) return null;
  const rows: Place["rows"] = { perSample: 1 };
  const { axis: along, outer, inner } = own;
  return { factor: at.inner, rows, axis: along, outer, inner, rest: at.inner === 1 ? null : indices };
}

/** Steps of a whole block or more lead out of it, whatever is added to them. */
function reachesOut(rest: Value, block: number): boolean {
  const { constant, multiple } = linearOf(rest);
  return Math.abs(constant) >= block || multiple >= block;
}

function isFixed(value: Value): boolean {
  return leavesOf([value]).every(({ source }) => source.kind === "constant" || source.kind === "dims");
}

/**
 * The place in the block, in the value's whole shape. A negative place would count from the end of the block, where the
 * file means the block before: it is moved beyond the end, which every runtime refuses.
 */
function placeInBlock({ rest, block, fromEnd }: OwnIndex, shape: Shape): Value {
  if (!rest) return build.expand(build.ints([0], []), shape);
  const place = build.cast(rest, "int64");
  const safe = fromEnd || (boundsOf(rest)?.[0] ?? -1) >= 0;
  const checked = safe ? place : build.where(build.less(place, build.ints([0], [])), build.ints([block], []), place);
  return wholeRest(checked, shape);
}

/** Splits the axis of the numbers into outer, rows and inner, and moves the rows to the front. */
function rowsFirst(value: Value, { axis, outer, rows, inner }: Numbered): Value {
  const { shape } = value;
  const split = build.reshape(value, [...shape.slice(0, axis), outer, rows, inner, ...shape.slice(axis + 1)]);
  return build.moveAxis(split, axis + 1, 0);
}

/** From `[rows, ...before, outer, inner, ...]` back to `shape`, where `before` axes precede the numbers'. */
function rowsBack(value: Value, before: number, shape: Shape): Value {
  return build.reshape(build.moveAxis(value, 0, before + 1), shape);
}

/** `[...before, (rounds, rows, part of a block), ...behind]` as `[rows, ...before, block, ...behind]`. */
function blocksFirst(data: Value, axis: number, { rows, block, rounds }: OwnIndex): Value {
  const [before, behind] = [data.shape.slice(0, axis), data.shape.slice(axis + 1)];
  if (rounds === 1) return build.moveAxis(build.reshape(data, [...before, rows, block, ...behind]), axis, 0);
  const split = build.reshape(data, [...before, rounds, rows, block / rounds, ...behind]);
  return build.reshape(build.moveAxis(split, axis + 1, 0), [rows, ...before, block, ...behind]);
}

/** The elements picked from each block, `[rows, ...points, ...]`: `index` is `[rows, ...points]`, the block's axis 1. */
function pickedRows(blocks: Value, index: Value | null, points: Shape, call: Call): Value {
  const behind = blocks.shape.slice(2);
  const rows = nth(blocks.shape, 0);
  if (!index) {
    const first = build.reshape(build.slice(blocks, 1, 0, 1), [rows, ...points.map(() => 1), ...behind]);
    return build.expand(first, [rows, ...points, ...behind]);
  }
  const options = { name: call.name };
  const inputs = [blocks, build.unsqueeze(index, [index.shape.length])];
  return outputOf(build.node("GatherND", inputs, { batch_dims: 1 }, 1, options), 0);
}

function gatherOwn(call: Call, reading: Reading): Value | null {
  const [data, indices] = inputsOf(call, 2);
  if (data.shape.length === 0) return null;
  const axis = normalAxis(call, intAttribute(call, "axis", 0), data.shape.length);
  const own = ownIndex(reading, data, axis, indices);
  if (!own) return null;
  // [rows, block, ...before, ...behind]
  const blocks = build.moveAxis(blocksFirst(data, axis, own), axis + 1, 1);
  const index = own.rest ? rowsFirst(placeInBlock(own, indices.shape), own) : null;
  const points = rowsFirst(build.expand(build.ints([0], []), indices.shape), own).shape.slice(1);
  const picked = pickedRows(blocks, index, points, call);
  // [rows, ...points, ...before, ...behind] to [...before, (points and rows), ...behind]
  const axes = picked.shape.map((_, at) => at);
  const [before, behind] = [
    axes.slice(1 + points.length, 1 + points.length + axis),
    axes.slice(1 + points.length + axis),
  ];
  const numbered = axes.slice(1, 1 + points.length).toSpliced(own.axis + 1, 0, 0);
  const shape = [...data.shape.slice(0, axis), ...indices.shape, ...data.shape.slice(axis + 1)];
  return build.reshape(build.transpose(picked, [...before, ...numbered, ...behind]), shape);
}

/** For GatherND and ScatterND: the axis of the data that the own index belongs to, and the other columns of indices. */
interface OwnPoint {
  readonly own: OwnIndex;
  /** The data's axis. */
  readonly axis: number;
  /** `[rows, ...batch, ...points, K]`: places in the data with its blocks first. */
  readonly indices: Value;
  readonly depth: number;
  readonly points: Shape;
}

function ownPoint(call: Call, reading: Reading): OwnPoint | null {
  const [data, indices] = inputsOf(call, 2);
  const batch = call.op === "GatherND" ? intAttribute(call, "batch_dims", 0) : 0;
  const last = indices.shape.length - 1;
  const depth = indices.shape[last];
  const axis = data.shape.findIndex(isBatch);
  if (
    depth === undefined ||
    isBatch(depth) ||
    axis < batch ||
    axis >= batch + depth ||
    batch + depth > data.shape.length
  )
    return null;
  const points = indices.shape.slice(0, -1);
  const columns = Array.from({ length: depth }, (_, k) => pick(indices, last, k));
  const own = ownIndex(reading, data, axis, nth(columns, axis - batch));
  if (!own || own.rounds > 1) return null;
  const places = columns.map((column, k) => {
    const place =
      k === axis - batch ? placeInBlock(own, points) : build.expand(simplest(reading.numbers, column), points);
    const first = rowsFirst(build.cast(place, "int64"), own);
    return build.unsqueeze(first, [first.shape.length]);
  });
  return { own, axis, indices: build.concat(places, points.length + 2), depth, points };
}

/** Without numbers that cancel each other. */
function simplest(numbers: Numbers, column: Value): Value {
  const form = numbers.of(column);
  return form?.factor === 0 ? (form.rest ?? build.ints([0], [])) : column;
}

function gatherPointsOwn(call: Call, reading: Reading): Value | null {
  const found = ownPoint(call, reading);
  if (!found) return null;
  const data = inputOf(call, 0);
  const { own, axis, indices, depth, points } = found;
  const batch = intAttribute(call, "batch_dims", 0);
  const blocks = blocksFirst(data, axis, own);
  const options = { name: call.name };
  const attributes = { batch_dims: batch + 1 };
  const picked = outputOf(build.node("GatherND", [blocks, indices], attributes, 1, options), 0);
  return rowsBack(picked, own.axis, [...points, ...data.shape.slice(batch + depth)]);
}

/** Each sample's updates go to its own block, whose indexed axes are joined meanwhile. */
function scatterPointsOwn(call: Call, reading: Reading): Value | null {
  const found = ownPoint(call, reading);
  if (!found) return null;
  const [data, , updates] = inputsOf(call, 3);
  const { own, axis, indices, depth, points } = found;
  const blocks = blocksFirst(data, axis, own);
  const [rows, indexed, rest] = [nth(blocks.shape, 0), blocks.shape.slice(1, 1 + depth), data.shape.slice(depth)];
  const [size, count] = [elementsOf(indexed), divide(elementsOf(points) ?? 0, rows)];
  const fits = updates.shape.length === points.length + rest.length;
  if (size === undefined || count === undefined || isBatch(count) || !fits) return null;
  const flat = build.reshape(blocks, [rows, size, ...rest]);
  const updated = build.reshape(rowsFirst(updates, own), [rows, count, ...rest]);
  const places = build.reshape(flattened(indices, indexed.map(factorOf)), [rows, count, ...rest.map(() => 1)]);
  const attributes = { axis: 1, reduction: stringAttribute(call, "reduction", "none") };
  const inputs = [flat, build.expand(places, updated.shape), updated];
  const result = outputOf(build.node("ScatterElements", inputs, attributes, 1, { name: call.name }), 0);
  return build.reshape(build.moveAxis(build.reshape(result, blocks.shape), 0, axis), data.shape);
}

/** Indices `[..., K]` into axes of these sizes as indices into one. */
function flattened(indices: Value, sizes: readonly number[]): Value {
  const fromEnd = build.less(indices, build.ints([0], []));
  const counted = build.where(fromEnd, build.add(indices, build.ints(sizes)), indices);
  return build.sum(build.mul(counted, build.ints(stridesOf(sizes))), [indices.shape.length - 1]);
}

/** GatherElements and ScatterElements along the axis of the numbers. */
function elementsOwn(call: Call, reading: Reading): Value | null {
  const [data, indices, updates] = inputsOf(call, 2);
  if (data.shape.length === 0 || data.shape.length !== indices.shape.length) return null;
  const axis = normalAxis(call, intAttribute(call, "axis", 0), data.shape.length);
  const own = ownIndex(reading, data, axis, indices);
  if (!own || own.axis !== axis || own.outer !== 1 || own.rounds > 1) return null;
  const split = (value: Value, size: number) =>
    build.reshape(value, [...value.shape.slice(0, axis), own.rows, size, ...value.shape.slice(axis + 1)]);
  const inputs = [split(data, own.block), split(placeInBlock(own, indices.shape), own.inner)];
  if (updates) inputs.push(split(updates, own.inner));
  const options = { name: call.name };
  const result = outputOf(build.node(call.op, inputs, { ...call.attributes, axis: axis + 1 }, 1, options), 0);
  return build.reshape(result, updates ? data.shape : indices.shape);
}

/**
 * The result of an indexing operator in terms of each sample's own rows; null if it is not known to have such a form.
 */
export function ownRows(call: Call, reading: Reading): Value | null {
  if (call.inputs.length < 2 || call.inputs.includes(null)) return null;
  switch (definitionOf(call)?.indexes) {
    case "rows":
      return gatherOwn(call, reading);
    case "points":
      return call.inputs.length === 2 ? gatherPointsOwn(call, reading) : scatterPointsOwn(call, reading);
    case "elements":
      return elementsOwn(call, reading);
    default:
      return null;
  }
}
