/** Parts of a batch of data. */
import { arrayOf, sizeOf, type Tensor } from "./tensor.js";

/** Samples `from` (included) to `to` (not included) along `axis`. */
export function takeSamples(tensor: Tensor, axis: number, from: number, to: number): Tensor {
  const { dtype, dims, data } = tensor;
  const before = sizeOf(dims.slice(0, axis));
  const behind = sizeOf(dims.slice(axis + 1));
  const all = dims[axis] as number;
  const count = to - from;
  const taken = dims.map((dim, k) => (k === axis ? count : dim));
  // Samples in front lie side by side: a view of them needs no copy.
  if (before === 1) return { dtype, dims: taken, data: data.subarray(from * behind, to * behind) } as Tensor;
  const result = new (arrayOf(dtype) as Float32ArrayConstructor)(before * count * behind);
  for (let block = 0; block < before; block++) {
    const start = (block * all + from) * behind;
    result.set((data as Float32Array).subarray(start, start + count * behind), block * count * behind);
  }
  return { dtype, dims: taken, data: result } as Tensor;
}

/** The samples of these numbers along `axis`, in this order. */
export function pickSamples(tensor: Tensor, axis: number, samples: ArrayLike<number>): Tensor {
  const { dtype, dims, data } = tensor;
  const before = sizeOf(dims.slice(0, axis));
  const behind = sizeOf(dims.slice(axis + 1));
  const all = dims[axis] as number;
  // What an array holds does not matter to copying it.
  const source = data as Float32Array;
  const result = new (arrayOf(dtype) as Float32ArrayConstructor)(before * samples.length * behind);
  for (let block = 0; block < before; block++) {
    for (let k = 0; k < samples.length; k++) {
      const from = (block * all + (samples[k] as number)) * behind;
      result.set(source.subarray(from, from + behind), (block * samples.length + k) * behind);
    }
  }
  return { dtype, dims: dims.map((dim, k) => (k === axis ? samples.length : dim)), data: result } as Tensor;
}

/** Starts and ends of pieces of at most `size` samples; one empty piece where there are none. */
export function* pieces(samples: number, size: number): Generator<readonly [number, number]> {
  for (let from = 0; from < Math.max(samples, 1); from += size) yield [from, Math.min(from + size, samples)];
}
