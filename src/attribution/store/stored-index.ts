/** An index on disk: projected gradients of all training samples, to multiply queries with. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { checkOptions, checkWhole, checkWord, invalidArgument, kindOf, type OptionNames } from "../../arguments.js";
import { PergradError } from "../../errors.js";
import { unwritable } from "../../io/failure.js";
import { openTensorFile } from "../../io/files.js";
import { version } from "../../io/package-file.js";
import { RunLock } from "../../io/run-lock.js";
import { idsName } from "../../io/table.js";
import { nth } from "../../present.js";
import type { Dataset } from "../../program/given-data.js";
import { defaultTarget } from "../../target/default.js";
import type { Tensor } from "../../tensor/tensor.js";
import { textsOf } from "../../tensor/texts.js";
import { projectedBy } from "../../wants/projection.js";
import { type Checkpoint, sampleOptions } from "../checkpoint.js";
import type { Method } from "../method.js";
import { asCheckpoints, asMethod, type Checkpoints, type ScoreOptions } from "../scores.js";
import { checkProjection, usualDims } from "../trak.js";
import { blocksOf, idsOf } from "./blocks.js";
import { type IndexOnDisk, type QueryRows, tablesOf } from "./exact.js";
import { type Features, featuresOf, looked, looksAtMargin, requireIndexed, type TakeFeatures } from "./features.js";
import { filled, samplesIn } from "./filling.js";
import {
  digestOf,
  digestOfGraphs,
  format,
  type Manifest,
  readManifest,
  requireSame,
  writeManifest,
} from "./manifest.js";
import { Squares } from "./multiplied.js";
import { Looks, Solver } from "./rows.js";
import { largestOf } from "./search.js";

/** Options of `attribution.openIndex`. */
export interface OpenIndexOptions extends ScoreOptions {
  /**
   * The number of dimensions that each sample's gradient is projected to, for each model. Default: the method's, else
   * 2048.
   */
  readonly dims?: number;
  /** The seed of the first model's projection; the others use the seeds that follow. Default: the method's, else 0. */
  readonly seed?: number;
  /** Half precision halves the files; each row has a scale of its own. Default "float16". */
  readonly storage?: "float16" | "float32";
  /** The number of samples in a shard: the most that a killed process loses. Default 4096. */
  readonly shardSize?: number;
}

/** Options of `attribution.index`. */
export interface IndexOptions extends OpenIndexOptions {
  /** The folder, which is created if it does not exist. */
  readonly out: string;
  /**
   * A name for each training sample, `[N]`, which answers then include. Default: the tensor "ids" of a file, else none.
   */
  readonly ids?: ArrayLike<string | number | bigint>;
  /** Called after each shard with the number of samples done. Default: no call. */
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
const indexOptions: OptionNames<IndexOptions> = { ...openOptions, out: true, ids: true, onProgress: true };

/** The training samples with the largest scores for each query. */
export interface TopScores {
  /** The numbers of training samples, from 0, the largest score first, `[Q, top]`; -1 if there are fewer samples. */
  readonly samples: Tensor<"int32">;
  /** Their scores, `[Q, top]`. */
  readonly scores: Tensor<"float64">;
  /** Their names, for each query as many as there are; absent if the index has no ids. */
  readonly ids?: readonly (readonly string[])[];
}

/** Options of reading from an index. */
export interface AskingOptions {
  /** Ends the work before the next block of the index, with the signal's reason as the error. Default: no signal. */
  readonly signal?: AbortSignal;
}

/** Options of an index's `query`. */
export interface QueryOptions extends AskingOptions {
  /** The number of training samples for each query. Default 10. */
  readonly top?: number;
}

const askingOptions: OptionNames<AskingOptions> = { signal: true };
const queryOptions: OptionNames<QueryOptions> = { ...askingOptions, top: true };

/** Scores of the training samples `from` (included) to `to` (not included). */
export interface ScoresPart {
  /** The number of the first training sample. */
  readonly from: number;
  /** One more than the number of the last. */
  readonly to: number;
  /** The scores for the queries, `[Q, to - from]`. */
  readonly scores: Tensor<"float64">;
}

/** The most numbers in a block that is multiplied with itself: sums over many samples are added up at a time. */
const squaredNumbers = 2 ** 23;

/** An index that can be queried. `release` frees the runtime's memory; the files stay. */
export class AttributionIndex {
  #features: Promise<Features> | undefined;
  #multiplied: Promise<readonly (Solver | null)[]> | undefined;

  private constructor(
    private readonly folder: string,
    private readonly manifest: Manifest,
    private readonly method: Method,
    private readonly checkpoints: readonly Checkpoint[],
    private readonly samples: number,
    private readonly threads: number | undefined,
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
    const { shardSize, storage, ids, by } = before;
    requireSame(folder, before, { ...manifest, shardSize, storage, ids, by });
    return new AttributionIndex(folder, before, method, checkpoints, await samplesIn(folder, before), options.threads);
  }

  /**
   * See `attribution.index`.
   * @throws PergradError as `attribution.index`.
   */
  static async build(model: Checkpoints, train: Dataset, options: IndexOptions): Promise<AttributionIndex> {
    checkOptions("attribution.index(model, train, options)", options, indexOptions);
    const { out, onProgress, ids: given, ...own } = options;
    if (typeof out !== "string" || out === "")
      throw invalidArgument(`out, the folder of attribution.index, must be a path, not ${kindOf(out)}.`);
    const ids = await namesOf(given, train);
    const { manifest: found, method, checkpoints } = described(model, "attribution.index", own);
    await mkdir(out, { recursive: true }).catch((error: unknown) => {
      throw unwritable(out, error);
    });
    const lock = await RunLock.take(join(out, "lock"));
    try {
      const before = await readManifest(out);
      // An index that was begun by an older version is continued in its own format.
      const { by, format } = before ?? found;
      const manifest = { ...found, ids: ids !== undefined, by, format };
      if (before) requireSame(out, before, manifest);
      else await writeManifest(out, manifest);
      const features = await featuresOf(checkpoints, { ...manifest, weighted: isWeighted(method, checkpoints) });
      try {
        const samples = await filled(out, manifest, nth(checkpoints, 0), train, features, { ids, onProgress });
        return new AttributionIndex(out, manifest, method, checkpoints, samples, options.threads);
      } finally {
        await features.release();
      }
    } finally {
      await lock.release();
    }
  }

  /**
   * The training samples that lower each query's loss most. Memory holds only these, besides a block of the index.
   * @param queries as `run` takes data
   * @throws PergradError INVALID_ARGUMENT: top is not a whole number; FILE_UNREADABLE: the index is damaged; and what
   *   `run` throws.
   */
  async query(queries: Dataset, options: QueryOptions = {}): Promise<TopScores> {
    checkOptions("query(queries, options)", options, queryOptions);
    const { top = 10, signal } = options;
    checkWhole("The number of top samples of query", top, 1);
    const asked = await this.#queryRows(queries, signal);
    const best = await largestOf(this.#stored, asked, top, signal);
    const dims = [asked.count, top];
    const found = {
      samples: { dtype: "int32" as const, dims, data: best.places },
      scores: { dtype: "float64" as const, dims, data: best.values },
    };
    return this.manifest.ids ? { ...found, ids: await this.#ids(best.places, asked.count, top) } : found;
  }

  /**
   * The scores of all training samples, a few samples at a time. Throws as `query`.
   * @param queries as `run` takes data
   */
  async *scores(queries: Dataset, options: AskingOptions = {}): AsyncGenerator<ScoresPart, void, undefined> {
    checkOptions("scores(queries, options)", options, askingOptions);
    const { signal } = options;
    const asked = await this.#queryRows(queries, signal);
    for await (const { from, table } of tablesOf(this.#stored, asked, signal))
      yield { from, to: from + table.columns, scores: table.tensor };
  }

  /** Frees the runtime's memory. */
  async release(): Promise<void> {
    await (await this.#features?.catch(() => undefined))?.release();
  }

  async #ids(places: Int32Array, queries: number, top: number): Promise<readonly (readonly string[])[]> {
    const names = await idsOf(
      this.folder,
      this.manifest,
      places.filter((place) => place >= 0),
    );
    return Array.from({ length: queries }, (_, m) =>
      Array.from(places.subarray(m * top, (m + 1) * top)).flatMap((place) => names.get(place) ?? []),
    );
  }

  get #stored(): IndexOnDisk {
    const { folder, manifest, samples, threads } = this;
    return { folder, manifest, samples, cosine: this.#cosine, threads };
  }

  get #cosine(): boolean {
    return this.method.name === "gradCos" || this.method.settings.cosine === true;
  }

  /** The queries' features, multiplied by the method's inverse if it has one. */
  async #queryRows(queries: Dataset, signal: AbortSignal | undefined): Promise<QueryRows> {
    signal?.throwIfAborted();
    const { dims, models } = this.manifest;
    this.#features ??= featuresOf(this.checkpoints, { ...this.manifest, weighted: false });
    const found = models.map((): { readonly row: Float64Array; readonly norm: number }[] => []);
    const take: TakeFeatures = (query, model, features, { norm }) => {
      nth(found, model)[query] = { row: Float64Array.from(features), norm };
    };
    await (await this.#features).of(queries, take, signal);
    this.#multiplied ??= this.#solvers();
    const solvers = await this.#multiplied;
    const factors = this.#factors();
    const count = nth(found, 0).length;
    const rows = found.map((own, k) => {
      const solver = solvers[k];
      const all = new Float32Array(count * dims);
      for (const [m, { row, norm }] of own.entries()) {
        const over = this.#cosine ? (norm > 0 ? 1 / norm : 0) : 1;
        const factor = nth(factors, k) * over * (solver?.factor ?? 1);
        const made = solver ? solver.solve(row) : row;
        for (let i = 0; i < dims; i++) all[m * dims + i] = factor * (made[i] ?? 0);
      }
      return all;
    });
    return { rows, count };
  }

  #factors(): readonly number[] {
    const { models } = this.manifest;
    const { learningRates } = this.method.settings;
    if (this.method.name === "tracIn")
      return Array.isArray(learningRates) ? learningRates.map(Number) : models.map(() => 1);
    return models.map(() => 1 / models.length);
  }

  /** For trak and loGra, the inverse of each model's features. */
  async #solvers(): Promise<readonly (Solver | null)[]> {
    const { dims, models } = this.manifest;
    const { name } = this.method;
    if (name !== "trak" && name !== "loGra") return models.map(() => null);
    const squares = await Squares.of(this.manifest, this.threads);
    const looks = new Looks(dims, this.samples);
    try {
      for await (const block of blocksOf(this.folder, this.manifest, this.samples, squaredNumbers)) {
        await squares.add(block);
        looks.add(block);
      }
    } finally {
      await squares.release();
    }
    const given = this.method.settings.damping;
    const factor = name === "loGra" ? this.samples : 1;
    const damping =
      typeof given === "number"
        ? given * factor
        : await looks.damping(isWeighted(this.method, this.checkpoints), this.threads);
    return squares.sums.map((gram) => Solver.of(gram, dims, damping, factor));
  }
}

/** Throws INVALID_ARGUMENT. */
async function namesOf(given: IndexOptions["ids"], train: Dataset): Promise<readonly string[] | undefined> {
  if (given === undefined) return typeof train === "string" ? idsInFile(train) : undefined;
  const names = Array.from(given, String);
  const known = (id: unknown) => ["string", "number", "bigint"].includes(typeof id);
  if (typeof given === "string" || !Array.from<unknown>(given).every(known))
    throw invalidArgument(
      "The ids of attribution.index must be an array of texts or numbers, one for each training sample.",
    );
  return names;
}

async function idsInFile(path: string): Promise<readonly string[] | undefined> {
  const file = await openTensorFile(path);
  try {
    return file.layout.has(idsName) ? textsOf(await file.read(idsName)) : undefined;
  } finally {
    await file.close();
  }
}

function isWeighted(method: Method, checkpoints: readonly Checkpoint[]): boolean {
  return method.name === "trak" && checkpoints.some(({ objective }) => objective.loss.name === "margin");
}

/** What an index is made from. Throws INVALID_ARGUMENT, and what `perSample` throws. */
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
  checkWord("The storage of an index", storage, ["float16", "float32"]);
  checkWhole("The shardSize of an index", shardSize, 1);
  checkProjection("an index", { dims, seed });
  const checkpoints = looked(given, method);
  const kept = Math.min(dims ?? numberIn(method, "dims") ?? usualDims, first.space.size);
  const manifest: Manifest = {
    format,
    models: given.map((each) => digestOf(each.model)),
    loss: looksAtMargin(method, first.objective.loss) ? `${loss}, its margin` : loss,
    scalars: digestOfGraphs(
      first.model,
      checkpoints.map(({ objective }) => objective.losses),
    ),
    parameters: first.parameters,
    method: method.name,
    settings: { ...method.settings },
    dims: kept,
    seed: seed ?? numberIn(method, "seed") ?? 0,
    by: projectedBy(kept, first.space.size),
    storage,
    shardSize,
    ids: false,
    versions: { pergrad: version(), runtime: defaultTarget.version },
  };
  return { manifest, method, checkpoints };
}

function numberIn({ settings }: Method, name: string): number | undefined {
  const value = settings[name];
  return typeof value === "number" ? value : undefined;
}
