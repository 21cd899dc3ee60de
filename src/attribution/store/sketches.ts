/** The sketches of an index: for each shard a file with its rows in 8 bits, which exists whole or not at all. */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { openSafetensors, SafetensorsFile } from "../../io/safetensors.js";
import { nth, present } from "../../present.js";
import type { Tensor } from "../../tensor/tensor.js";
import { blocksIn, numbersOf, readAhead } from "./blocks.js";
import type { Manifest } from "./manifest.js";
import type { OpenShards } from "./open-shards.js";
import { broken, type RowScalars, ShardFile, type ShardSource } from "./shards.js";
import { isSketched, type Sketch, type SketchBounds, sketchOf } from "./sketch.js";

const nameOf = (number: number) => `sketch-${String(number).padStart(8, "0")}.safetensors`;

/** Whether each of the shards has a sketch. */
export async function areSketched(folder: string, shards: number): Promise<boolean> {
  const names = new Set(await readdir(folder).catch(() => []));
  for (let number = 0; number < shards; number++) if (!names.has(nameOf(number))) return false;
  return true;
}

/**
 * Writes the sketch of a shard that has none, from the shard's file.
 * @throws PergradError FILE_UNREADABLE, FILE_UNWRITABLE
 */
export async function addSketch(folder: string, number: number, manifest: Manifest): Promise<void> {
  if (!isSketched(manifest) || (await stat(join(folder, nameOf(number))).catch(() => null))) return;
  const file = await ShardFile.open(folder, number, manifest);
  try {
    await writeSketch(folder, number, manifest, partsOf(file, manifest), file);
  } finally {
    await file.close();
  }
}

async function* partsOf(file: ShardFile, manifest: Manifest): AsyncGenerator<{ readonly sketch: Sketch }> {
  const scalars = await file.scalars();
  for await (const { features } of blocksIn(file, scalars, manifest))
    yield { sketch: sketchOf(numbersOf(features.data), manifest.dims) };
}

/**
 * Writes the sketch of a shard, replacing any.
 * @param parts one after another; together they have as many samples as the source says
 * @throws PergradError FILE_UNWRITABLE
 */
export async function writeSketch(
  folder: string,
  number: number,
  { models, dims, shardSize }: Manifest,
  parts: AsyncIterable<{ readonly sketch: Sketch | null }> | Iterable<{ readonly sketch: Sketch | null }>,
  { digest, samples }: Pick<ShardSource, "digest" | "samples">,
): Promise<void> {
  if (!isSketched({ dims })) return;
  const each = { dtype: "float32", dims: [samples, models.length] } as const;
  const layout = {
    codes: { dtype: "uint8", dims: [samples, models.length * dims] } as const,
    steps: each,
    errors: each,
    sizes: each,
  };
  const path = join(folder, nameOf(number));
  const writer = await openSafetensors(path, layout, { from: String(number * shardSize), digest });
  try {
    let from = 0;
    for await (const { sketch } of parts) {
      const { codes, steps, errors, sizes } = present(sketch);
      await writer.write("codes", from * dims, codes);
      await writer.write("steps", from, steps);
      await writer.write("errors", from, errors);
      await writer.write("sizes", from, sizes);
      from += steps.length;
    }
    await writer.commit();
  } finally {
    await writer.abort();
  }
}

/** Codes of consecutive samples. They are overwritten when the block after the next one is read. */
export interface SketchBlock extends RowScalars, SketchBounds {
  /** The number of the first sample. */
  readonly from: number;
  /** `[n, models, dims]` */
  readonly codes: Tensor<"uint8">;
}

/** The bytes of a block: few enough to stay in the processor's cache while they are multiplied. */
const blockBytes = 2 ** 20;

/**
 * @param samples the number of samples that there must be
 * @throws PergradError FILE_UNREADABLE
 */
export async function* sketchBlocksOf(
  folder: string,
  manifest: Manifest,
  samples: number,
  shards: OpenShards,
): AsyncGenerator<SketchBlock, void> {
  const { models, dims, shardSize } = manifest;
  const width = models.length * dims;
  const most = Math.min(shardSize, Math.max(1, Math.floor(blockBytes / width)));
  const buffers = [0, 1].map(() => new Uint8Array(most * width));
  for (let number = 0; number * shardSize < samples; number++) {
    const { file: shard, scalars } = await shards.at(number);
    const sketch = await SketchFile.of(folder, number, shard, manifest);
    try {
      const { scales, norms, weights, steps, errors, sizes } = { ...scalars, ...(await sketch.bounds()) };
      yield* readAhead(shard.samples, most, async (from, count, k) => {
        const data = nth(buffers, k % 2).subarray(0, count * width);
        await sketch.codes(from, data);
        const part = (each: Float32Array) => each.subarray(from * models.length, (from + count) * models.length);
        return {
          from: shard.from + from,
          samples: count,
          scales: part(scales),
          norms: part(norms),
          weights: part(weights),
          steps: part(steps),
          errors: part(errors),
          sizes: part(sizes),
          codes: { dtype: "uint8", dims: [count, models.length, dims], data },
        };
      });
    } finally {
      await sketch.close();
    }
  }
}

/** A sketch that is read in parts. */
class SketchFile {
  private constructor(
    readonly path: string,
    private readonly file: SafetensorsFile,
  ) {}

  /** Throws FILE_UNREADABLE if it does not belong to that shard. */
  static async of(folder: string, number: number, shard: ShardFile, manifest: Manifest): Promise<SketchFile> {
    const path = join(folder, nameOf(number));
    const file = await SafetensorsFile.open(path);
    try {
      requireLayout(path, file, shard.samples, manifest);
      const { from, digest } = file.metadata;
      if (from !== String(shard.from) || digest !== shard.digest) throw broken(path, "it is of other samples");
      return new SketchFile(path, file);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Everything besides the codes. Throws FILE_UNREADABLE. */
  async bounds(): Promise<SketchBounds> {
    const part = async (name: string) => notNegative(this.path, name, (await this.file.read(name)).data);
    return { steps: await part("steps"), errors: await part("errors"), sizes: await part("sizes") };
  }

  /** Codes from sample `from` of the shard on, as many as `into` holds. Throws FILE_UNREADABLE. */
  codes(from: number, into: Uint8Array): Promise<void> {
    return this.file.readStored("codes", from, into);
  }

  close(): Promise<void> {
    return this.file.close();
  }
}

function requireLayout(path: string, file: SafetensorsFile, samples: number, { models, dims }: Manifest): void {
  const each = [samples, models.length];
  const wanted = { codes: [samples, models.length * dims], steps: each, errors: each, sizes: each };
  for (const [name, shape] of Object.entries(wanted)) {
    const type = name === "codes" ? "uint8" : "float32";
    const found = file.layout.get(name);
    if (JSON.stringify(found?.dims) !== JSON.stringify(shape) || file.storedAs(name) !== type)
      throw broken(path, `its "${name}" are not what the manifest says`);
  }
}

/** Rows with unknown errors have infinite bounds. */
function notNegative(path: string, name: string, data: ArrayLike<unknown>): Float32Array {
  if (!(data instanceof Float32Array)) throw broken(path, `its "${name}" are no floats`);
  if (!data.every((x) => x >= 0)) throw broken(path, `its "${name}" are negative or NaN`);
  return data;
}
