/**
 * Converts files that were exported for a batch of one size to any number of samples N. Anything that such a file
 * computes from shapes follows N by itself; numbers that its exporter wrote down do not. Each rule here finds where N
 * belongs among the numbers, from where the samples lie in the data, so that the elements of every sample stay
 * together. If they cannot, the node is left unchanged, and its own rules refuse it.
 */

import { SampleAxes } from "../../../analysis/sample-axes.js";
import { PergradError } from "../../../errors.js";
import { type Dim, factorOf, isBatch, type Shape, sameShape } from "../../../graph/dim.js";
import type { SampleAxis } from "../../../graph/sample-axis.js";
import { constantOf, dimsValue, nodeOf, type Value } from "../../../graph/value.js";
import { foldNode } from "../../../interpret/fold.js";
import { intAttribute } from "../../../ops/checks.js";
import { build, definitionOf, standardDefinition } from "../../../ops/registry.js";
import { nth } from "../../../present.js";
import { isFloat } from "../../../tensor/tensor.js";
import { numberedIndices, withNumbers } from "../adapt/numbered-constants.js";
import { alongSamples } from "../adapt/subscripts.js";
import type { FileNode } from "../file-node.js";
import type { Rebatcher } from "../other-forms.js";
import { oneRow } from "./one-row.js";
import { Repeated } from "./repeated.js";

export function rebatcher(
  size: number,
  inputs: ReadonlyMap<Value, number>,
  choices: readonly number[] = [],
): Rebatcher {
  const axes = new SampleAxes(inputs);
  const reshapes = new Reshapes(size, axes, choices);
  const adapt = (node: FileNode, shapes: readonly (readonly number[])[] | undefined): FileNode => {
    const shape = shapes?.[0];
    const first = shape && node.domain === "" ? reshapes.withBatch(node, shape) : node;
    const sized = expandedToSamples(sizedGrid(first, size, axes), batch);
    const sorted = allSorted(numbered(sized, size, axes), size);
    const whole = wholeSplit(wholeSlice(sorted, size, axes), size, axes);
    return repeatSubscripts(repeatShared(whole, batch), batch);
  };
  const batch: FileBatch = { size, axes, repeated: new Repeated(size, axes, adapt) };
  return { adapt, next: () => reshapes.next() };
}

/** The batch that the file fixes. */
interface FileBatch {
  readonly size: number;
  readonly axes: SampleAxes;
  readonly repeated: Repeated;
}

/** Nodes with a written output shape. If N could stand in several places, later nodes decide. */
class Reshapes {
  readonly #made: { readonly taken: number; readonly count: number }[] = [];

  constructor(
    readonly size: number,
    readonly axes: SampleAxes,
    readonly choices: readonly number[],
  ) {}

  /** The next choices, with the last ones varying first; null if all were made. */
  next(): readonly number[] | null {
    const open = this.#made.findLastIndex(({ taken, count }) => taken + 1 < count);
    return open < 0 ? null : this.#made.slice(0, open + 1).map(({ taken }, k) => (k === open ? taken + 1 : taken));
  }

  withBatch(node: FileNode, shape: readonly number[]): FileNode {
    const index = standardDefinition(node.op)?.writtenShape;
    const [data, target] = [node.inputs[0], index === undefined ? null : node.inputs[index]];
    if (index === undefined || !data || !target?.known || target.known.some(isBatch)) return node;
    if (node.op === "Resize" && target.known.length !== shape.length) return node;
    const at = this.axes.along(data);
    const dims = at && this.#shapeWithBatch(node.op, data.shape, at, shape);
    if (!dims) return node;
    const inputs = node.inputs.map((input, k) => (k === index ? dimsValue(dims) : input));
    return { ...node, inputs, attributes: { ...node.attributes, ...(node.op === "Reshape" ? { allowzero: 1 } : {}) } };
  }

  /** The file's own output shape with N where the samples go, or null if there is no place for it. */
  #shapeWithBatch(op: string, from: Shape, at: SampleAxis, shape: readonly number[]): Dim[] | null {
    const { size } = this;
    const axis =
      op === "Reshape" ? this.#chosen(reshapedPlaces(from, at, shape, size)) : at.axis + shape.length - from.length;
    const dim = axis === undefined ? undefined : shape[axis];
    if (dim === undefined || size === 0 || dim % size !== 0) return null;
    return shape.map((other, k) => (k === axis ? { perSample: dim / size } : other));
  }

  #chosen(places: readonly number[]): number | undefined {
    if (places.length < 2) return places[0];
    const taken = this.choices[this.#made.length] ?? 0;
    this.#made.push({ taken, count: places.length });
    return places[taken];
  }
}

/**
 * The axes of a reshaped tensor along which each sample's blocks of elements could lie, likeliest first: axes where
 * they are alone, best the one where they were. Otherwise they are folded: with the rows of a matrix, if the axes
 * behind stay or are merged, or with what they split (heads of attention).
 */
function reshapedPlaces(from: Shape, at: SampleAxis, shape: readonly number[], size: number): number[] {
  const behind = from.slice(at.axis + 1).reduce<number>((product, dim) => product * factorOf(dim), 1);
  const stride = at.inner * behind;
  const places = shape.flatMap((dim, axis) => {
    const after = shape.slice(axis + 1).reduce((product, other) => product * other, 1);
    const inner = stride / after;
    const outer = dim / (inner * size);
    if (!Number.isInteger(inner) || !Number.isInteger(outer) || inner < 1 || outer < 1) return [];
    const alone = inner === 1 && outer === 1;
    const rows = inner === at.inner && sameShape(shape.slice(axis + 1), from.slice(at.axis + 1));
    const likely = shape.length < from.length ? inner === 1 : outer === at.outer;
    return [{ axis, alone, rank: alone ? (axis === at.axis ? 0 : 1) : rows ? 2 : likely ? 3 : 4 }];
  });
  const sorted = places.sort((a, b) => a.rank - b.rank);
  // If samples come in several rounds, an axis of their number may be another one than theirs.
  return sorted.filter(({ alone }) => at.outer > 1 || alone === sorted[0]?.alone).map(({ axis }) => axis);
}

/** A Slice between bounds that are whole batches of the file's number of samples takes whole batches of any number. */
function wholeSlice(node: FileNode, size: number, axes: SampleAxes): FileNode {
  const [data, starts, ends, listed, steps] = node.inputs;
  if (node.op !== "Slice" || node.domain !== "" || !data || !starts?.known || !ends?.known) return node;
  const at = axes.along(data);
  const rank = data.shape.length;
  const k = listed ? listed.known?.findIndex((axis) => (factorOf(axis) + rank) % rank === at?.axis) : at?.axis;
  if (k === undefined || !at || (steps && !steps.known) || (steps?.known?.[k] ?? 1) !== 1) return node;
  const bounds = [starts, ends].map((given) => wholeBatches(given.known?.[k], data.shape[at.axis], at, size));
  const [start, end] = bounds;
  if (start === undefined || end === undefined) return node;
  const inputs = node.inputs
    .with(1, dimsValue(starts.known.with(k, start)))
    .with(2, dimsValue(ends.known.with(k, end)));
  return { ...node, inputs };
}

/** Bounds from here on mean the end. */
const beyondAll = 2 ** 31 - 1;

/** A bound along the sample axis as a multiple of N, if it is between whole batches. */
function wholeBatches(bound: Dim | undefined, dim: Dim | undefined, at: SampleAxis, size: number): Dim | undefined {
  if (bound === undefined || isBatch(bound) || !isBatch(dim)) return bound;
  const all = dim.perSample * size;
  if (bound >= beyondAll || bound === all) return dim;
  const place = bound < 0 ? bound + all : bound;
  if (place < 0 || place > all || place % (at.inner * size) !== 0) return undefined;
  return place === 0 ? 0 : { perSample: place / size };
}

/** A Split into whole batches of the file's number of samples splits those of any number. */
function wholeSplit(node: FileNode, size: number, axes: SampleAxes): FileNode {
  const [data, sizes] = node.inputs;
  if (node.op !== "Split" || node.domain !== "" || !data || !sizes?.known) return node;
  const at = axes.along(data);
  const axis = (intAttribute(node, "axis", 0) + data.shape.length) % data.shape.length;
  if (at?.axis !== axis) return node;
  const whole = sizes.known.map((part) => wholeBatches(part, data.shape[axis], at, size));
  if (!whole.every((part) => part !== undefined)) return node;
  return { ...node, inputs: [data, dimsValue(whole)] };
}

/** The sizes that a grid is made for begin with the number of samples. */
function sizedGrid(node: FileNode, size: number, axes: SampleAxes): FileNode {
  const [transforms, sizes] = node.inputs;
  if (node.op !== "AffineGrid" || node.domain !== "" || !transforms || sizes?.known?.[0] !== size) return node;
  const at = axes.along(transforms);
  if (at?.axis !== 0 || at.outer !== 1 || at.inner !== 1) return node;
  return { ...node, inputs: [transforms, dimsValue(sizes.known.with(0, { perSample: 1 }))] };
}

/**
 * A tensor that is expanded to N samples, and holds one row or number for each of the file's samples, gets as many as
 * there are samples.
 */
function expandedToSamples(node: FileNode, batch: FileBatch): FileNode {
  const [data, target] = node.inputs;
  if (node.op !== "Expand" || node.domain !== "" || !data || !target?.known) return node;
  const offset = target.known.length - data.shape.length;
  const axis = data.shape.findIndex((dim, k) => {
    const wanted = target.known?.[k + offset];
    return isBatch(wanted) && batch.size > 1 && dim === wanted.perSample * batch.size;
  });
  const each = axis < 0 ? null : rowsFor(data, axis, batch);
  return each ? { ...node, inputs: node.inputs.with(0, each) } : node;
}

/** A TopK that keeps as many elements as the file has samples keeps all of any number. */
function allSorted(node: FileNode, size: number): FileNode {
  const [data, count] = node.inputs;
  if (node.op !== "TopK" || node.domain !== "" || !data || count?.known?.length !== 1) return node;
  const dim = data.shape.at(intAttribute(node, "axis", -1));
  if (!isBatch(dim) || count.known[0] !== dim.perSample * size) return node;
  return { ...node, inputs: [data, dimsValue([dim])] };
}

/** A constant that indexes the axis of the samples is replaced by their numbers. */
function numbered(node: FileNode, size: number, axes: SampleAxes): FileNode {
  const [data, indices] = node.inputs;
  if (!definitionOf(node)?.indexes || !data || !indices || !constantOf(indices)) return node;
  if (!indexesSamples(node, data, axes)) return node;
  const found = numberedIndices(node, indices, size);
  return found ? { ...node, inputs: node.inputs.with(1, found) } : node;
}

function indexesSamples(node: FileNode, data: Value, axes: SampleAxes): boolean {
  const at = axes.along(data)?.axis;
  if (at === undefined) return false;
  if (!node.op.endsWith("ND")) return at === (intAttribute(node, "axis", 0) + data.shape.length) % data.shape.length;
  const depth = node.inputs[1]?.shape.at(-1) ?? 0;
  const batch = node.op === "GatherND" ? intAttribute(node, "batch_dims", 0) : 0;
  return at >= batch && at < batch + factorOf(depth);
}

/** One row for all samples, or one for each; null if neither is known. */
function rowsFor(value: Value, axis: number, { size, repeated }: FileBatch): Value | null {
  const row = oneRow(value, axis, size) ?? withNumbers(value, axis, size);
  return row ?? repeated.along(value, { axis, outer: 1, inner: 1 });
}

/**
 * Where the samples lie. Integers computed with the batch size, such as the places t * N of `h[t, arange(N)]`, are
 * refused unless they lead to a sample's own rows, which is known only later: their shape tells as much here.
 */
function alongOrShape(axes: SampleAxes, value: Value): SampleAxis | null {
  try {
    return axes.along(value);
  } catch (error) {
    const axis = value.shape.findIndex(isBatch);
    const alone = factorOf(nth(value.shape, axis)) === 1 && !isFloat(value.dtype);
    if (alone && error instanceof PergradError && error.code === "SAMPLES_INTERACT")
      return { axis, outer: 1, inner: 1 };
    throw error;
  }
}

/** Next to tensors that carry the samples, a tensor that all share is repeated for each of them. */
function repeatShared(node: FileNode, batch: FileBatch): FileNode {
  const { size, axes } = batch;
  const same = standardDefinition(node.op)?.sameSamples ?? [];
  const needed = new Set(same === "all" ? node.inputs.keys() : same);
  const product = node.op === "MatMul" && node.domain === "";
  const broadcasts = product || definitionOf(node)?.elementwise === true;
  if (needed.size === 0 && !(broadcasts && size > 1)) return node;
  const rank = Math.max(...node.inputs.map((input) => input?.shape.length ?? 0));
  const offset = (input: Value) => (broadcasts ? rank - input.shape.length : 0);
  const carrier = node.inputs.flatMap((input) => {
    // Values without N are skipped: sizes that are computed from the batch's are not data.
    const at = input?.shape.some(isBatch) ? alongOrShape(axes, input) : null;
    return input && at && at.outer === 1 && at.inner === 1 ? [at.axis + offset(input)] : [];
  })[0];
  if (carrier === undefined && broadcasts && !product) return repeatFolded(node, batch, rank);
  // A product multiplies along its last two axes and does not repeat there.
  if (carrier === undefined || (product && carrier >= rank - 2)) return node;
  const inputs = node.inputs.map((input, k) => {
    if (!input || (!needed.has(k) && !broadcasts) || input.shape.some(isBatch)) return input;
    const axis = carrier - offset(input);
    if (input.shape[axis] !== size) return input;
    const rows = rowsFor(input, axis, batch);
    if (!rows) return input;
    return broadcasts ? rows : build.expand(rows, input.shape.with(axis, { perSample: 1 }));
  });
  return { ...node, inputs };
}

/** The same, if subscripts say which axes hold the same elements. */
function repeatSubscripts(node: FileNode, batch: FileBatch): FileNode {
  const { size, axes } = batch;
  const alone = (value: Value) => {
    const at = axes.along(value);
    return at && at.outer === 1 && at.inner === 1 ? at.axis : undefined;
  };
  return alongSamples(node, alone, (value, axis) =>
    value.shape[axis] === size ? (rowsFor(value, axis, batch) ?? value) : value,
  );
}

/** Next to samples that are folded with other axes (`[N*T, C]`): a tensor with as many rows in the file's own batch. */
function repeatFolded(node: FileNode, { size, axes, repeated }: FileBatch, rank: number): FileNode {
  const [carrier] = node.inputs.flatMap((input) => {
    const at = input?.shape.some(isBatch) ? axes.along(input) : null;
    return input && at ? [{ ...at, axis: at.axis + rank - input.shape.length }] : [];
  });
  if (!carrier) return node;
  const { outer, inner } = carrier;
  const inputs = node.inputs.map((input) => {
    if (!input) return input;
    const axis = carrier.axis - rank + input.shape.length;
    if (input.shape[axis] !== outer * size * inner) return input;
    if (!constantOf(input)) return repeated.along(input, { axis, outer, inner }) ?? input;
    const split = foldedOf(build.reshape(input, input.shape.toSpliced(axis, 1, outer, size, inner)));
    const row = oneRow(split, axis + 1, size);
    if (!row) return input;
    const each = build.expand(row, split.shape.with(axis + 1, { perSample: 1 }));
    return build.reshape(each, input.shape.with(axis, { perSample: outer * inner }));
  });
  return { ...node, inputs };
}

/** A constant has its value already. */
function foldedOf(value: Value): Value {
  const node = nodeOf(value);
  return (node && foldNode(node)?.[0]) ?? value;
}
