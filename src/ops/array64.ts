/** Helpers of the float64 reference: plain loops, written to be read, not to be fast. */
import { sizeOf } from "../tensor.js";
import type { Array64 } from "./definition.js";

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
    strides[axis] = (strides[axis + 1] as number) * (dims[axis + 1] as number);
  }
  return strides;
}

/** The shape that these broadcast to, aligned at the right. */
export function broadcastDims(shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(0, ...shapes.map((dims) => dims.length));
  return Array.from({ length: rank }, (_, axis) => {
    const sizes = shapes.map((dims) => dims[axis - rank + dims.length] ?? 1);
    return sizes.find((size) => size !== 1) ?? 1;
  });
}

/**
 * Calls `visit(position, offset)` for each index of `dims` in row-major order, where offset is the sum of
 * index * stride: the position in another array that is walked with those strides.
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

/** Strides that read an array of `dims` as if broadcast to `to`. */
export function broadcastStrides(dims: readonly number[], to: readonly number[]): number[] {
  const own = stridesOf(dims);
  const offset = to.length - dims.length;
  return to.map((_, axis) => (axis < offset || dims[axis - offset] === 1 ? 0 : (own[axis - offset] as number)));
}

/** The array broadcast to `to`, as data of that size. */
export function broadcastTo(a: Array64, to: readonly number[]): Float64Array {
  if (a.dims.length === to.length && a.dims.every((dim, axis) => dim === to[axis])) return a.data;
  const result = new Float64Array(sizeOf(to));
  if (a.data.length === 1) return result.fill(a.data[0] as number);
  walk(to, broadcastStrides(a.dims, to), (position, offset) => {
    result[position] = a.data[offset] as number;
  });
  return result;
}

/** Element-wise `f` of one array. */
export function map64(a: Array64, f: (x: number) => number): Array64 {
  return { dims: a.dims, data: a.data.map(f) };
}

/** Element-wise `f` of two arrays, with broadcasting. */
export function zip64(a: Array64, b: Array64, f: (x: number, y: number) => number): Array64 {
  const dims = broadcastDims([a.dims, b.dims]);
  const left = broadcastTo(a, dims);
  const right = broadcastTo(b, dims);
  return { dims, data: left.map((x, i) => f(x, right[i] as number)) };
}

/** Output axis k is input axis `permutation[k]`. */
export function transpose64(a: Array64, permutation: readonly number[]): Array64 {
  const strides = stridesOf(a.dims);
  const result = zeros64(permutation.map((axis) => a.dims[axis] as number));
  walk(
    result.dims,
    permutation.map((axis) => strides[axis] as number),
    (position, offset) => {
      result.data[position] = a.data[offset] as number;
    },
  );
  return result;
}

/** Sums over `axes`, which stay as axes of size 1 where `keepDims`. */
export function sum64(a: Array64, axes: readonly number[], keepDims: boolean): Array64 {
  const kept = a.dims.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
  const sums = new Float64Array(sizeOf(kept));
  walk(a.dims, broadcastStrides(kept, a.dims), (position, offset) => {
    sums[offset] = (sums[offset] as number) + (a.data[position] as number);
  });
  return { dims: keepDims ? kept : a.dims.filter((_, axis) => !axes.includes(axis)), data: sums };
}
