/** Writes an index, shard by shard. */
import { createHash, type Hash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { PergradError } from "../../errors.js";
import type { Expected } from "../../graph/model.js";
import { writeFileSafely } from "../../io/atomic.js";
import { present } from "../../present.js";
import type { Dataset } from "../../program/given-data.js";
import { samplesBetween } from "../../program/split.js";
import { takeSamples } from "../../tensor/take-samples.js";
import type { Tensor } from "../../tensor/tensor.js";
import type { Checkpoint } from "../checkpoint.js";
import type { Features } from "./features.js";
import type { Manifest } from "./manifest.js";
import { ShardRows } from "./shard-rows.js";
import { broken, ShardFile, type ShardSource, shardCount, shardsIn, writeShard } from "./shards.js";
import { addSketch, writeSketch } from "./sketches.js";

/** This file is written once all samples are there. */
const done = "complete";

export interface FillingOptions {
  /** A name of each sample. */
  readonly ids: readonly string[] | undefined;
  readonly onProgress: ((samples: number) => void) | undefined;
}

/**
 * Writes the shards that are missing, and returns the number of samples. Throws INVALID_ARGUMENT if the existing shards
 * are of other data.
 */
export async function filled(
  out: string,
  manifest: Manifest,
  checkpoint: Checkpoint,
  train: Dataset,
  features: Features,
  { ids, onProgress }: FillingOptions,
): Promise<number> {
  const before = await shardsIn(out);
  const rows = new ShardRows(manifest);
  let number = 0;
  let samples = 0;
  for await (const shard of shardsOf(checkpoint, train, manifest.shardSize)) {
    const from = samples;
    rows.clear();
    const digest = new FeedsDigest(checkpoint.objective.expected);
    for await (const piece of shard) {
      digest.add(piece.feeds);
      const first = samples - from;
      if (number >= before) await features.of(piece.feeds, (n, ...of) => rows.put(first + n, ...of));
      samples += piece.samples;
    }
    if (samples === from) break;
    const names = ids && namesOf(ids, from, samples);
    const source = { digest: digest.hex(names), samples: samples - from, ids: names };
    if (number < before) {
      await requireShard(out, number, manifest, source);
      await addSketch(out, number, manifest);
    } else {
      await writeShard(out, number, manifest, rows.parts(), source);
      await writeSketch(out, number, manifest, rows.parts(), source);
    }
    number++;
    onProgress?.(samples);
  }
  if (number < before)
    throw new PergradError(
      "INVALID_ARGUMENT",
      `The index in "${out}" holds ${before} shards, but the training samples make ${number}; give the same samples, or another folder.`,
    );
  if (ids && ids.length !== samples) throw wrongIds(ids.length, `there are ${samples} training samples`);
  await writeFileSafely(join(out, done), Buffer.from(`${samples}\n`));
  return samples;
}

/** The number of samples in a complete index. Throws FILE_UNREADABLE. */
export async function samplesIn(folder: string, { shardSize }: Manifest): Promise<number> {
  const text = await readFile(join(folder, done), "utf8").catch(() => null);
  if (text === null) throw incomplete(folder);
  const samples = /^\d{1,15}\n$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(samples)) throw broken(join(folder, done), "it is no number of samples");
  // A call that adds samples to an index may have ended before it was done.
  if ((await shardCount(folder)) > Math.ceil(samples / shardSize)) throw incomplete(folder);
  return samples;
}

function incomplete(folder: string): PergradError {
  return new PergradError(
    "FILE_UNREADABLE",
    `The index in "${folder}" is not complete; repeat the call of attribution.index to complete it.`,
  );
}

interface ShardPiece {
  readonly feeds: Readonly<Record<string, Tensor>>;
  readonly samples: number;
}

/** The samples by shards, as pieces. All shards but the last are full, whatever the sizes of the incoming batches. */
async function* shardsOf(
  checkpoint: Checkpoint,
  train: Dataset,
  size: number,
): AsyncGenerator<AsyncIterable<ShardPiece>> {
  const source = checkpoint.blocks(train, size);
  const { expected } = checkpoint.objective;
  let left: ShardPiece | undefined;
  let ended = false;
  async function* shard(): AsyncGenerator<ShardPiece> {
    for (let room = size; room > 0; ) {
      if (!left) {
        const next = await source.next();
        ended = next.done ?? false;
        if (next.done) return;
        left = next.value;
      }
      const { samples } = left;
      if (samples > 0) yield samples > room ? samplesBetween(left, expected, 0, room) : left;
      left = samples > room ? samplesBetween(left, expected, room, samples) : undefined;
      room -= Math.min(room, samples);
    }
  }
  try {
    while (!ended) yield shard();
  } finally {
    await source.return(undefined);
  }
}

/** A digest of what is fed: each input's numbers, one sample after another. */
class FeedsDigest {
  readonly #hashes = new Map<string, Hash>();

  constructor(private readonly expected: ReadonlyMap<string, Expected>) {}

  add(feeds: Readonly<Record<string, Tensor>>): void {
    for (const [name, tensor] of Object.entries(feeds)) {
      const { dtype, dims } = tensor;
      const axis = this.expected.get(name)?.sampleAxis ?? null;
      const begun = this.#hashes.get(name);
      // What all samples share is the same in each piece.
      if (begun && axis === null) continue;
      const own = dims.filter((_, k) => k !== axis);
      const hash = begun ?? createHash("sha256").update(JSON.stringify([name, dtype, own]));
      for (const { data } of oneAfterAnother(tensor, axis))
        hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      this.#hashes.set(name, hash);
    }
  }

  hex(ids: readonly string[] | undefined): string {
    const all = createHash("sha256");
    for (const name of [...this.#hashes.keys()].sort()) all.update(present(this.#hashes.get(name)).digest());
    return all.update(JSON.stringify(ids ?? null)).digest("hex");
  }
}

/** A piece whose bytes are in the order of samples, so that they do not depend on how samples are split into pieces. */
function oneAfterAnother(tensor: Tensor, axis: number | null): readonly Tensor[] {
  if (axis === null || axis === 0) return [tensor];
  return Array.from({ length: tensor.dims[axis] ?? 0 }, (_, n) => takeSamples(tensor, axis, n, n + 1));
}

function namesOf(ids: readonly string[], from: number, to: number): readonly string[] {
  if (ids.length >= to) return ids.slice(from, to);
  throw wrongIds(ids.length, `there are at least ${to} training samples`);
}

function wrongIds(count: number, samples: string): PergradError {
  return new PergradError("INVALID_ARGUMENT", `There are ${count} ids, but ${samples}; give an id for each sample.`);
}

async function requireShard(out: string, number: number, manifest: Manifest, source: ShardSource): Promise<void> {
  const file = await ShardFile.open(out, number, manifest);
  await file.close();
  if (file.digest === source.digest && file.samples === source.samples) return;
  throw new PergradError(
    "INVALID_ARGUMENT",
    `Shard ${number} of the index in "${out}" was made from other training samples; give the same samples, or another folder.`,
  );
}
