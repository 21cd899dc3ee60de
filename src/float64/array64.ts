/**
 * Helpers of the float64 reference. It also checks models of real size, so operations on every element of an activation
 * run in loops over typed arrays, row by row.
 */

import { leadingOf, nth } from "../present.js";
import { sizeOf } from "../tensor/tensor.js";

export function array64(dims: readonly number[], data: Float64Array | ArrayLike<number>): Array64 {
  return { dims, data: data instanceof Float64Array ? data : Float64Array.from(data) };
}

export function zeros64(dims: readonly number[]): Array64 {
  return { dims, data: new Float64Array(sizeOf(dims)) };
}

/** Row-major strides. */
export function stridesOf(dims: readonly number[]): number[] {
  const strides = new Array<number>(dims.length).fill(1);
  for (let axis = dims.length - 2; axis >= 0; axis--) {
    strides[axis] = nth(strides, axis + 1) * nth(dims, axis + 1);
  }
  return strides;
}

/** The shape that these shapes broadcast to, aligned at the right. */
export function broadcastDims(shapes: readonly (readonly number[])[]): number[] {
  const dims: number[] = [];
  for (const shape of shapes) {
    while (dims.length < shape.length) dims.unshift(1);
    const offset = dims.length - shape.length;
    for (let axis = 0; axis < shape.length; axis++) {
      if (dims[offset + axis] === 1) dims[offset + axis] = nth(shape, axis);
    }
  }
  return dims;
}

/**
 * Calls `visit(position, offset)` for each index of `dims` in row-major order. The offset is the sum of index * stride:
 * the position in another array that has those strides.
 */
export function walk(
  dims: readonly number[],
  strides: readonly number[],
  visit: (position: number, offset: number) => void,
  start = 0,
): void {
  const size = sizeOf(dims);
  const rank = dims.length;
  const index = new Array<number>(rank).fill(0);
  let offset = start;
  for (let position = 0; position < size; position++) {
    visit(position, offset);
    for (let axis = rank - 1; axis >= 0; axis--) {
      const next = (index[axis] as number) + 1;
      offset += strides[axis] as number;
      if (next < (dims[axis] as number)) {
        index[axis] = next;
        break;
      }
      offset -= next * (strides[axis] as number);
      index[axis] = 0;
    }
  }
}

/**
 * Axes along which several arrays are walked together; each array has strides of its own (0 along axes that broadcast
 * it).
 */
interface Walk {
  readonly dims: readonly number[];
  readonly strides: readonly (readonly number[])[];
}

/**
 * The same walk without axes of size 1, and with axes merged wherever all arrays step evenly across them: the last axis
 * is then as long as possible.
 */
function joined(dims: readonly number[], strides: readonly (readonly number[])[]): Walk {
  const [joint, steps]: [number[], number[][]] = [[], strides.map(() => [])];
  for (let axis = dims.length - 1; axis >= 0; axis--) {
    const size = nth(dims, axis);
    if (size === 1) continue;
    const outer = joint[0];
    const follows = outer !== undefined && strides.every((own, k) => own[axis] === (steps[k]?.[0] as number) * outer);
    if (follows) joint[0] = outer * size;
    else joint.unshift(size);
    if (follows) continue;
    for (const [k, own] of strides.entries()) steps[k]?.unshift(nth(own, axis));
  }
  return { dims: joint, strides: steps };
}

/**
 * Calls `row` for each index of all axes but the last, in row-major order, with the number of elements before it (`at`)
 * and its offset in each of two arrays. The row has `count` elements, at steps of `aStep` and `bStep`.
 */
function eachRow(
  dims: readonly number[],
  [a, b]: readonly [readonly number[], readonly number[]],
  row: (count: number, at: number, aAt: number, aStep: number, bAt: number, bStep: number) => void,
): void {
  if (dims.includes(0)) return;
  const walk = joined(dims, [a, b]);
  const last = walk.dims.length - 1;
  const [as, bs] = leadingOf(walk.strides, 2);
  const [count, aStep, bStep] = [walk.dims[last] ?? 1, as[last] ?? 0, bs[last] ?? 0];
  const index = new Int32Array(Math.max(last, 0));
  const total = sizeOf(dims);
  let [aAt, bAt] = [0, 0];
  for (let at = 0; at < total; at += count) {
    row(count, at, aAt, aStep, bAt, bStep);
    for (let axis = last - 1; axis >= 0; axis--) {
      const next = (index[axis] as number) + 1;
      aAt += as[axis] as number;
      bAt += bs[axis] as number;
      if (next < (walk.dims[axis] as number)) {
        index[axis] = next;
        break;
      }
      aAt -= next * (as[axis] as number);
      bAt -= next * (bs[axis] as number);
      index[axis] = 0;
    }
  }
}

/** The elements of `data` at `start` plus index times strides, for each index of `dims` in row-major order. */
export function read64(
  data: Float64Array,
  dims: readonly number[],
  strides: readonly number[],
  start = 0,
): Float64Array {
  const result = new Float64Array(sizeOf(dims));
  eachRow(dims, [strides, strides], (count, at, from, step) => copyRow(result, at, data, start + from, step, count));
  return result;
}

function copyRow(to: Float64Array, at: number, from: Float64Array, first: number, step: number, count: number): void {
  if (step === 1 && count > 16) to.set(from.subarray(first, first + count), at);
  else for (let i = 0, k = first; i < count; i++, k += step) to[at + i] = from[k] as number;
}

/** Strides that read an array of `dims` as if it were broadcast to `to`. */
function broadcastStrides(dims: readonly number[], to: readonly number[]): number[] {
  const own = stridesOf(dims);
  const offset = to.length - dims.length;
  return to.map((_, axis) => (axis < offset || dims[axis - offset] === 1 ? 0 : nth(own, axis - offset)));
}

/** The array broadcast to `to`, as data of that size. */
export function broadcastTo(a: Array64, to: readonly number[]): Float64Array {
  if (a.dims.length === to.length && a.dims.every((dim, axis) => dim === to[axis])) return a.data;
  if (a.data.length === 1) return new Float64Array(sizeOf(to)).fill(a.data[0] as number);
  return read64(a.data, to, broadcastStrides(a.dims, to));
}

/** Element-wise `f` of one array. */
export function map64(a: Array64, f: (x: number) => number): Array64 {
  const data = new Float64Array(a.data.length);
  for (let i = 0; i < data.length; i++) data[i] = f(a.data[i] as number);
  return { dims: a.dims, data };
}

/**
 * Writes the results of an operation on `count` pairs to `out`, from index `at`. A step of 0 reads the same element
 * again.
 */
export type RowOfPairs = (
  out: Float64Array,
  at: number,
  count: number,
  x: Float64Array,
  xAt: number,
  xStep: number,
  y: Float64Array,
  yAt: number,
  yStep: number,
) => void;

/** Makes a row function of a function of two numbers. */
export function rowOf(f: (x: number, y: number) => number): RowOfPairs {
  return (out, at, count, x, xAt, xStep, y, yAt, yStep) => {
    for (let i = 0; i < count; i++) out[at + i] = f(x[xAt + i * xStep] as number, y[yAt + i * yStep] as number);
  };
}

/** Element-wise `row` of two arrays, with broadcasting. */
export function zipRows64(a: Array64, b: Array64, row: RowOfPairs): Array64 {
  const dims = broadcastDims([a.dims, b.dims]);
  const data = new Float64Array(sizeOf(dims));
  // Whole arrays and single elements are read as one row.
  const isRow = (own: Array64) => own.data.length === data.length || own.data.length === 1;
  const step = (own: Array64) => Number(own.data.length > 1);
  if (isRow(a) && isRow(b)) {
    row(data, 0, data.length, a.data, 0, step(a), b.data, 0, step(b));
    return { dims, data };
  }
  const strides = [broadcastStrides(a.dims, dims), broadcastStrides(b.dims, dims)] as const;
  eachRow(dims, strides, (count, at, aAt, aStep, bAt, bStep) => {
    row(data, at, count, a.data, aAt, aStep, b.data, bAt, bStep);
  });
  return { dims, data };
}

/** Element-wise `f` of two arrays, with broadcasting. */
export function zip64(a: Array64, b: Array64, f: (x: number, y: number) => number): Array64 {
  return zipRows64(a, b, rowOf(f));
}

/** Output axis k is input axis `permutation[k]`. */
export function transpose64(a: Array64, permutation: readonly number[]): Array64 {
  const strides = stridesOf(a.dims);
  const dims = permutation.map((axis) => nth(a.dims, axis));
  return {
    dims,
    data: read64(
      a.data,
      dims,
      permutation.map((axis) => strides[axis] as number),
    ),
  };
}

/** Sums over `axes`; with `keepDims` they stay, with size 1. */
export function sum64(a: Array64, axes: readonly number[], keepDims: boolean): Array64 {
  const kept = a.dims.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
  const sums = new Float64Array(sizeOf(kept));
  const to = broadcastStrides(kept, a.dims);
  eachRow(a.dims, [to, to], (count, from, at, step) => {
    for (let i = 0; i < count; i++)
      sums[at + i * step] = (sums[at + i * step] as number) + (a.data[from + i] as number);
  });
  return { dims: keepDims ? kept : a.dims.filter((_, axis) => !axes.includes(axis)), data: sums };
}

/**
 * A tensor of the reference: elements of any dtype are held in float64 (booleans as 0 and 1, integers exactly up to
 * 2^53).
 */
export interface Array64 {
  readonly dims: readonly number[];
  readonly data: Float64Array;
}
