/** Runs a program over a data set that may be larger than memory. */

import type { Output } from "../compile/joining.js";
import { nth } from "../present.js";
import { unlessAborted } from "../target/signals.js";
import { Discarded } from "../tensor/discarded.js";
import { openDataset, type SourceOptions } from "./dataset.js";
import type { Prepared } from "./feeds.js";
import type { Dataset } from "./given-data.js";
import { type Computed, Joined } from "./joined.js";

/** How far a stream has come. */
export interface Progress {
  /** Samples done so far. */
  readonly samples: number;
  /** The number of all samples, if it is known: not for iterables. */
  readonly total?: number;
}

/** Options of `stream`. */
export interface StreamOptions {
  /**
   * The most samples in a chunk. Default: as many as have 4 MiB of results (which stay in a processor's cache), but at least 1,
   * at most 256, and no more than fit into the memory budget (or 512 MiB if there is none).
   */
  readonly chunkSize?: number;
  /** Ends the stream at once and throws the signal's reason. Default: no signal. */
  readonly signal?: AbortSignal;
  /**
   * Whether a chunk's arrays may be detached (left without elements) when the next chunk is asked for. Its memory is then used
   * again at once, and gradients come several times as fast. Default false.
   */
  readonly reuse?: boolean;
  /** Called after each chunk. Default: no call. */
  readonly onProgress?: (progress: Progress) => void;
}

/** Results of the samples `from` (included) to `to` (not included) of a dataset. */
export interface Chunk<R> {
  /** The number of its first sample. */
  readonly from: number;
  /** One more than the number of its last sample. */
  readonly to: number;
  /** What `run` would give for these samples alone: sums are of theirs, means over them. */
  readonly results: R;
}

/** What a stream needs from its program. */
export interface Streamed extends Omit<SourceOptions, "signal"> {
  readonly size: number;
  /** @param from the number of the first sample */
  readonly run: (prepared: Prepared, from: number) => Promise<Computed>;
  /** The number of chunks that are computed at the same time. Default 1. */
  readonly lanes?: number;
}

interface ComputedChunk extends Computed {
  readonly from: number;
  readonly to: number;
  /** The number of samples in the whole data set, if it is known. */
  readonly total?: number;
}

/** A chunk that is being computed. */
interface Begun {
  readonly from: number;
  readonly to: number;
  readonly found: Promise<Computed>;
}

/**
 * One chunk after another, in order. The next is computed when it is asked for, or as soon as a lane is free. An empty data set
 * has one chunk without samples, if it is known to be empty beforehand.
 */
export async function* computed(
  dataset: Dataset,
  { run, size, lanes = 1, ...source }: Streamed,
  { signal, onProgress, reuse = false }: StreamOptions,
): AsyncGenerator<ComputedChunk, void, undefined> {
  signal?.throwIfAborted();
  const opened = await openDataset(dataset, { ...source, signal });
  const discarded = reuse ? new Discarded() : undefined;
  const total = opened.total === undefined ? {} : { total: opened.total };
  try {
    for await (const { from, to, found: finding } of begun(opened.pieces(size), run, lanes, signal)) {
      const found = await unlessAborted(finding, signal);
      onProgress?.({ samples: to, ...total });
      signal?.throwIfAborted();
      yield { from, to, ...found, ...total };
      discarded?.add(Object.values(found.returned));
      signal?.throwIfAborted();
    }
  } finally {
    await opened.close();
  }
}

/** The chunks in order. With several lanes, all of them compute and one chunk waits while the first is awaited. */
async function* begun(
  pieces: AsyncGenerator<Prepared, void, undefined>,
  run: Streamed["run"],
  lanes: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Begun, void, undefined> {
  const most = lanes === 1 ? 1 : lanes + 1;
  const waiting: Begun[] = [];
  let from = 0;
  try {
    for await (const prepared of pieces) {
      signal?.throwIfAborted();
      const found = run(prepared, from);
      // Its error is thrown when its turn comes; if another is thrown before, nobody asks for it.
      found.catch(() => undefined);
      const to = from + prepared.samples;
      waiting.push({ from, to, found });
      from = to;
      if (waiting.length >= most) yield nth(waiting.splice(0, 1), 0);
    }
  } catch (error) {
    if (!signal?.aborted) yield* waiting;
    throw error;
  }
  yield* waiting;
}

/**
 * The results of all chunks as those of one batch; undefined if there are no chunks.
 * @param check called if there is more than one chunk
 */
export async function joinedResults(
  chunks: AsyncIterable<ComputedChunk>,
  outputs: readonly Output[],
  check: () => void,
): Promise<Computed | undefined> {
  let joined: Joined | undefined;
  for await (const { total, returned, samples, counted } of chunks) {
    if (joined) check();
    joined ??= new Joined(outputs, total);
    joined.add(returned, samples, counted);
  }
  return joined?.finish();
}
