/**
 * Reads an index from its first sample to its last, in blocks: one block is multiplied while the next is read from the
 * disk.
 */
import { nth } from "../../present.js";
import { halfBits, toFloat32 } from "../../tensor/float16.js";
import type { Tensor } from "../../tensor/tensor.js";
import type { Manifest } from "./manifest.js";
import { broken, type RowScalars, ShardFile } from "./shards.js";

/** Consecutive samples of an index. The features are overwritten when the block after the next one is read. */
export interface Block extends RowScalars {
  /** The number of the first sample. */
  readonly from: number;
  /** As stored: each model's part of a row divided by its scale, `[n, models, dims]`. */
  readonly features: Tensor<"float16" | "float32">;
  /** The file they were read from, for messages. */
  readonly path: string;
}

/** The most numbers in a block: as floats they stay in the processor's cache while they are multiplied. */
const blockNumbers = 2 ** 19;

/**
 * @param samples the number of samples that there must be
 * @param numbers the most numbers in a block, unless a single sample has more
 * @throws PergradError FILE_UNREADABLE
 */
export async function* blocksOf(
  folder: string,
  manifest: Manifest,
  samples: number,
  numbers = blockNumbers,
): AsyncGenerator<Block, void> {
  for (let number = 0; number * manifest.shardSize < samples; number++) {
    const file = await ShardFile.open(folder, number, manifest);
    try {
      requireSamples(file, samples, manifest);
      yield* blocksIn(file, await file.scalars(), manifest, numbers);
    } finally {
      await file.close();
    }
  }
}

/** The blocks of a shard. Throws FILE_UNREADABLE. */
export function blocksIn(
  file: ShardFile,
  scalars: RowScalars,
  manifest: Manifest,
  numbers = blockNumbers,
): AsyncGenerator<Block, void> {
  const most = samplesOf(manifest, numbers);
  const buffers = buffersOf(Math.min(most, file.samples) * rowBytes(manifest));
  return readAhead(file.samples, most, (from, count, k) =>
    partOf(file, scalars, from, count, nth(buffers, k % 2), manifest),
  );
}

/**
 * Parts of `size` samples; each is read while the one before is processed.
 * @param read reads some samples; it is called for two parts at once, the k-th and the next
 */
export async function* readAhead<T>(
  samples: number,
  most: number,
  read: (from: number, count: number, k: number) => Promise<T>,
): AsyncGenerator<T, void> {
  const start = (k: number) => {
    const from = k * most;
    return from < samples ? read(from, Math.min(most, samples - from), k) : undefined;
  };
  let reading = start(0);
  try {
    for (let k = 1; reading; k++) {
      const part: T = await reading;
      reading = start(k);
      yield part;
    }
  } finally {
    // Waits until nothing is being read, so that the file can be closed.
    await reading?.catch(() => undefined);
  }
}

/** The number of samples in a block; the last block of a shard may have fewer. */
export function samplesOf({ models, dims }: Manifest, numbers = blockNumbers): number {
  return Math.max(1, Math.floor(numbers / (models.length * dims)));
}

export function rowBytes(manifest: Manifest): number {
  return manifest.models.length * manifest.dims * bytesOf(manifest);
}

const buffersOf = (bytes: number) => [0, 1].map(() => new ArrayBuffer(bytes));

/** Throws FILE_UNREADABLE. */
export function requireSamples(file: ShardFile, samples: number, { shardSize }: Manifest): void {
  const wanted = Math.min(shardSize, samples - file.from);
  if (file.samples !== wanted)
    throw broken(file.path, `it holds ${file.samples} samples, and the index has ${wanted} there`);
}

async function partOf(
  file: ShardFile,
  { scales, norms, weights }: RowScalars,
  from: number,
  samples: number,
  buffer: ArrayBuffer,
  manifest: Manifest,
): Promise<Block> {
  await file.features(from, new Uint8Array(buffer, 0, samples * rowBytes(manifest)));
  const width = manifest.models.length;
  const part = (all: Float32Array) => all.subarray(from * width, (from + samples) * width);
  return {
    from: file.from + from,
    samples,
    scales: part(scales),
    norms: part(norms),
    weights: part(weights),
    features: featuresIn(buffer, samples, manifest),
    path: file.path,
  };
}

/** Stored numbers as floats, exactly. */
export function numbersOf(data: Block["features"]["data"]): Float32Array {
  if (data instanceof Float32Array) return data;
  return toFloat32({ dtype: "float16", dims: [data.length], data: halfBits(data) }).data;
}

/** Features in memory. */
export function featuresIn(
  buffer: ArrayBuffer,
  samples: number,
  { models, dims, storage }: Manifest,
): Block["features"] {
  const shape = [samples, models.length, dims];
  const count = samples * models.length * dims;
  return storage === "float16"
    ? { dtype: "float16", dims: shape, data: new Uint16Array(buffer, 0, count) }
    : { dtype: "float32", dims: shape, data: new Float32Array(buffer, 0, count) };
}

const bytesOf = ({ storage }: Manifest) => (storage === "float16" ? 2 : 4);

/** The names of some samples, by their numbers. Throws FILE_UNREADABLE. */
export async function idsOf(
  folder: string,
  manifest: Manifest,
  samples: Iterable<number>,
): Promise<ReadonlyMap<number, string>> {
  const { shardSize } = manifest;
  const numbers = [...new Set(samples)];
  const found = new Map<number, string>();
  for (const shard of new Set(numbers.map((sample) => Math.floor(sample / shardSize)))) {
    const file = await ShardFile.open(folder, shard, manifest);
    try {
      const ids = (await file.ids()) ?? [];
      for (const sample of numbers)
        if (Math.floor(sample / shardSize) === shard) found.set(sample, ids[sample - file.from] ?? "");
    } finally {
      await file.close();
    }
  }
  return found;
}
