/** Mini-batches of data whose tensors all hold the samples along axis 0. */

import { PergradError } from "../errors.js";
import { type Random, random } from "../tensor/random.js";
import { floatsIn, numberArrayOf, sizeOf, type Tensor } from "../tensor/tensor.js";

/** The numbers 0..count-1 in random order. */
export function permutation(count: number, source: Random): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(source.uniform(0, i + 1));
    [order[i], order[j]] = [order[j] as number, order[i] as number];
  }
  return order;
}

/** The samples with these indices, in this order. Throws RangeError. */
export function pick<T extends Tensor>(tensor: T, indices: ArrayLike<number>): T {
  const [samples = 0, ...rest] = tensor.dims;
  const size = sizeOf(rest);
  // Copying does not depend on the type of the elements.
  const source = floatsIn(tensor);
  const data = new (numberArrayOf(tensor.dtype))(indices.length * size);
  for (let k = 0; k < indices.length; k++) {
    const sample = indices[k] as number;
    if (!(sample >= 0 && sample < samples)) throw new RangeError(`there is no sample ${sample} of ${samples}`);
    data.set(source.subarray(sample * size, (sample + 1) * size), k * size);
  }
  return { ...tensor, dims: [indices.length, ...rest], data };
}

export type Batch<D> = { readonly [K in keyof D]: D[K] };

function countSamples(data: Readonly<Record<string, Tensor>>): number {
  const counts = Object.entries(data).map(([name, { dims }]) => ({ name, samples: dims[0] ?? 0 }));
  const [first, ...others] = counts;
  const other = others.find(({ samples }) => samples !== first?.samples);
  if (!first || !other) return first?.samples ?? 0;
  throw new PergradError(
    "BATCH_MISMATCH",
    `"${other.name}" holds ${other.samples} samples, but "${first.name}" holds ${first.samples}; give the same number of each.`,
  );
}

export interface BatchOptions {
  /** Samples per batch; the last batch may have fewer. */
  readonly size: number;
  /**
   * The source of the order: a seed, or random numbers that continue from one epoch to the next. Without it the samples
   * come in their own order.
   */
  readonly shuffle?: number | Random;
}

/** One epoch: every sample once. Throws INVALID_ARGUMENT, BATCH_MISMATCH. */
export function* miniBatches<D extends Readonly<Record<string, Tensor>>>(
  data: D,
  { size, shuffle }: BatchOptions,
): Generator<Batch<D>> {
  if (!Number.isSafeInteger(size) || size < 1) {
    throw new PergradError("INVALID_ARGUMENT", `A batch's size must be a whole number from 1 up, not ${size}.`);
  }
  const samples = countSamples(data);
  const source = typeof shuffle === "number" ? random(shuffle) : shuffle;
  const order = source ? permutation(samples, source) : Uint32Array.from({ length: samples }, (_, i) => i);
  for (let from = 0; from < samples; from += size) {
    const indices = order.subarray(from, from + size);
    yield Object.fromEntries(Object.entries(data).map(([name, each]) => [name, pick(each, indices)])) as Batch<D>;
  }
}
