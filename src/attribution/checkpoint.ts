/** The gradients of a model's samples, at one value of its parameters. */

import type { OptionNames } from "../arguments.js";
import { type Objective, type ObjectiveOptions, objectiveOf } from "../compile/objective.js";
import type { Model } from "../graph/model.js";
import { grouped } from "../grouped.js";
import { prepare } from "../program/feeds.js";
import type { Batch, Dataset } from "../program/given-data.js";
import type { MemoryOptions } from "../program/microbatches.js";
import { objectiveOptions, type RunOptions, runningOf } from "../program/options.js";
import type { Program } from "../program/program.js";
import { samplesAt } from "../program/split.js";
import type { StreamOptions } from "../program/stream.js";
import { Curvature, type CurvatureKind } from "../solvers/curvature.js";
import { KroneckerCurvature } from "../solvers/kronecker.js";
import { Space } from "../solvers/vectors.js";
import type { Tensor } from "../tensor/tensor.js";
import { crossByParameter } from "../wants/cross.js";
import { type ByParameter, type Results, type Want, type Wants, want } from "../wants/want.js";
import { refusing, type Whose } from "./not-finite.js";
import { Table } from "./table.js";

/** Options of every function that computes scores of samples. */
export interface SampleOptions extends ObjectiveOptions, MemoryOptions {
  /** Threads that the runtime may use. Default: all cores. */
  readonly threads?: number;
  /**
   * Ends all work before the next batch, with the signal's reason as the error; an index on disk can be continued
   * afterwards. Default: no signal.
   */
  readonly signal?: AbortSignal;
}

/** Their names. */
export const sampleOptions: OptionNames<SampleOptions> = {
  ...objectiveOptions,
  threads: true,
  signal: true,
  memoryBudget: true,
  microbatchSize: true,
};

/** Gradients of consecutive samples, materialised. */
export interface GradientRows {
  readonly from: number;
  readonly to: number;
  /** `[to - from, P]`: the parameters one after another, in the objective's order, each in row-major order. */
  readonly rows: Float32Array;
}

/** The most numbers of materialised gradients at a time. */
const rowNumbers = 2 ** 23;
/** The number of samples whose factors are kept while all samples are multiplied with them. */
const othersAtOnce = 128;

/** The compiler, which is loaded when it is first used. */
const compiler = async () => (await import("../program/program.js")).Program;

type Crossing = Program<{ cross: Want<ByParameter> }>;

/** A model at one value of its parameters, with the programs that compute from its samples' gradients. */
export class Checkpoint {
  readonly space: Space;
  readonly #released: (() => Promise<void>)[] = [];

  private constructor(
    readonly model: Model,
    readonly objective: Objective,
    private readonly options: SampleOptions,
    private readonly queries: Dataset | undefined,
  ) {
    this.space = new Space(objective.parameters);
  }

  /**
   * Throws what `perSample` throws.
   * @param queries the data that errors call queries, if there is some beside the training samples
   */
  static of(model: Model, options: SampleOptions, queries?: Dataset): Checkpoint {
    return new Checkpoint(model, objectiveOf(model, options), options, queries);
  }

  /** The same model with another loss, and with other parameters if any are given. */
  with(options: Pick<ObjectiveOptions, "loss" | "target" | "parameters">): Checkpoint {
    return Checkpoint.of(this.model, { ...this.options, ...options }, this.queries);
  }

  /** Names of the parameters that take part, in the order of rows. */
  get parameters(): string[] {
    return [...this.objective.parameters.keys()];
  }

  /** The parameters that make up a module: their names agree up to the last dot; a name without a dot stands alone. */
  get modules(): ReadonlyMap<string, readonly string[]> {
    const moduleOf = (name: string) => {
      const dot = name.lastIndexOf(".");
      return dot < 0 ? name : name.slice(0, dot + 1);
    };
    return grouped(this.parameters.map((name) => [moduleOf(name), name]));
  }

  /** The gradients of all samples, a few at a time. Throws what `stream` throws, NOT_FINITE. */
  async *rows(data: Dataset, most = Math.max(1, Math.floor(rowNumbers / Math.max(1, this.space.size)))) {
    const chunkSize = Math.min(256, most);
    for await (const { from, to, results } of this.stream({ gradients: want.gradients() }, data, { chunkSize })) {
      const found: GradientRows = { from, to, rows: this.space.rows(results.gradients, to - from) };
      yield found;
    }
  }

  /** The wants for all samples, a few at a time. */
  async *stream<W extends Wants>(wants: W, data: Dataset, options: RunOptions & StreamOptions = {}) {
    const program = await this.program(wants);
    try {
      yield* program.stream(data, { ...refusing(this.whose(data)), ...options });
    } finally {
      await program.release();
    }
  }

  /** The wants for all samples together. */
  async all<W extends Wants>(wants: W, data: Dataset): Promise<Results<W>> {
    const program = await this.program(wants);
    try {
      return await program.runAll(data, refusing(this.whose(data)));
    } finally {
      await program.release();
    }
  }

  /** What errors call the samples of this data. */
  whose(data: Dataset): Whose {
    if (this.queries === undefined) return "samples";
    return data === this.queries ? "queries" : "training samples";
  }

  /** The number of samples. */
  async count(data: Dataset): Promise<number> {
    let found = 0;
    for await (const { samples } of this.blocks(data)) found += samples;
    return found;
  }

  /** The squared norm of each sample's gradient, `[N]`. */
  async squaredNorms(data: Dataset): Promise<Float64Array> {
    const { norms } = await this.all({ norms: want.norms() }, data);
    return Float64Array.from(norms.total.data, (norm) => norm * norm);
  }

  /** The curvature of the mean loss. Releasing this releases it too. */
  async curvature(data: Dataset, of: CurvatureKind): Promise<Curvature> {
    const made = await Curvature.of(this.objective, data, { ...this.#running, of });
    this.#released.push(() => made.release());
    return made;
  }

  /** Kronecker factors of the curvature. Releasing this releases them too. */
  async kronecker(data: Dataset, kind: "empirical" | "type2", corrected: boolean): Promise<KroneckerCurvature> {
    const made = await KroneckerCurvature.of(this.objective, data, { ...this.#running, kind, corrected });
    this.#released.push(() => made.release());
    return made;
  }

  /** Threads that the runtime may use; undefined: all cores. */
  get threads(): number | undefined {
    return this.options.threads;
  }

  get #running() {
    return { loss: this.objective.loss, ...runningOf(this.options) };
  }

  /**
   * The inner products of each sample's gradient with that of each of the others, by groups of parameters: for each
   * group `[M, N]`, for N samples and M others. Nothing is materialised if factors are fewer numbers.
   */
  async cross(data: Dataset, others: Dataset, groups: readonly (readonly string[])[] = [this.parameters]) {
    const strips: Table[][] = groups.map(() => []);
    let begun: { readonly program: Crossing; readonly size: number } | undefined;
    let first = 0;
    try {
      for await (const { feeds, samples } of this.blocks(others)) {
        if (samples === 0) continue;
        // A block larger than those before it needs a program of its own.
        if (begun && samples > begun.size) {
          await begun.program.release();
          begun = undefined;
        }
        begun ??= { program: await this.program({ cross: crossByParameter(feeds) }), size: samples };
        const filled = this.#filled(feeds, samples, begun.size);
        const options = { others: { cross: filled }, ...refusing(this.whose(data), this.whose(others), first) };
        const found = await crossed(begun.program, data, options, groups, samples);
        first += samples;
        for (const [k, table] of found.entries()) strips[k]?.push(table);
      }
    } finally {
      await begun?.program.release();
    }
    return strips.map((parts) => Table.stacked(parts));
  }

  /** The samples of a data set, in blocks, as runs are fed them. */
  async *blocks(data: Dataset, size = othersAtOnce) {
    const { expected, loss, output } = this.objective;
    const { piecesOf } = await import("../program/dataset.js");
    yield* piecesOf(data, size, {
      expected,
      signal: this.options.signal,
      prepare: (batch: Batch) => {
        const prepared = prepare(batch, expected, false);
        if (prepared.feeds.target) loss.validate?.(prepared.feeds.target, output.shape);
        return prepared;
      },
    });
  }

  /** Filled up to the number of samples that a program was compiled for, by repeating the last one. */
  #filled(feeds: Readonly<Record<string, Tensor>>, samples: number, size: number): Record<string, Tensor> {
    if (samples === size) return { ...feeds };
    return this.picked(
      feeds,
      Uint32Array.from({ length: size }, (_, k) => Math.min(k, samples - 1)),
    );
  }

  /** The samples with these numbers, in this order. */
  picked(feeds: Readonly<Record<string, Tensor>>, places: Uint32Array): Record<string, Tensor> {
    return samplesAt(feeds, this.objective.expected, places);
  }

  /** A program for these wants. The caller must release it. */
  async program<W extends Wants>(wants: W): Promise<Program<W>> {
    return (await compiler()).of(this.objective, { ...this.#running, want: wants });
  }

  async release(): Promise<void> {
    for (const release of this.#released.splice(0)) await release();
  }
}

/** For each group of parameters, `[M, N]`: N samples, and the first M of the others. */
async function crossed(
  program: Crossing,
  data: Dataset,
  options: RunOptions,
  groups: readonly (readonly string[])[],
  count: number,
): Promise<Table[]> {
  const parts: { readonly from: number; readonly samples: number; readonly cross: ByParameter }[] = [];
  for await (const { from, to, results } of program.stream(data, options))
    parts.push({ from, samples: to - from, cross: results.cross });
  const samples = parts.reduce((sum, part) => sum + part.samples, 0);
  return groups.map((group) => {
    const table = new Table(count, samples);
    for (const part of parts) for (const name of group) addTransposed(table, part.from, part.cross[name]);
    return table;
  });
}

/** Adds inner products `[n, m]` of samples with others to those of the others with samples. */
function addTransposed(table: Table, from: number, tensor: ByParameter[string] | undefined): void {
  if (!tensor) return;
  const [samples = 0, others = 0] = tensor.dims;
  for (let m = 0; m < table.rows; m++) {
    const row = table.row(m);
    for (let n = 0; n < samples; n++) row[from + n] = (row[from + n] ?? 0) + (tensor.data[n * others + m] ?? 0);
  }
}
