/** Reads an index from its first sample to its last, in blocks: the next one is read from the disk while one is multiplied. */
import type { Tensor } from "../../tensor/tensor.js";
import type { Manifest } from "./manifest.js";
import { type Beside, broken, ShardFile } from "./shards.js";

/** Consecutive samples of an index. The features are overwritten when the next block but one is read. */
export interface Block extends Beside {
  /** The number of the first sample. */
  readonly from: number;
  /** As they are stored, each model's part of a row over its scale: `[n, models, dims]`. */
  readonly features: Tensor<"float16" | "float32">;
  /** Where they were read, for messages. */
  readonly path: string;
}

/** Numbers of a block: as floats they stay in the processor's cache while they are multiplied. */
const blockNumbers = 2 ** 19;

/**
 * @param samples that must be there
 * @param numbers of a block, at most, but for a single sample's
 * @throws PergradError FILE_UNREADABLE
 */
export async function* blocksOf(
  folder: string,
  manifest: Manifest,
  samples: number,
  numbers = blockNumbers,
): AsyncGenerator<Block, void> {
  const width = manifest.models.length * manifest.dims;
  const most = Math.max(1, Math.floor(numbers / width));
  const buffers = [0, 1].map(() => new ArrayBuffer(Math.min(most, manifest.shardSize) * width * bytesOf(manifest)));
  let next = 0;
  for (let number = 0; number * manifest.shardSize < samples; number++) {
    const file = await ShardFile.open(folder, number, manifest);
    try {
      requireSamples(file, samples, manifest);
      const beside = await file.beside();
      const read = (from: number) => {
        const count = Math.min(most, file.samples - from);
        const buffer = buffers[next++ % 2] ?? new ArrayBuffer(0);
        return partOf(file, beside, from, count, buffer, manifest);
      };
      let reading: Promise<Block> | undefined = read(0);
      try {
        for (let from = 0; reading; ) {
          const block: Block = await reading;
          from += block.samples;
          reading = from < file.samples ? read(from) : undefined;
          yield block;
        }
      } finally {
        // Nothing is read of a file that is closed.
        await reading?.catch(() => undefined);
      }
    } finally {
      await file.close();
    }
  }
}

function requireSamples(file: ShardFile, samples: number, { shardSize }: Manifest): void {
  const wanted = Math.min(shardSize, samples - file.from);
  if (file.samples !== wanted)
    throw broken(file.path, `it holds ${file.samples} samples, and the index has ${wanted} there`);
}

async function partOf(
  file: ShardFile,
  { scales, norms, weights }: Beside,
  from: number,
  samples: number,
  buffer: ArrayBuffer,
  manifest: Manifest,
): Promise<Block> {
  const { models, dims, storage } = manifest;
  const count = samples * models.length * dims;
  await file.features(from, new Uint8Array(buffer, 0, count * bytesOf(manifest)));
  const shape = [samples, models.length, dims];
  const part = (all: Float32Array) => all.subarray(from * models.length, (from + samples) * models.length);
  return {
    from: file.from + from,
    samples,
    scales: part(scales),
    norms: part(norms),
    weights: part(weights),
    features:
      storage === "float16"
        ? { dtype: "float16", dims: shape, data: new Uint16Array(buffer, 0, count) }
        : { dtype: "float32", dims: shape, data: new Float32Array(buffer, 0, count) },
    path: file.path,
  };
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
