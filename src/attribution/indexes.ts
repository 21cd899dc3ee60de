/** Indexes on disk: the public entry points. Code that reads and writes files is loaded when it is first used. */
import type { Dataset } from "../program/given-data.js";
import type { Checkpoints } from "./scores.js";
import type { AttributionIndex, IndexOptions, OpenIndexOptions } from "./store/stored-index.js";

/**
 * Writes an index of the training samples to a folder, shard by shard, or continues the one that is there: a process
 * that is killed loses at most a shard. Queries are later multiplied with the projected gradients in it, by `gradDot`,
 * `gradCos`, `tracIn`, `trak` or `loGra`.
 * @param model a model, or several of the same graph
 * @param train the training samples, read once
 * @throws PergradError INVALID_ARGUMENT (the folder's manifest does not match, or the samples differ), FILE_UNREADABLE,
 *   FILE_UNWRITABLE, NOT_FINITE, and what `perSample` and `run` throw.
 */
export async function index(model: Checkpoints, train: Dataset, options: IndexOptions): Promise<AttributionIndex> {
  const { AttributionIndex: Index } = await import("./store/stored-index.js");
  return Index.build(model, train, options);
}

/**
 * Opens a complete index, to query it. The model, the loss and the method must be those that it was made with.
 * @throws PergradError INVALID_ARGUMENT, FILE_UNREADABLE.
 */
export async function openIndex(
  folder: string,
  model: Checkpoints,
  options: OpenIndexOptions,
): Promise<AttributionIndex> {
  const { AttributionIndex: Index } = await import("./store/stored-index.js");
  return Index.open(folder, model, options);
}
