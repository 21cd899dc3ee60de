/** The shards of an index: projected gradients of consecutive samples, each a safetensors file that is there whole or not at all. */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { PergradError } from "../../errors.js";
import { openSafetensors, SafetensorsFile } from "../../io/safetensors.js";
import { roundedToHalves } from "../../tensor/float16.js";
import type { Tensor } from "../../tensor/tensor.js";
import type { Manifest } from "./manifest.js";

/** What is kept of some samples. */
export interface Shard {
  /** `[n, models * dims]`, each model's part of a row divided by its scale. */
  readonly features: Float32Array;
  /** The largest number of each model's part of a row, `[n, models]`: half precision has few exponents. */
  readonly scales: Float32Array;
  /** Norms of the gradients that were projected, `[n, models]`. */
  readonly norms: Float32Array;
  /** What each sample's score is multiplied with, for each model, `[n, models]`. */
  readonly weights: Float32Array;
  readonly samples: number;
}

/** Of what a shard was made. */
export interface ShardSource {
  readonly from: number;
  readonly digest: string;
}

const nameOf = (number: number) => `shard-${String(number).padStart(8, "0")}.safetensors`;

/** How many shards there are, the first ones without a gap. Leftovers of a process that was killed are removed. */
export async function shardsIn(folder: string): Promise<number> {
  const names = new Set(await readdir(folder));
  for (const name of names)
    if (/^\.shard-\d+\.safetensors\..*\.tmp$/.test(name)) await rm(join(folder, name), { force: true });
  let count = 0;
  while (names.has(nameOf(count))) count++;
  return count;
}

export async function writeShard(
  folder: string,
  number: number,
  { models, dims, storage }: Manifest,
  { features, scales, norms, weights, samples }: Shard,
  { from, digest }: ShardSource,
): Promise<void> {
  const each = { dtype: "float32", dims: [samples, models.length] } as const;
  const layout = {
    features: { dtype: storage, dims: [samples, models.length * dims] },
    scales: each,
    norms: each,
    weights: each,
  };
  const writer = await openSafetensors(join(folder, nameOf(number)), layout, { from: String(from), digest });
  try {
    await writer.write("features", 0, storage === "float16" ? roundedToHalves(features) : features);
    await writer.write("scales", 0, scales);
    await writer.write("norms", 0, norms);
    await writer.write("weights", 0, weights);
    await writer.commit();
  } finally {
    await writer.abort();
  }
}

/** A shard that is read in parts. */
export class ShardFile {
  private constructor(
    private readonly path: string,
    private readonly file: SafetensorsFile,
    readonly samples: number,
    readonly from: number,
    readonly digest: string,
  ) {}

  /** Throws FILE_UNREADABLE. */
  static async open(folder: string, number: number, { models, dims }: Manifest): Promise<ShardFile> {
    const path = join(folder, nameOf(number));
    const file = await SafetensorsFile.open(path);
    try {
      const samples = file.layout.get("features")?.dims[0] ?? -1;
      const each = [samples, models.length];
      for (const [name, wanted] of Object.entries({
        features: [samples, models.length * dims],
        scales: each,
        norms: each,
        weights: each,
      })) {
        const found = file.layout.get(name);
        const fits = found && JSON.stringify(found.dims) === JSON.stringify(wanted);
        if (!fits || (found.dtype !== "float32" && found.dtype !== "float16"))
          throw broken(path, `its "${name}" is not what the manifest says`);
      }
      const { from, digest } = file.metadata;
      if (!/^\d{1,15}$/.test(from ?? "") || digest === undefined)
        throw broken(path, "it does not say of which samples it is");
      return new ShardFile(path, file, samples, Number(from), digest);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Samples from one place to before another, counted within the shard. Throws FILE_UNREADABLE. */
  async read(from: number, to: number): Promise<Shard> {
    const part = async (name: string) => floats(this.path, name, await this.file.read(name, { axis: 0, from, to }));
    const [features, scales, norms, weights] = [
      await part("features"),
      await part("scales"),
      await part("norms"),
      await part("weights"),
    ];
    return { features, scales, norms, weights, samples: to - from };
  }

  close(): Promise<void> {
    return this.file.close();
  }
}

function floats(path: string, name: string, { data }: Tensor): Float32Array {
  if (!(data instanceof Float32Array)) throw broken(path, `its "${name}" holds no floats`);
  // The sum is finite where each is, but for sums that overflow, which none of a shard's are.
  let sum = 0;
  for (let k = 0; k < data.length; k++) sum += Math.abs(data[k] ?? 0);
  if (!Number.isFinite(sum)) throw broken(path, `its "${name}" holds NaN or infinity`);
  return data;
}

export function broken(path: string, problem: string): PergradError {
  return new PergradError(
    "FILE_UNREADABLE",
    `Cannot read the shard "${path}": ${problem}, so make the index anew, or restore the file.`,
  );
}
