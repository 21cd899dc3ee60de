/**
 * The shards of an index: projected gradients of consecutive samples, each a safetensors file that exists whole or not
 * at all.
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { PergradError } from "../../errors.js";
import { openSafetensors, SafetensorsFile } from "../../io/safetensors.js";
import type { Tensor } from "../../tensor/tensor.js";
import type { Manifest } from "./manifest.js";
import type { Sketch } from "./sketch.js";

/** The numbers that are kept for some samples besides their features, one for each model. */
export interface RowScalars {
  /**
   * The largest number in each model's part of a row, `[n, models]`; rows are divided by it because half precision has
   * few exponents.
   */
  readonly scales: Float32Array;
  /** The norms of the gradients that were projected, `[n, models]`. */
  readonly norms: Float32Array;
  /** The factor of each sample's score, for each model, `[n, models]`. */
  readonly weights: Float32Array;
  readonly samples: number;
}

/** The stored numbers of some samples. */
export interface StoredRows extends RowScalars {
  /** `[n, models * dims]`, each model's part of a row divided by its scale; in half precision, the bits. */
  readonly features: Uint16Array | Float32Array;
  /** Null if rows are too long for one. */
  readonly sketch: Sketch | null;
}

/** What a shard was made from. */
export interface ShardSource {
  readonly digest: string;
  readonly samples: number;
  /** A name for each sample, if they have names. */
  readonly ids: readonly string[] | undefined;
}

const nameOf = (number: number) => `shard-${String(number).padStart(8, "0")}.safetensors`;

export const pathOf = (folder: string, number: number) => join(folder, nameOf(number));

/** The number of shards from the first one on without a gap. Removes leftovers of a process that was killed. */
export async function shardsIn(folder: string): Promise<number> {
  for (const name of await readdir(folder))
    if (/^\.(shard|sketch)-\d+\.safetensors\..*\.tmp$/.test(name)) await rm(join(folder, name), { force: true });
  return shardCount(folder);
}

/** The number of shards in a folder, from the first on without a gap. */
export async function shardCount(folder: string): Promise<number> {
  const names = new Set(await readdir(folder));
  let count = 0;
  while (names.has(nameOf(count))) count++;
  return count;
}

/** @param parts one after another; together they have as many samples as the source says */
export async function writeShard(
  folder: string,
  number: number,
  { models, dims, storage, shardSize }: Manifest,
  parts: Iterable<StoredRows>,
  { digest, samples, ids }: ShardSource,
): Promise<void> {
  const each = { dtype: "float32", dims: [samples, models.length] } as const;
  const names = ids && new TextEncoder().encode(JSON.stringify(ids));
  const layout = {
    features: { dtype: storage, dims: [samples, models.length * dims] },
    scales: each,
    norms: each,
    weights: each,
    ...(names ? { ids: { dtype: "uint8", dims: [names.length] } as const } : {}),
  };
  const source = { from: String(number * shardSize), digest };
  const writer = await openSafetensors(join(folder, nameOf(number)), layout, source);
  try {
    let from = 0;
    for (const { features, scales, norms, weights } of parts) {
      await writer.write("features", from * dims, features);
      await writer.write("scales", from, scales);
      await writer.write("norms", from, norms);
      await writer.write("weights", from, weights);
      from += scales.length;
    }
    if (names) await writer.write("ids", 0, names);
    await writer.commit();
  } finally {
    await writer.abort();
  }
}

/** A shard that is read in parts. */
export class ShardFile {
  private constructor(
    readonly path: string,
    private readonly file: SafetensorsFile,
    readonly samples: number,
    /** The number of its first sample. */
    readonly from: number,
    readonly digest: string,
  ) {}

  /** Throws FILE_UNREADABLE if it does not match the manifest. */
  static async open(folder: string, number: number, manifest: Manifest): Promise<ShardFile> {
    const path = pathOf(folder, number);
    const file = await SafetensorsFile.open(path);
    try {
      const samples = file.layout.get("features")?.dims[0] ?? -1;
      requireLayout(path, file, samples, manifest);
      const { from, digest } = file.metadata;
      if (!/^\d{1,15}$/.test(from ?? "") || digest === undefined)
        throw broken(path, "it does not say of which samples it is");
      if (Number(from) !== number * manifest.shardSize)
        throw broken(path, `it is of samples from ${from}, not ${number * manifest.shardSize}`);
      if (samples < 1 || samples > manifest.shardSize)
        throw broken(path, `it holds ${samples} samples, of 1 to ${manifest.shardSize}`);
      return new ShardFile(path, file, samples, Number(from), digest);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** The numbers besides the features. Throws FILE_UNREADABLE. */
  async scalars(): Promise<RowScalars> {
    const part = async (name: string) => floats(this.path, name, await this.file.read(name));
    const [scales, norms, weights] = [await part("scales"), await part("norms"), await part("weights")];
    return { scales, norms, weights, samples: this.samples };
  }

  /** Rows of stored features, from sample `from` of the shard on, as many as `into` holds. Throws FILE_UNREADABLE. */
  features(from: number, into: Uint8Array): Promise<void> {
    return this.file.readStored("features", from, into);
  }

  /** A name for each sample; null if they have none. Throws FILE_UNREADABLE. */
  async ids(): Promise<readonly string[] | null> {
    if (!this.file.layout.has("ids")) return null;
    const { data } = await this.file.read("ids");
    const names = parsed(this.path, Uint8Array.from<number | bigint>(data, Number));
    if (names.length !== this.samples)
      throw broken(this.path, `it has ${names.length} ids for ${this.samples} samples`);
    return names;
  }

  close(): Promise<void> {
    return this.file.close();
  }
}

function requireLayout(path: string, file: SafetensorsFile, samples: number, manifest: Manifest): void {
  const { models, dims, storage, ids } = manifest;
  const each = [samples, models.length];
  const wanted = { features: [samples, models.length * dims], scales: each, norms: each, weights: each };
  for (const [name, shape] of Object.entries(wanted)) {
    const found = file.layout.get(name);
    const type = name === "features" ? storage : "float32";
    if (JSON.stringify(found?.dims) !== JSON.stringify(shape) || file.storedAs(name) !== type)
      throw broken(path, `its "${name}" is not what the manifest says`);
  }
  const names = file.layout.get("ids");
  if ((names !== undefined) !== ids || (names && (names.dtype !== "uint8" || names.dims.length !== 1)))
    throw broken(path, 'its "ids" are not what the manifest says');
}

function parsed(path: string, bytes: Uint8Array): readonly string[] {
  try {
    const found: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    if (Array.isArray(found) && found.every((each) => typeof each === "string")) return found;
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
  }
  throw broken(path, 'its "ids" are no list of names');
}

function floats(path: string, name: string, { data }: Tensor): Float32Array {
  if (!(data instanceof Float32Array)) throw broken(path, `its "${name}" holds no floats`);
  if (!data.every(Number.isFinite)) throw broken(path, `its "${name}" holds NaN or infinity`);
  return data;
}

export function broken(path: string, problem: string): PergradError {
  return new PergradError(
    "FILE_UNREADABLE",
    `Cannot read the shard "${path}": ${problem}, so build the index again, or restore the file.`,
  );
}
