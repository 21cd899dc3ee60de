/** Data sets, as callers give them. */
import type { Data } from "../tensor/data.js";

/** A program's inputs by name, as `run` takes them. */
export type Batch = Readonly<Record<string, Data>>;

/**
 * One of these: all samples at once, as `run` takes them; batches of any sizes, each read when the one before is done;
 * or the path of a .safetensors file, which is read in pieces, or of an .npz file, which is read whole. Tensors in a
 * file that are not inputs of the program are ignored.
 */
export type Dataset = Batch | Iterable<Batch> | AsyncIterable<Batch> | string;

/** Whether a data set is given as all samples at once. */
export function isBatch(dataset: Dataset): dataset is Batch {
  return typeof dataset === "object" && dataset !== null && !isIterable(dataset);
}

export function isIterable(data: Exclude<Dataset, string>): data is Iterable<Batch> | AsyncIterable<Batch> {
  return Symbol.asyncIterator in data || Symbol.iterator in data;
}
