/** Sums along the axes of one tensor; long ones in blocks. */

import { elementsOf, factorOf, isBatch, N, type Shape } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import { build } from "../ops/registry.js";
import { leadingOf, nth, present } from "../present.js";

/** The most tensors that are added one after another. */
export const mostTerms = 32;
/**
 * The most elements that are summed in one go. The measured kernels add squares one by one, and plain numbers eight at
 * a time.
 */
export const mostInARow = (op: SumOp): number => (op === "ReduceSumSquare" ? 256 : 1024);
/** If other axes follow, the runtime adds four elements at a time; if none precedes either, one by one. */
const mostRows = { inner: 512, outermost: 128 };
/** The usual number of elements in a block. */
export const usualBlock = 64;

export type SumOp = "ReduceSumSquare" | "ReduceSum";

/** The sum over some axes, of shape `to`: neighbouring axes are joined, and the innermost is summed first. */
export function reduce(op: SumOp, x: Value, axes: readonly number[], to: Shape): Value {
  const starts = axes.filter((axis) => !axes.includes(axis - 1));
  let [value, next] = [x, op];
  for (const start of starts.reverse()) {
    const { shape } = value;
    const end = ends(axes, start);
    const joined = present(elementsOf(shape.slice(start, end)));
    const line = build.reshape(value, [...shape.slice(0, start), joined, ...shape.slice(end)]);
    value = sumLine(next, line, start);
    next = "ReduceSum";
  }
  return build.reshape(value, to);
}

/** The sum over some axes, which are dropped, of a value that cannot be reshaped: axis by axis, the innermost first. */
export function reducePairs(op: SumOp, x: Value, axes: readonly number[]): Value {
  const [last, ...others] = leadingOf([...axes].reverse(), 1);
  return others.reduce((sum, axis) => sumSlices("ReduceSum", sum, axis), sumSlices(op, x, last));
}

/** Whether the samples lie along two axes, so that the value cannot be reshaped. */
export function ofPairs({ shape }: Value): boolean {
  return shape.filter(isBatch).length > 1;
}

function ends(axes: readonly number[], start: number): number {
  let end = start;
  while (axes.includes(end)) end++;
  return end;
}

/** The sum along one axis, which is dropped. */
export function sumLine(op: SumOp, value: Value, axis: number): Value {
  const dim = nth(value.shape, axis);
  const length = factorOf(dim);
  if (isBatch(dim) && length > 1) return sumSamples(op, value, axis);
  if (isBatch(dim) && axis === 0 && op === "ReduceSum") return overSamples(value);
  const most = mostAlong(op, value.shape, axis);
  if (length <= most) return build.reduce(op, value, [axis]);
  const blocks = cut(value, axis, dividing(length, most) ?? usualBlock);
  return sumLine("ReduceSum", build.reduce(op, blocks, [axis + 1]), axis);
}

export function mostAlong(op: SumOp, shape: Shape, axis: number): number {
  const single = (dims: Shape) => dims.every((dim) => dim === 1);
  if (single(shape.slice(axis + 1))) return mostInARow(op);
  return Math.min(mostInARow(op), single(shape.slice(0, axis)) ? mostRows.outermost : mostRows.inner);
}

/** The sum along one axis, which is dropped; a long axis is summed in slices. */
export function sumSlices(op: SumOp, value: Value, axis: number): Value {
  const length = factorOf(nth(value.shape, axis));
  if (length <= mostInARow(op)) return build.reduce(op, value, [axis]);
  const size = Math.max(mostInARow(op), Math.ceil(length / mostTerms));
  const slices = Array.from({ length: Math.ceil(length / size) }, (_, k) =>
    build.slice(value, axis, k * size, Math.min((k + 1) * size, length)),
  );
  return build.op(
    "Sum",
    slices.map((slice) => build.reduce(op, slice, [axis])),
  );
}

/** Samples that are folded with other factors: sums over the factors first, then over the samples. */
function sumSamples(op: SumOp, value: Value, axis: number): Value {
  const { shape } = value;
  const length = factorOf(nth(shape, axis));
  const split = build.reshape(value, [...shape.slice(0, axis), N, length, ...shape.slice(axis + 1)]);
  const each = sumLine(op, split, axis + 1);
  const rest = elementsOf(shape.slice(1));
  if (axis > 0 || rest === undefined) return build.reduce("ReduceSum", each, [axis]);
  return build.reshape(overSamples(each), shape.slice(1));
}

/** The sum over the first axis, `[N]`, which is dropped. */
function overSamples(value: Value): Value {
  const rest = value.shape.slice(1);
  const size = elementsOf(rest);
  if (size === undefined || isBatch(size)) return build.reduce("ReduceSum", value, [0]);
  // The runtime multiplies by ones faster than it sums over the first axis, and with a smaller error.
  const ones = build.expand(build.scalar(1, value), [1, N]);
  return build.reshape(build.matmul(ones, build.reshape(value, [N, size])), rest);
}

/**
 * The number of elements in a block of an axis: at least half of `most`, and such that no padding is needed, if there
 * is such a number.
 */
export function blockSize(length: number, most = usualBlock): number {
  for (let size = most; 2 * size >= most; size--) if (length % size === 0) return size;
  return most;
}

/** Below this many elements in a block, there are too many block sums. */
const leastInBlock = 16;

/** As `blockSize`; if that would pad, any size up to `most` that does not, since padding copies the whole tensor. */
function dividing(length: number, most: number): number | undefined {
  const usual = blockSize(length);
  if (length % usual === 0) return usual;
  for (let size = most; size >= leastInBlock; size--) if (length % size === 0) return size;
  return undefined;
}

/**
 * Splits an axis `[k]` into blocks, `[k / size, size]`, padded with zeros if necessary; `[N*k]` becomes `[N*k / size,
 * size]`.
 */
export function cut(value: Value, axis: number, size: number): Value {
  const { shape } = value;
  const dim = nth(shape, axis);
  const length = factorOf(dim);
  const count = Math.ceil(length / size);
  const [before, after] = [shape.slice(0, axis), shape.slice(axis + 1)];
  const blocks = isBatch(dim) ? { perSample: count } : count;
  const missing = count * size - length;
  if (missing === 0) return build.reshape(value, [...before, blocks, size, ...after]);
  const samples = isBatch(dim) ? [N] : [];
  const single = build.reshape(value, [...before, ...samples, length, ...after]);
  const at = axis + samples.length;
  const padding = single.shape.map((_, k) => (k === at ? missing : 0));
  const padded = build.pad(
    single,
    padding.map(() => 0),
    padding,
  );
  return build.reshape(padded, [...before, blocks, size, ...after]);
}
