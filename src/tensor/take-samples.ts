/** Takes batches of data apart and joins them. */

import { nth } from "../present.js";
import { scalingOf } from "./scaled.js";
import { floatsIn, numberArrayOf, sizeOf, type Tensor, tensorWith } from "./tensor.js";

/** Samples `from` (included) to `to` (not included) along `axis`. */
export function takeSamples(tensor: Tensor, axis: number, from: number, to: number): Tensor {
  const { dtype, dims, data } = tensor;
  const before = sizeOf(dims.slice(0, axis));
  const behind = sizeOf(dims.slice(axis + 1));
  const all = nth(dims, axis);
  const count = to - from;
  const taken = dims.map((dim, k) => (k === axis ? count : dim));
  // Samples along the first axis lie side by side, so a view suffices.
  if (before === 1) return like(tensor, taken, data.subarray(from * behind, to * behind));
  const result = new (numberArrayOf(dtype))(before * count * behind);
  for (let block = 0; block < before; block++) {
    const start = (block * all + from) * behind;
    result.set(floatsIn(tensor).subarray(start, start + count * behind), block * count * behind);
  }
  return like(tensor, taken, result);
}

/** A tensor of the same dtype and, if there is one, the same scale. */
function like(tensor: Tensor, dims: readonly number[], data: Tensor["data"]): Tensor {
  const own = tensorWith(tensor.dtype, dims, data);
  const scaling = scalingOf(tensor);
  return scaling ? { ...own, ...scaling } : own;
}

/** The samples with these indices along `axis`, in this order. */
export function pickSamples(tensor: Tensor, axis: number, samples: ArrayLike<number>): Tensor {
  const { dtype, dims } = tensor;
  const before = sizeOf(dims.slice(0, axis));
  const behind = sizeOf(dims.slice(axis + 1));
  const all = nth(dims, axis);
  // Copying does not depend on the type of the elements.
  const source = floatsIn(tensor);
  const result = new (numberArrayOf(dtype))(before * samples.length * behind);
  for (let block = 0; block < before; block++) {
    for (let k = 0; k < samples.length; k++) {
      const from = (block * all + (samples[k] as number)) * behind;
      result.set(source.subarray(from, from + behind), (block * samples.length + k) * behind);
    }
  }
  return like(
    tensor,
    dims.map((dim, k) => (k === axis ? samples.length : dim)),
    result,
  );
}

/** Starts and ends of pieces of at most `size` samples; one empty piece if there are no samples. */
export function* pieces(samples: number, size: number): Generator<readonly [number, number]> {
  for (let from = 0; from < Math.max(samples, 1); from += size) yield [from, Math.min(from + size, samples)];
}

/** Joins parts of a batch along `axis`. */
export function joinSamples(parts: readonly Tensor[], axis: number): Tensor {
  const first = nth(parts, 0);
  if (parts.length === 1) return first;
  const before = sizeOf(first.dims.slice(0, axis));
  const total = parts.reduce((sum, { dims }) => sum + nth(dims, axis), 0);
  const dims = first.dims.map((dim, k) => (k === axis ? total : dim));
  const result = new (numberArrayOf(first.dtype))(sizeOf(dims));
  const row = before === 0 ? 0 : result.length / before;
  let at = 0;
  for (const part of parts) {
    const own = floatsIn(part);
    const size = before === 0 ? 0 : own.length / before;
    for (let block = 0; block < before; block++)
      result.set(own.subarray(block * size, (block + 1) * size), block * row + at);
    at += size;
  }
  return tensorWith(first.dtype, dims, result);
}
