/** An index on disk: projected gradients of all training samples, which queries are multiplied with. */
import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { checkOptions, invalidArgument, kindOf, type OptionNames } from "../../arguments.js";
import { PergradError } from "../../errors.js";
import { unwritable } from "../../io/failure.js";
import { RunLock } from "../../io/run-lock.js";
import { nth } from "../../present.js";
import type { Dataset } from "../../program/dataset.js";
import { Largest } from "../../tensor/largest.js";
import type { Tensor } from "../../tensor/tensor.js";
import { type Checkpoint, sampleOptions } from "../checkpoint.js";
import { addOuter } from "../damping.js";
import type { Method } from "../method.js";
import { RowProducts } from "../products.js";
import { asCheckpoints, asMethod, type Checkpoints, type ScoreOptions } from "../scores.js";
import { Table } from "../table.js";
import { type Features, featuresOf, looked, looksAtMargin, requireIndexed } from "./features.js";
import { done, filled } from "./filling.js";
import { digestOf, format, type Manifest, readManifest, requireSame, writeManifest } from "./manifest.js";
import { dampingOf, meanOf, mostLooked, Solver, scale } from "./rows.js";
import { broken, type Shard, ShardFile, shardsIn } from "./shards.js";

/** Options of `attribution.openIndex`. */
export interface OpenIndexOptions extends ScoreOptions {
  /** Numbers that each sample's gradient is projected to, for each model. Default: the method's, else 2048. */
  readonly dims?: number;
  /** Of the projection of the first model; the others' are the next ones. Default: the method's, else 0. */
  readonly seed?: number;
  /** Half precision halves the files; each row has a scale of its own. Default "float16". */
  readonly storage?: "float16" | "float32";
  /** Samples of a shard, at most; what a killed process loses. Default 4096. */
  readonly shardSize?: number;
}

/** Options of `attribution.index`. */
export interface IndexOptions extends OpenIndexOptions {
  /** The folder, which is made where it does not exist. */
  readonly out: string;
  /** Called after each shard with the number of samples that are done. Default: no call. */
  readonly onProgress?: (samples: number) => void;
}

const openOptions: OptionNames<OpenIndexOptions> = {
  ...sampleOptions,
  method: true,
  dims: true,
  seed: true,
  storage: true,
  shardSize: true,
};
const indexOptions: OptionNames<IndexOptions> = { ...openOptions, out: true, onProgress: true };

/** The training samples with the largest scores for each query. */
export interface TopScores {
  /** Numbers of training samples, counted from 0, the largest score first, `[Q, top]`; -1 where there are fewer samples. */
  readonly samples: Tensor<"int32">;
  /** Their scores, `[Q, top]`. */
  readonly scores: Tensor<"float64">;
}

/** Scores of the training samples `from` (included) to `to` (not included). */
export interface ScoresPart {
  /** The number of the first training sample. */
  readonly from: number;
  /** One more than the number of the last. */
  readonly to: number;
  /** Of the queries, `[Q, to - from]`. */
  readonly scores: Tensor<"float64">;
}

/** Numbers of features that are read at a time. */
const readAtOnce = 2 ** 23;

/** An index that can be asked. `release` frees the runtime's memory; the files stay. */
export class AttributionIndex {
  readonly #products = new RowProducts();
  #features: Promise<Features> | undefined;
  #multiplied: Promise<readonly (Solver | null)[]> | undefined;

  private constructor(
    private readonly folder: string,
    private readonly manifest: Manifest,
    private readonly method: Method,
    private readonly checkpoints: readonly Checkpoint[],
    private readonly shards: number,
  ) {}

  /**
   * See `attribution.openIndex`.
   * @throws PergradError as `attribution.openIndex`.
   */
  static async open(folder: string, model: Checkpoints, options: OpenIndexOptions): Promise<AttributionIndex> {
    checkOptions("attribution.openIndex(folder, model, options)", options, openOptions);
    const { manifest, method, checkpoints } = described(model, "attribution.openIndex", options);
    const before = await readManifest(folder);
    if (!before)
      throw new PergradError(
        "FILE_UNREADABLE",
        `"${folder}" holds no index (it has no manifest.json); make one with attribution.index.`,
      );
    const { shardSize, storage } = before;
    requireSame(folder, before, { ...manifest, shardSize, storage });
    if (!(await stat(join(folder, done)).catch(() => null)))
      throw new PergradError(
        "FILE_UNREADABLE",
        `The index in "${folder}" is not complete; go on with it by the same call of attribution.index.`,
      );
    return new AttributionIndex(folder, before, method, checkpoints, await shardsIn(folder));
  }

  /**
   * See `attribution.index`.
   * @throws PergradError as `attribution.index`.
   */
  static async build(model: Checkpoints, train: Dataset, options: IndexOptions): Promise<AttributionIndex> {
    checkOptions("attribution.index(model, train, options)", options, indexOptions);
    const { out, onProgress, ...own } = options;
    if (typeof out !== "string" || out === "")
      throw invalidArgument(`attribution.index writes to a folder, out, not ${kindOf(out)}; give its path.`);
    const { manifest, method, checkpoints } = described(model, "attribution.index", own);
    await mkdir(out, { recursive: true }).catch((error: unknown) => {
      throw unwritable(out, error);
    });
    const lock = await RunLock.take(join(out, "lock"));
    try {
      const before = await readManifest(out);
      if (before) requireSame(out, before, manifest);
      else await writeManifest(out, manifest);
      const features = await featuresOf(checkpoints, { ...manifest, weighted: isWeighted(method, checkpoints) });
      try {
        const shards = await filled(out, manifest, nth(checkpoints, 0), train, features, onProgress);
        return new AttributionIndex(out, manifest, method, checkpoints, shards);
      } finally {
        await features.release();
      }
    } finally {
      await lock.release();
    }
  }

  /**
   * The training samples that lower each query's loss most. Only these are held, beside a part of the index.
   * @param queries as `run` takes data
   * @throws PergradError INVALID_ARGUMENT: top is no whole number; FILE_UNREADABLE: the index is damaged; and what `run` throws.
   */
  async query(queries: Dataset, { top = 10 }: { readonly top?: number } = {}): Promise<TopScores> {
    if (!(Number.isSafeInteger(top) && top >= 1))
      throw invalidArgument(`query gives the top samples, a whole number from 1 up, not ${kindOf(top)}.`);
    let best: Largest | undefined;
    for await (const { from, table } of this.#tables(queries)) {
      best ??= new Largest(table.rows, top);
      for (let m = 0; m < table.rows; m++) best.take(m, from, table.row(m));
    }
    best ??= new Largest(0, top);
    const dims = [best.places.length / top, top];
    return {
      samples: { dtype: "int32", dims, data: best.places },
      scores: { dtype: "float64", dims, data: best.values },
    };
  }

  /**
   * The scores of all training samples, some of them after others. Throws as `query`.
   * @param queries as `run` takes data
   */
  async *scores(queries: Dataset): AsyncGenerator<ScoresPart, void, undefined> {
    for await (const { from, table } of this.#tables(queries))
      yield { from, to: from + table.columns, scores: table.tensor };
  }

  /** Frees the runtime's memory. */
  async release(): Promise<void> {
    await this.#products.release();
    await (await this.#features?.catch(() => undefined))?.release();
  }

  async *#tables(queries: Dataset): AsyncGenerator<{ readonly from: number; readonly table: Table }, void, undefined> {
    const { dims, models } = this.manifest;
    const asked = await this.#asked(queries);
    const width = models.length * dims;
    const count = asked.length / width;
    for await (const { from, part } of this.#parts()) {
      const found = await this.#products.of(part.features, asked, width);
      const table = new Table(count, part.samples);
      for (let n = 0; n < part.samples; n++) {
        const weight = meanOf(part.weights, n, models.length);
        for (let m = 0; m < count; m++) table.data[m * part.samples + n] = weight * (found[n * count + m] ?? 0);
      }
      yield { from, table };
    }
  }

  /** The samples, some at a time, each model's part of a row multiplied with its scale, and by what the method makes of it. */
  async *#parts(): AsyncGenerator<{ readonly from: number; readonly part: Shard }, void, undefined> {
    const { dims, models } = this.manifest;
    const most = Math.max(1, Math.floor(readAtOnce / (dims * models.length)));
    let expected = 0;
    for (let number = 0; number < this.shards; number++) {
      const file = await ShardFile.open(this.folder, number, this.manifest);
      try {
        if (file.from !== expected)
          throw broken(this.folder, `shard ${number} is of samples from ${file.from}, not ${expected}`);
        for (let from = 0; from < file.samples; from += most) {
          const part = await file.read(from, Math.min(file.samples, from + most));
          scale(part, dims, models.length, this.method.name === "gradCos" || this.method.settings.cosine === true);
          yield { from: expected + from, part };
        }
        expected += file.samples;
      } finally {
        await file.close();
      }
    }
  }

  /** The queries' features, multiplied by what the method multiplies them with: `[Q, models * dims]`. */
  async #asked(queries: Dataset): Promise<Float32Array> {
    const { dims, models } = this.manifest;
    this.#features ??= featuresOf(this.checkpoints, { ...this.manifest, weighted: false });
    const found = await (await this.#features).of(queries);
    const cosine = this.method.name === "gradCos" || this.method.settings.cosine === true;
    scale(found, dims, models.length, cosine);
    const factors = this.#factors();
    this.#multiplied ??= this.#solvers();
    const solvers = await this.#multiplied;
    for (let at = 0; at < found.features.length; at += dims) {
      const model = (at / dims) % models.length;
      const row = found.features.subarray(at, at + dims);
      const solver = solvers[model];
      const made = solver ? solver.solve(Float64Array.from(row)) : row;
      const factor = nth(factors, model) * (solver?.factor ?? 1);
      for (let k = 0; k < dims; k++) row[k] = factor * (made[k] ?? 0);
    }
    return found.features;
  }

  #factors(): readonly number[] {
    const { models } = this.manifest;
    const { learningRates } = this.method.settings;
    if (this.method.name === "tracIn")
      return Array.isArray(learningRates) ? learningRates.map(Number) : models.map(() => 1);
    return models.map(() => 1 / models.length);
  }

  /** Of trak and loGra, the inverse of each model's features. */
  async #solvers(): Promise<readonly (Solver | null)[]> {
    const { dims, models } = this.manifest;
    const { name } = this.method;
    if (name !== "trak" && name !== "loGra") return models.map(() => null);
    const grams = models.map(() => new Float64Array(dims * dims));
    const looks: Float64Array[][] = models.map(() => []);
    let samples = 0;
    for await (const { part } of this.#parts()) {
      for (let n = 0; n < part.samples; n++)
        for (const [k, gram] of grams.entries()) {
          const at = (n * models.length + k) * dims;
          const row = Float64Array.from(part.features.subarray(at, at + dims));
          addOuter(gram, row);
          // Enough to measure a damping on.
          if (samples + n < mostLooked) looks[k]?.push(row);
        }
      samples += part.samples;
    }
    const given = this.method.settings.damping;
    const found: Solver[] = [];
    let damping: number | undefined = typeof given === "number" ? given * (name === "loGra" ? samples : 1) : undefined;
    for (const [k, gram] of grams.entries()) {
      damping ??= await dampingOf(looks[k] ?? [], dims, samples);
      found.push(Solver.of(gram, dims, damping, name === "loGra" ? samples : 1));
    }
    return found;
  }
}

function isWeighted(method: Method, checkpoints: readonly Checkpoint[]): boolean {
  return method.name === "trak" && checkpoints.some(({ objective }) => objective.loss.name === "margin");
}

/** What an index is of. Throws INVALID_ARGUMENT, and what `perSample` throws. */
function described(model: Checkpoints, call: string, options: OpenIndexOptions) {
  const { dims, seed, storage = "float16", shardSize = 4096, method: asked, ...own } = options;
  const method = asMethod(asked);
  requireIndexed(method);
  const given = asCheckpoints(model, call, { ...own, method });
  const first = nth(given, 0);
  const loss = first.objective.loss.name;
  const { learningRates } = method.settings;
  if (Array.isArray(learningRates) && learningRates.length !== given.length)
    throw invalidArgument(
      `There are ${given.length} models, but ${learningRates.length} learning rates; give one for each.`,
    );
  if (storage !== "float16" && storage !== "float32")
    throw invalidArgument(
      `The storage of an index is "float16" or "float32", not ${kindOf(storage)}; give one of these.`,
    );
  if (!(Number.isSafeInteger(shardSize) && shardSize >= 1))
    throw invalidArgument(`The shardSize of an index is a whole number from 1 up, not ${kindOf(shardSize)}.`);
  const manifest: Manifest = {
    format,
    models: given.map((each) => digestOf(each.model)),
    loss: looksAtMargin(method, first.objective.loss) ? `${loss}, its margin` : loss,
    parameters: first.parameters,
    method: method.name,
    settings: { ...method.settings },
    dims: Math.min(dims ?? numberIn(method, "dims") ?? 2048, first.space.size),
    seed: seed ?? numberIn(method, "seed") ?? 0,
    storage,
    shardSize,
  };
  return { manifest, method, checkpoints: looked(given, method) };
}

function numberIn({ settings }: Method, name: string): number | undefined {
  const value = settings[name];
  return typeof value === "number" ? value : undefined;
}
