/** Windows that slide over the spatial axes of convolutions and pooling. */
import { nth } from "../present.js";
import { sizeOf } from "../tensor/tensor.js";

/** Strides, dilations, padding and groups of a convolution with d spatial axes. */
export interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** Padding before each spatial axis. */
  readonly before: readonly number[];
  /** Padding after each spatial axis. */
  readonly after: readonly number[];
}

/** The elements that a kernel spans along one axis, its dilation counted. */
export function extentOf(window: Window, axis: number): number {
  const [kernel, dilation] = [nth(window.kernel, axis), nth(window.dilations, axis)];
  return (kernel - 1) * dilation + 1;
}

/** How often the window fits along each axis; a remainder at the end is left out. */
export function positionsOf(spatial: readonly number[], window: Window): number[] {
  return spatial.map((size, axis) => {
    const [before, after] = [nth(window.before, axis), nth(window.after, axis)];
    const room = size + before + after - extentOf(window, axis);
    return room < 0 ? 0 : Math.floor(room / nth(window.strides, axis)) + 1;
  });
}

/**
 * For each position t and kernel offset k (row-major, k inner), the offset of the element read in a row-major array of
 * `spatial`, or -1 in the padding.
 */
export function windowOffsets(spatial: readonly number[], window: Window, positions: readonly number[]): Int32Array {
  let offsets = Int32Array.of(0);
  let [outerPositions, outerKernel] = [1, 1];
  spatial.forEach((size, axis) => {
    const [count, kernel] = [nth(positions, axis), nth(window.kernel, axis)];
    const next = new Int32Array(outerPositions * count * outerKernel * kernel);
    let at = 0;
    for (let t = 0; t < outerPositions * count; t++) {
      const start = (t % count) * nth(window.strides, axis) - nth(window.before, axis);
      for (let k = 0; k < outerKernel * kernel; k++) {
        const index = start + (k % kernel) * nth(window.dilations, axis);
        const outer = offsets[Math.floor(t / count) * outerKernel + Math.floor(k / kernel)] as number;
        next[at++] = outer < 0 || index < 0 || index >= size ? -1 : outer * size + index;
      }
    }
    offsets = next;
    outerPositions *= count;
    outerKernel *= kernel;
  });
  return offsets;
}

/**
 * Along one axis, the kernel elements k in first..end-1 that lie at `from` or after and before `to`, if the kernel
 * begins at `start`.
 */
export function kernelWithin(window: Window, axis: number, start: number, from: number, to: number): [number, number] {
  const [kernel, dilation] = [nth(window.kernel, axis), nth(window.dilations, axis)];
  const [first, end] = [Math.ceil((from - start) / dilation), Math.ceil((to - start) / dilation)];
  return [Math.max(0, first), Math.min(kernel, end)];
}

/** The number of elements of the kernel. */
export function kernelSize(window: Window): number {
  return sizeOf(window.kernel);
}
