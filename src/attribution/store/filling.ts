/** Writes an index, shard by shard. */
import { join } from "node:path";
import { PergradError } from "../../errors.js";
import { writeFileSafely } from "../../io/atomic.js";
import type { Dataset } from "../../program/dataset.js";
import type { Checkpoint } from "../checkpoint.js";
import type { Features } from "./features.js";
import { digestOfFeeds, type Manifest } from "./manifest.js";
import { ShardFile, shardsIn, writeShard } from "./shards.js";

/** Written when all samples are there. */
export const done = "complete";

/** Writes the shards that are missing. Throws INVALID_ARGUMENT where those that are there are of other data. */
export async function filled(
  out: string,
  manifest: Manifest,
  checkpoint: Checkpoint,
  train: Dataset,
  features: Features,
  onProgress: ((samples: number) => void) | undefined,
): Promise<number> {
  const before = await shardsIn(out);
  let number = 0;
  let from = 0;
  for await (const { feeds, samples } of checkpoint.blocks(train, manifest.shardSize)) {
    if (samples === 0) continue;
    const source = { from, digest: digestOfFeeds(feeds) };
    if (number < before) await requireShard(out, number, manifest, source, samples);
    else await writeShard(out, number, manifest, await features.of(feeds), source);
    number++;
    from += samples;
    onProgress?.(from);
  }
  if (number < before)
    throw new PergradError(
      "INVALID_ARGUMENT",
      `The index in "${out}" holds ${before} shards, but the training samples make ${number}; give the same samples, or another folder.`,
    );
  await writeDone(out, from);
  return number;
}

async function requireShard(
  out: string,
  number: number,
  manifest: Manifest,
  source: { readonly from: number; readonly digest: string },
  samples: number,
): Promise<void> {
  const file = await ShardFile.open(out, number, manifest);
  await file.close();
  if (file.from === source.from && file.digest === source.digest && file.samples === samples) return;
  throw new PergradError(
    "INVALID_ARGUMENT",
    `Shard ${number} of the index in "${out}" was made of other training samples; give the same, or another folder.`,
  );
}

async function writeDone(out: string, samples: number): Promise<void> {
  await writeFileSafely(join(out, done), Buffer.from(`${samples}\n`));
}
