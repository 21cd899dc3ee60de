/**
 * Scores of some samples of an index, equal to the last bit to those computed for all. The runtime adds up a row's
 * products in an order that may depend on the row's place in a block, and on the block's length. So each row is put at
 * the place it has in its own block, among rows of other blocks.
 */
import { present } from "../../present.js";
import { Table } from "../table.js";
import { type Block, featuresIn, rowBytes, samplesOf } from "./blocks.js";
import { allFinite, type IndexOnDisk, notFinite, type Scorer } from "./exact.js";
import type { Manifest } from "./manifest.js";
import type { OpenShards } from "./open-shards.js";
import { pathOf, type RowScalars } from "./shards.js";

/** The most samples at a time, and the most blocks, each of which holds one row per place. */
const most = 4096;
const mostBlocks = 32;

/** Rows that are read at once. */
const readsAtOnce = 64;

/**
 * Scores `[queries, samples]`, a few samples at a time.
 * @param samples their numbers, in ascending order
 * @throws PergradError FILE_UNREADABLE
 */
export async function* scoresOf(
  stored: IndexOnDisk,
  shards: OpenShards,
  scorer: Scorer,
  samples: Int32Array,
): AsyncGenerator<{ readonly from: number; readonly table: Table }, void> {
  for (let from = 0; from < samples.length; ) {
    const end = endOf(samples, from, stored.manifest);
    yield { from, table: await scored(stored, shards, scorer, samples.subarray(from, end)) };
    from = end;
  }
}

/** How far samples can go before too many have the same place in their blocks. */
function endOf(samples: Int32Array, from: number, manifest: Manifest): number {
  const size = samplesOf(manifest);
  const inPlace = new Map<number, number>();
  const end = Math.min(from + most, samples.length);
  for (let at = from; at < end; at++) {
    const slot = ((samples[at] ?? 0) % manifest.shardSize) % size;
    const count = (inPlace.get(slot) ?? 0) + 1;
    if (count > mostBlocks) return at;
    inPlace.set(slot, count);
  }
  return end;
}

async function scored(stored: IndexOnDisk, shards: OpenShards, scorer: Scorer, samples: Int32Array): Promise<Table> {
  const blocks = await gathered(stored.manifest, shards, samples);
  let table: Table | undefined;
  for (const { block, places } of blocks) {
    const found = await scorer.score(block);
    table ??= new Table(found.rows, samples.length);
    for (const [slot, place] of places)
      for (let m = 0; m < found.rows; m++) table.data[m * samples.length + place] = found.at(m, slot);
  }
  const all = present(table);
  if (allFinite(all)) return all;
  const at = all.data.findIndex((score) => !Number.isFinite(score)) % samples.length;
  throw notFinite(pathOf(stored.folder, Math.floor((samples[at] ?? 0) / stored.manifest.shardSize)));
}

/** A block with some rows; the others are zeros. */
class Gathered {
  readonly block: Omit<Block, "from" | "path">;
  /** For each row of the block, the index of its sample in the list. */
  readonly places = new Map<number, number>();
  readonly #bytes: Uint8Array;

  constructor(
    private readonly manifest: Manifest,
    samples: number,
  ) {
    const buffer = new ArrayBuffer(samples * rowBytes(manifest));
    this.#bytes = new Uint8Array(buffer);
    const each = () => new Float32Array(samples * manifest.models.length);
    this.block = {
      samples,
      scales: each(),
      norms: each(),
      weights: each(),
      features: featuresIn(buffer, samples, manifest),
    };
  }

  /** @returns where to read the row into */
  put(slot: number, place: number, row: number, { scales, norms, weights }: RowScalars): Uint8Array {
    const { block } = this;
    const models = this.manifest.models.length;
    const part = (all: Float32Array) => all.subarray(row * models, (row + 1) * models);
    block.scales.set(part(scales), slot * models);
    block.norms.set(part(norms), slot * models);
    block.weights.set(part(weights), slot * models);
    this.places.set(slot, place);
    const bytes = rowBytes(this.manifest);
    return this.#bytes.subarray(slot * bytes, (slot + 1) * bytes);
  }
}

/** The smallest number of blocks: as many as there are rows with the same place. */
async function gathered(manifest: Manifest, shards: OpenShards, samples: Int32Array): Promise<readonly Gathered[]> {
  const bySize = new Map<number, Gathered[]>();
  const blockFor = (size: number, slot: number): Gathered => {
    const blocks = bySize.get(size) ?? [];
    bySize.set(size, blocks);
    const free = blocks.find(({ places }) => !places.has(slot)) ?? new Gathered(manifest, size);
    if (free.places.size === 0) blocks.push(free);
    return free;
  };
  const size = samplesOf(manifest);
  for (const { shard, from, to } of byShard(samples, manifest)) {
    const { file, scalars } = await shards.at(shard);
    const reads: (() => Promise<void>)[] = [];
    for (let place = from; place < to; place++) {
      const row = (samples[place] ?? 0) - file.from;
      const slot = row % size;
      const into = blockFor(Math.min(size, file.samples - (row - slot)), slot).put(slot, place, row, scalars);
      reads.push(() => file.features(row, into));
    }
    for (let at = 0; at < reads.length; at += readsAtOnce)
      await Promise.all(reads.slice(at, at + readsAtOnce).map((read) => read()));
  }
  return [...bySize.values()].flat();
}

/** The samples, grouped by shard. */
function* byShard(samples: Int32Array, { shardSize }: Manifest) {
  const shardOf = (place: number) => Math.floor((samples[place] ?? 0) / shardSize);
  for (let from = 0, to = 0; from < samples.length; from = to) {
    const shard = shardOf(from);
    while (to < samples.length && shardOf(to) === shard) to++;
    yield { shard, from, to };
  }
}
