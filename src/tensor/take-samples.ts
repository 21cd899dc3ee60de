/** Parts of a batch of data. */

import { nth } from "../present.js";
import { floatsIn, numberArrayOf, sizeOf, type Tensor, tensorWith } from "./tensor.js";

/** Samples `from` (included) to `to` (not included) along `axis`. */
export function takeSamples(tensor: Tensor, axis: number, from: number, to: number): Tensor {
  const { dtype, dims, data } = tensor;
  const before = sizeOf(dims.slice(0, axis));
  const behind = sizeOf(dims.slice(axis + 1));
  const all = nth(dims, axis);
  const count = to - from;
  const taken = dims.map((dim, k) => (k === axis ? count : dim));
  // Samples in front lie side by side: a view of them needs no copy.
  if (before === 1) return tensorWith(dtype, taken, data.subarray(from * behind, to * behind));
  const result = new (numberArrayOf(dtype))(before * count * behind);
  for (let block = 0; block < before; block++) {
    const start = (block * all + from) * behind;
    result.set(floatsIn(tensor).subarray(start, start + count * behind), block * count * behind);
  }
  return tensorWith(dtype, taken, result);
}

/** The samples of these numbers along `axis`, in this order. */
export function pickSamples(tensor: Tensor, axis: number, samples: ArrayLike<number>): Tensor {
  const { dtype, dims } = tensor;
  const before = sizeOf(dims.slice(0, axis));
  const behind = sizeOf(dims.slice(axis + 1));
  const all = nth(dims, axis);
  // What an array holds does not matter to copying it.
  const source = floatsIn(tensor);
  const result = new (numberArrayOf(dtype))(before * samples.length * behind);
  for (let block = 0; block < before; block++) {
    for (let k = 0; k < samples.length; k++) {
      const from = (block * all + (samples[k] as number)) * behind;
      result.set(source.subarray(from, from + behind), (block * samples.length + k) * behind);
    }
  }
  return tensorWith(
    dtype,
    dims.map((dim, k) => (k === axis ? samples.length : dim)),
    result,
  );
}

/** Starts and ends of pieces of at most `size` samples; one empty piece where there are none. */
export function* pieces(samples: number, size: number): Generator<readonly [number, number]> {
  for (let from = 0; from < Math.max(samples, 1); from += size) yield [from, Math.min(from + size, samples)];
}
