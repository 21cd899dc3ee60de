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
