/** Programs that run, whether they were compiled or read from a file. */
import { awaited, checkOptions, forgottenAwait } from "../arguments.js";
import { nameInWant, type Output } from "../compile/joining.js";
import { weightsOf } from "../compile/program-graph.js";
import { entryOf } from "../present.js";
import { unlessAborted } from "../target/signals.js";
import type { Executable } from "../target/target.js";
import type { Data } from "../tensor/data.js";
import type { Tensor } from "../tensor/tensor.js";
import { type Results, readWants, type Wants } from "../wants/wanted.js";
import { type Executed, Execution } from "./execution.js";
import { type Prepared, prepare } from "./feeds.js";
import { ownDataset, ownOptions } from "./given.js";
import type { Dataset } from "./given-data.js";
import type { Computed } from "./joined.js";
import { type MemoryOptions, Microbatches } from "./microbatches.js";
import { type RunOptions, runOptions, streamOptions } from "./options.js";
import type { Others } from "./others.js";
import type { Chunk, Progress, StreamOptions } from "./stream.js";

/** The parts of a program that runs. */
export interface RunnableParts<W extends Wants> extends Omit<Executed, "microbatches" | "wants"> {
  readonly want: W;
  /** The defaults of runs. */
  readonly memoryOptions: MemoryOptions;
  readonly executable: Pick<Executable, "memory" | "inSteps">;
  /** Whether it sums over the samples in parts. Default false. */
  readonly manySamples?: boolean | undefined;
  /** See `Target`. */
  readonly mostMemory?: number | undefined;
  /** Ends every run. */
  readonly signal?: AbortSignal | undefined;
  /** Called with the samples done so far. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /** Checks the target. Throws what `run` throws. */
  readonly validate?: ((target: Tensor) => void) | undefined;
}

/** Batches are run without it. */
const streaming = () => import("./stream.js");

/** A program that runs: one that was compiled, or one that was saved and opened. */
export abstract class RunnableProgram<W extends Wants> {
  protected readonly microbatches: Microbatches;
  protected readonly execution: Execution;
  /** For each want the names of its tensors, with the want's name in front (`full`) and without. */
  readonly #named: ReadonlyMap<string, readonly { readonly name: string; readonly full: string }[]>;
  readonly #forgottenAwait: object;

  protected constructor(protected readonly parts: RunnableParts<W>) {
    const { want: wants, graph, executable, objective, memoryOptions, manySamples, mostMemory } = parts;
    const measured = { outputs: graph.outputs, memory: executable.memory };
    const weights = weightsOf(objective.model);
    const fewAtATime = Object.values(wants).some((want) => want.fewAtATime);
    const limits = { mostMemory, fewAtATime, summedTerms: graph.summedTerms };
    this.microbatches = new Microbatches(measured, objective.expected, memoryOptions, weights, manySamples, limits);
    this.execution = new Execution({ ...parts, wants, microbatches: this.microbatches });
    this.#named = new Map(Object.keys(wants).map((want) => [want, namesOf(want, graph.outputs)]));
    this.#forgottenAwait = forgottenAwait("program.run(...)", Object.keys(wants));
  }

  /** The names of the parameters with respect to which the program differentiates. */
  get parameters(): string[] {
    return [...this.parts.objective.parameters.keys()];
  }

  /**
   * Computes the wants for one batch of any size, 0 included. With a `memoryBudget` or a `microbatchSize`, a batch may be
   * computed in parts, one after another; the results differ by rounding only. If a gradient is not finite although the data is,
   * a warning says so, unless `notFinite` or `onNotFinite` ask for something else.
   *
   * The results belong to the caller, and no two share elements. But those of a small program may be views of one buffer
   * (`byteOffset` counts): copy one with `slice` before you transfer its buffer to another thread.
   * @param data the model's inputs by name, and `target` if the loss has one; samples lie along each input's sample axis
   * @throws PergradError MISSING_TENSOR, INVALID_ARGUMENT, DTYPE_MISMATCH, SHAPE_MISMATCH, BATCH_MISMATCH, LABEL_OUT_OF_RANGE,
   * INDEX_OUT_OF_RANGE, NOT_FINITE, MEMORY_BUDGET, and the signal's reason.
   */
  run(data: Readonly<Record<string, Data>>, options: RunOptions = {}): Promise<Results<W>> {
    return awaited(this.#run(data, options), this.#forgottenAwait);
  }

  async #run(data: Readonly<Record<string, Data>>, given: RunOptions): Promise<Results<W>> {
    checkOptions("run(data, options)", given, runOptions);
    const options = this.#ending(given);
    const { signal } = options;
    signal?.throwIfAborted();
    const prepared = this.prepared(data, options, this.parts.running.looksAt);
    return this.#read(await unlessAborted(this.computeBatch(prepared, options), signal));
  }

  /**
   * Estimates, from the shapes, the bytes that a run of this many samples takes: all that is alive at once beyond the data, the
   * parameters and the loaded program, including the results and their copies in JavaScript.
   */
  memory(samples: number): number {
    return this.microbatches.bytesOf(samples);
  }

  /**
   * Computes the wants for a data set that may be larger than memory, chunk by chunk: each chunk's results are what `run` gives
   * for its samples. A chunk is computed when it is asked for. Leaving the loop closes the data set, as an error or an abort does.
   * @param dataset all samples as `run` takes them, batches one after another (also asynchronously), or a file's path
   * @throws PergradError what `run` throws, FILE_UNREADABLE, and the signal's reason.
   */
  stream(
    dataset: Dataset,
    options: RunOptions & StreamOptions = {},
  ): AsyncGenerator<Chunk<Results<W>>, void, undefined> {
    checkOptions("stream(dataset, options)", options, streamOptions);
    return this.#stream(ownDataset(dataset, options), ownOptions(options));
  }

  async *#stream(
    dataset: Dataset,
    options: RunOptions & StreamOptions,
  ): AsyncGenerator<Chunk<Results<W>>, void, undefined> {
    for await (const { from, to, ...found } of await this.#chunks(dataset, options)) {
      yield { from, to, results: this.#read(found) };
    }
  }

  /**
   * The results for a whole data set, as `run` gives them for one batch: sums over all samples, per-sample results side by side.
   * Only the results are held in memory, not the data set.
   * @throws PergradError what `stream` throws, and INVALID_ARGUMENT if a want needs all samples at once (`want.gram`) and the
   * data set takes several chunks.
   */
  async runAll(dataset: Dataset, options: RunOptions & Omit<StreamOptions, "reuse"> = {}): Promise<Results<W>> {
    checkOptions("runAll(dataset, options)", options, streamOptions);
    const check = () => this.microbatches.requireSplit("a dataset cannot be computed in chunks");
    // Copied before anything is waited for.
    const [own, ownSettings] = [ownDataset(dataset, options), { ...ownOptions(options), reuse: false }];
    const { joinedResults } = await streaming();
    const chunks = await this.#chunks(own, ownSettings);
    const found = (await joinedResults(chunks, this.parts.graph.outputs, check)) ?? this.execution.empty();
    await this.execution.reportOverflow(found, options);
    return this.#read(found);
  }

  /** Options whose signal aborts when the run's own or the program's does. */
  #ending<O extends { readonly signal?: AbortSignal }>(options: O): O {
    const { signal } = this.parts;
    if (!signal) return options;
    return { ...options, signal: options.signal ? AbortSignal.any([options.signal, signal]) : signal };
  }

  async #chunks(dataset: Dataset, given: RunOptions & StreamOptions) {
    const { computed } = await streaming();
    const { onProgress } = this.parts;
    const options = { ...(onProgress ? { onProgress } : {}), ...this.#ending(given) };
    const { expected } = this.parts.objective;
    const size = this.microbatches.chunkSize(options);
    const prepare = (data: Readonly<Record<string, Data>>) => this.prepared(data, options);
    const run = (prepared: Prepared, from: number) => this.computeBatch(prepared, options, from);
    const { inPlace = false } = options;
    const { lanes = 1 } = this.parts.running;
    return computed(dataset, { expected, size, prepare, run, inPlace, lanes }, options);
  }

  /** @param later the names of inputs of which the run shows whether they are finite */
  protected prepared(
    data: Readonly<Record<string, Data>>,
    { allowNotFinite = false }: RunOptions,
    later?: ReadonlySet<string>,
  ): Prepared {
    const prepared = prepare(data, this.parts.objective.expected, allowNotFinite, later);
    const { target } = prepared.feeds;
    if (target) this.parts.validate?.(target);
    return prepared;
  }

  /** @param first the number of the first sample in the dataset */
  protected computeBatch(prepared: Prepared, options: RunOptions, first = 0): Promise<Computed> {
    return this.execution.compute(prepared, options, first);
  }

  /** Frees the runtime's memory. The program cannot run afterwards. */
  async release(): Promise<void> {
    await this.parts.running.release();
    await releaseAll(this.parts.others);
  }

  #read({ returned, counted }: Computed): Results<W> {
    const returnedFor = (want: string) => {
      const own: Record<string, Tensor> = {};
      for (const { name, full } of this.#named.get(want) ?? []) own[name] = entryOf(returned, full);
      return own;
    };
    return readWants(this.parts.want, returnedFor, counted);
  }
}

export async function releaseAll(others: ReadonlyMap<string, Others>): Promise<void> {
  for (const each of others.values()) await each.release();
}

function namesOf(want: string, outputs: readonly Output[]) {
  const own = outputs.filter((output) => output.want === want);
  return own.map((output) => ({ name: nameInWant(output), full: output.name }));
}
