/** The products of a convolution, in the float64 reference. */

import type { Window } from "../graph/window.js";
import { kernelSize, windowOffsets } from "../graph/window.js";
import { sizeOf } from "../tensor/tensor.js";
import { transpose64 } from "./array64.js";
import { addProduct64, type Matrix64 } from "./product64.js";

export interface Planes {
  readonly images: number;
  readonly groups: number;
  /** The channels of a group on the side that the kernel slides over, and on the other side. */
  readonly big: number;
  readonly small: number;
}

/** Patches of this many numbers stay in the processor's cache while they are multiplied. */
const blockSize = 2 ** 17;

/**
 * The elements that a window reads: `table[k * count + t]` is the offset in a plane of kernel element k at position t,
 * or -1 beyond the plane's border.
 */
interface Reads {
  readonly table: Int32Array;
  readonly count: number;
  readonly size: number;
}

function readsOf(spatial: readonly number[], positions: readonly number[], window: Window): Reads {
  const offsets = windowOffsets(spatial, window, positions);
  const [count, size] = [sizeOf(positions), kernelSize(window)];
  const table = new Int32Array(offsets.length);
  for (let k = 0; k < size; k++) {
    for (let t = 0; t < count; t++) table[k * count + t] = offsets[t * size + k] as number;
  }
  return { table, count, size };
}

/** Whether each position reads only the element at its own place. */
function isPointwise({ kernel, strides, before, after }: Window): boolean {
  const all = (numbers: readonly number[], value: number) => numbers.every((number) => number === value);
  return all(kernel, 1) && all(strides, 1) && all(before, 0) && all(after, 0);
}

/**
 * Multiplies two of the three sides and adds the products to the third: Conv computes the small side, ConvTranspose the
 * big one.
 */
export function addProducts(
  sides: { readonly big: Float64Array; readonly small: Float64Array; readonly weight: Float64Array },
  to: "big" | "small",
  { images, groups, big, small }: Planes,
  spatial: readonly number[],
  positions: readonly number[],
  window: Window,
): void {
  const plane = sizeOf(spatial);
  const reads = readsOf(spatial, positions, window);
  const { count, size } = reads;
  const rows = big * size;
  const pointwise = isPointwise(window);
  // Each group's weights: [small, big * size], or [big * size, small] in the other direction.
  const weights = { dims: [groups, small, rows], data: sides.weight };
  const factors = to === "small" ? weights : transpose64(weights, [0, 2, 1]);
  const width = pointwise ? count : Math.min(count, Math.max(16, Math.floor(blockSize / Math.max(rows, 1))));
  const patches = new Float64Array(pointwise ? 0 : rows * width);
  for (let image = 0; image < images * groups; image++) {
    const start = image * big * plane;
    const factor: Matrix64 = {
      data: factors.data,
      at: (image % groups) * small * rows,
      stride: to === "small" ? rows : small,
    };
    for (let first = 0; first < count; first += width) {
      const columns = Math.min(width, count - first);
      const outer: Matrix64 = { data: sides.small, at: image * small * count + first, stride: count };
      const inner: Matrix64 = pointwise
        ? { data: sides.big, at: start + first, stride: plane }
        : { data: patches, at: 0, stride: columns };
      if (to === "small") {
        if (!pointwise) copyPatches(patches, sides.big, start, plane, big, reads, first, columns);
        addProduct64(outer, factor, inner, [small, rows, columns]);
      } else {
        if (!pointwise) patches.fill(0);
        addProduct64(inner, factor, outer, [rows, small, columns]);
        if (!pointwise) addPatches(sides.big, patches, start, plane, big, reads, first, columns);
      }
    }
  }
}

/**
 * Copies the elements under the window at `columns` positions from `first` on, `[big, size, columns]`; 0 beyond the
 * border.
 */
function copyPatches(
  patches: Float64Array,
  data: Float64Array,
  start: number,
  plane: number,
  big: number,
  { table, count, size }: Reads,
  first: number,
  columns: number,
): void {
  let at = 0;
  for (let i = 0; i < big; i++) {
    const from = start + i * plane;
    for (let k = 0; k < size; k++) {
      const read = k * count + first;
      for (let t = 0; t < columns; t++) {
        const offset = table[read + t] as number;
        patches[at++] = offset < 0 ? 0 : (data[from + offset] as number);
      }
    }
  }
}

/** The reverse: adds patches to the elements that the window reads. */
function addPatches(
  data: Float64Array,
  patches: Float64Array,
  start: number,
  plane: number,
  big: number,
  { table, count, size }: Reads,
  first: number,
  columns: number,
): void {
  let at = 0;
  for (let i = 0; i < big; i++) {
    const from = start + i * plane;
    for (let k = 0; k < size; k++) {
      const read = k * count + first;
      for (let t = 0; t < columns; t++, at++) {
        const offset = table[read + t] as number;
        if (offset >= 0) data[from + offset] = (data[from + offset] as number) + (patches[at] as number);
      }
    }
  }
}
