import { type CompiledProgram, compiled, isElsewhere } from "../compile/compile.js";
import { type Objective, type ObjectiveOptions, objectiveOf, parameterValue } from "../compile/objective.js";
import type { PlanningOptions } from "../compile/planning.js";
import { ownInputs, type ProgramGraph } from "../compile/program-graph.js";
import { sampleAxesOf, withLosses } from "../compile/stage-graphs.js";
import { isHidden } from "../compile/watch.js";
import type { Model } from "../graph/model.js";
import { Explanation } from "../inspect/explanation.js";
import { graphOf, type Observer, Stages } from "../inspect/observe.js";
import { printGraph } from "../inspect/print-graph.js";
import type { Profile } from "../inspect/profile.js";
import { type ModelOptions, model as modelOf } from "../nn/model.js";
import type { Module } from "../nn/module.js";
import { type EncodableProgram, encodeModel } from "../onnx/write/encode.js";
import { requireWithin, type SaveOptions, writeModel } from "../onnx/write/write.js";
import { explainPlan, totalsOf } from "../plan/explain.js";
import type { Plan } from "../plan/planner.js";
import { defaultTarget } from "../target/default.js";
import type { Executable, LoadOptions, Running, Target, WorkerPool } from "../target/target.js";
import type { Data } from "../tensor/data.js";
import { copiesOf } from "../tensor/data.js";
import type { Tensor } from "../tensor/tensor.js";
import { factors as factorsOfOthers } from "../wants/cross.js";
import type { Results, Wants } from "../wants/want.js";
import type { Dataset } from "./dataset.js";
import { observed } from "./environment.js";
import { Execution } from "./execution.js";
import { holdsNotFinite, type Prepared, prepare } from "./feeds.js";
import { type GivenOptions, ownDataset, ownOptions } from "./given.js";
import { checkMemoryOptions, type MemoryOptions, Microbatches } from "./microbatches.js";
import type { NotFiniteOptions } from "./not-finite.js";
import { Others } from "./others.js";
import { profileOf } from "./profiling.js";
import type { Computed } from "./split.js";
import { type Chunk, computed, joinedResults, type StreamOptions } from "./stream.js";

export interface ProgramOptions<W extends Wants> extends ObjectiveOptions, MemoryOptions, PlanningOptions {
  /** What to compute, under names of your own: `{ norms: want.norms(), sum: want.clippedSum({ maxNorm: 1 }) }`. */
  readonly want: W;
  /** Threads that the runtime may use. Default: all cores. */
  readonly threads?: number;
  /**
   * Run in a worker thread, so that the event loop stays free: in one of a pool, `workers()`, or, with `true`, in one
   * of the program's own, which ends when the program is released. Default: in the thread that asks.
   */
  readonly workers?: WorkerPool | boolean;
  /** Is told of the compile's stages, rewrites and choices, and of time and bytes by node. Default: nobody is. */
  readonly observe?: Observer;
}

/** `memoryBudget` and `microbatch` are those of the program where they are not given. */
export interface RunOptions extends MemoryOptions, NotFiniteOptions, GivenOptions {
  /** Run even where the data holds NaN or infinity. Default false. */
  readonly allowNotFinite?: boolean;
}

/** What a program is made of. */
interface Parts extends CompiledProgram {
  readonly running: Running;
  readonly others: ReadonlyMap<string, Others>;
}

/** A compiled program: one forward and one backward pass that compute all that is wanted of a batch. */
export class Program<W extends Wants> {
  readonly #objective: Objective;
  readonly #want: W;
  readonly #options: ProgramOptions<W>;
  readonly #graph: ProgramGraph;
  readonly #plan: Plan;
  readonly #executable: Executable;
  readonly #running: Running;
  readonly #target: Target;
  readonly #others: ReadonlyMap<string, Others>;
  readonly #microbatches: Microbatches;
  readonly #execution: Execution;
  /** The same for data that holds NaN or infinity: this one, or one that is compiled when there first is such data. */
  #forNotFinite: Promise<Program<W>> | undefined;
  /** Whether an observer was told where the time goes. */
  #profiled = false;
  /** By the name of a want, its tensors' names with it and without. */
  readonly #named: ReadonlyMap<string, readonly { readonly name: string; readonly full: string }[]>;

  private constructor(
    { objective, plan, graph, executable, running, others }: Parts,
    options: ProgramOptions<W>,
    target: Target,
  ) {
    this.#objective = objective;
    this.#want = options.want;
    this.#options = options;
    this.#plan = plan;
    this.#graph = graph;
    this.#executable = executable;
    this.#running = running;
    this.#target = target;
    this.#others = others;
    this.#microbatches = new Microbatches(
      { outputs: graph.outputs, memory: executable.memory },
      objective.expected,
      options,
    );
    const { want: wants } = options;
    const parts = { objective, wants, graph, executable, running, others, microbatches: this.#microbatches };
    this.#execution = new Execution({ ...parts, elsewhere: isElsewhere(options) });
    this.#named = new Map(Object.keys(wants).map((want) => [want, namesUnder(`${want}/`, graph.outputs)]));
  }

  /**
   * Compiles; see `perSample`.
   * @param target what it is compiled for
   */
  static async compile<W extends Wants>(
    model: Model,
    options: ProgramOptions<W>,
    target: Target = defaultTarget,
  ): Promise<Program<W>> {
    checkMemoryOptions(options);
    const stages = new Stages(options.observe, model.sampleAxes);
    stages.reached("traced", () => model.graph.outputs);
    return Program.#compile(objectiveOf(model, options), options, target, stages);
  }

  /** The same of an objective that is there already; its own settings count, not those of the options. */
  static async of<W extends Wants>(
    objective: Objective,
    options: ProgramOptions<W>,
    target: Target = defaultTarget,
  ): Promise<Program<W>> {
    checkMemoryOptions(options);
    const stages = new Stages(options.observe, objective.model.sampleAxes);
    stages.reached("traced", () => objective.model.graph.outputs);
    return Program.#compile(objective, options, target, stages);
  }

  static async #compile<W extends Wants>(
    objective: Objective,
    options: ProgramOptions<W>,
    target: Target,
    begun: Stages,
  ): Promise<Program<W>> {
    const stages = begun.with(sampleAxesOf(objective));
    stages.reached("objective", () => withLosses(objective));
    const others = await compileOthers(objective, options, target);
    try {
      const found = compiled(objective, others, options, target, stages);
      const { executable } = found;
      const running = await executable.load(loadOptions(options));
      const { profiler } = target;
      const asRun = profiler && (() => profiler.optimised(executable.program));
      stages.reached("loaded", () => executable.program.outputs, asRun);
      const program = new Program({ ...found, running, others }, options, target);
      options.observe?.onPlan?.(program.explain());
      return program;
    } catch (error) {
      await releaseAll(others);
      throw error;
    }
  }

  /** The model that was compiled, with its parameters' values. */
  get model(): Model {
    return this.#objective.model;
  }

  /** Names of the parameters that the program differentiates with respect to. */
  get parameters(): string[] {
    return [...this.#objective.parameters.keys()];
  }

  /**
   * Computes what is wanted for one batch of any size, 0 included. With a `memoryBudget` or a `microbatch` in
   * parts, one after another, if need be: results are the same but for rounding.
   * Results are the caller's, and no two share elements; but those of a small program may be views of one buffer
   * (`byteOffset` counts): copy one with `slice` before its buffer is transferred to another thread.
   * @param data the model's inputs by name, and `target` where the loss has one; samples along each one's sample axis
   * Where a gradient is not finite though the data is, a warning says so, unless `notFinite` or `onNotFinite` ask for
   * something else.
   * Throws MISSING_TENSOR, INVALID_ARGUMENT, DTYPE_MISMATCH, SHAPE_MISMATCH, BATCH_MISMATCH, LABEL_OUT_OF_RANGE,
   * NOT_FINITE, MEMORY_BUDGET.
   */
  async run(data: Readonly<Record<string, Data>>, options: RunOptions = {}): Promise<Results<W>> {
    const prepared = this.#prepare(data, options);
    return this.#read(await this.#computeAndProfile(prepared, options));
  }

  /**
   * The bytes that a run of this many samples at once is estimated to take, from the shapes: all that is alive
   * at once beyond the data, the parameters and the loaded program, with the results and their copies in JavaScript.
   */
  memory(samples: number): number {
    return this.#microbatches.memory.at(samples);
  }

  /**
   * Computes what is wanted for a dataset that may be larger than memory, chunk by chunk: each chunk's results are
   * what `run` gives for its samples. A chunk is computed when it is asked for. Leaving the loop, an error and an
   * abort close the dataset.
   * @param dataset all samples as `run` takes them, batches one after another (also asynchronously), or a file's path
   * Throws what `run` throws, FILE_UNREADABLE, and the signal's reason.
   */
  stream(
    dataset: Dataset,
    options: RunOptions & StreamOptions = {},
  ): AsyncGenerator<Chunk<Results<W>>, void, undefined> {
    return this.#stream(ownDataset(dataset, options), ownOptions(options));
  }

  async *#stream(
    dataset: Dataset,
    options: RunOptions & StreamOptions,
  ): AsyncGenerator<Chunk<Results<W>>, void, undefined> {
    for await (const { from, to, ...found } of this.#chunks(dataset, options)) {
      yield { from, to, results: this.#read(found) };
    }
  }

  /**
   * The results of a whole dataset, as `run` gives them for one batch: sums over all samples, each sample's own
   * results side by side. Only these are held, not the dataset. Samples are counted as `stream` does.
   * Throws what `stream` throws, and INVALID_ARGUMENT where results take all samples at once (`want.gram`).
   */
  async runAll(dataset: Dataset, options: RunOptions & Omit<StreamOptions, "reuse"> = {}): Promise<Results<W>> {
    const check = () => this.#microbatches.requireSplit("a dataset cannot be computed in chunks");
    const chunks = this.#chunks(ownDataset(dataset, options), { ...ownOptions(options), reuse: false });
    const found = (await joinedResults(chunks, this.#graph.outputs, check)) ?? this.#execution.empty();
    this.#execution.reportOverflow(found, options);
    return this.#read(found);
  }

  #chunks(dataset: Dataset, options: RunOptions & StreamOptions) {
    const { expected } = this.#objective;
    const size = this.#microbatches.chunkSize(options);
    const prepare = (data: Readonly<Record<string, Data>>) => this.#prepare(data, options);
    const run = (prepared: Prepared, from: number) => this.#computeAndProfile(prepared, options, from);
    const { inPlace = false } = options;
    return computed(dataset, { expected, size, prepare, run, inPlace }, options);
  }

  #prepare(data: Readonly<Record<string, Data>>, { allowNotFinite = false }: RunOptions): Prepared {
    const prepared = prepare(data, this.#objective.expected, allowNotFinite);
    const { target } = prepared.feeds;
    if (target) this.#objective.loss.validate?.(target, this.#objective.output.shape);
    return prepared;
  }

  /** Tells an observer of the first batch's nodes, which is run again for that. */
  async #computeAndProfile(prepared: Prepared, options: RunOptions, first = 0): Promise<Computed> {
    const { onProfile } = this.#options.observe ?? {};
    if (!onProfile || this.#profiled || prepared.samples === 0) return this.#compute(prepared, options, first);
    this.#profiled = true;
    const own = { ...prepared, feeds: copiesOf(prepared.feeds) };
    const computed = await this.#compute(prepared, options, first);
    onProfile(await this.#profile(own, 10, ownOptions(options)));
    return computed;
  }

  /** @param first the number of the first sample in the dataset */
  async #compute(prepared: Prepared, options: RunOptions, first = 0): Promise<Computed> {
    if (!this.#needsGuards(prepared, options)) return this.#execution.compute(prepared, options, first);
    const feeds = options.inPlace ? prepared.feeds : copiesOf(prepared.feeds);
    const own = ownOptions(options);
    this.#forNotFinite ??= Program.of(this.#objective, { ...this.#options, allowNotFinite: true }, this.#target);
    return (await this.#forNotFinite).#execution.compute({ ...prepared, feeds }, own, first);
  }

  /** Whether the data is allowed to hold NaN or infinity, and does, and the program takes it for finite. */
  #needsGuards({ feeds }: Prepared, { allowNotFinite = false }: RunOptions): boolean {
    return allowNotFinite && !this.#options.allowNotFinite && holdsNotFinite(feeds, this.#objective.expected);
  }

  /**
   * The program as an ONNX model: inputs and results as tensors, parameters stored inside. Throws TOO_LARGE where these
   * take more than an ONNX file holds; `save` then puts them into a file beside it.
   */
  encode(): Uint8Array {
    const program = this.#encodable();
    requireWithin(program);
    return encodeModel(program);
  }

  #encodable(): EncodableProgram {
    const { inputs, parameters } = this.#graph;
    const outputs = this.#graph.outputs.filter((output) => !isHidden(output));
    const order = this.#target.order(outputs.map(({ value }) => value));
    const values = Object.fromEntries(
      parameters.map((parameter) => [parameter.name, parameterValue(this.#objective.model, parameter)]),
    );
    // Kernels differ between runtimes and their versions: whoever runs the file elsewhere can tell.
    const metadata = { "pergrad.runtime": this.#target.version };
    return { inputs: [...inputs, ...ownInputs(this.#graph)], outputs, order, parameters: values, metadata };
  }

  /**
   * Writes the program to a file, which runs wherever ONNX does; parameters that are too large for one go into a second
   * file beside it, named after it and ending in ".data". Throws FILE_UNWRITABLE, INVALID_ARGUMENT.
   */
  async save(path: string, options: SaveOptions = {}): Promise<void> {
    await writeModel(this.#encodable(), path, options);
  }

  /** What was chosen for each parameter and why: data, and as text a table. */
  explain(): Explanation {
    const { model } = this.#objective;
    const notes = [...this.#objective.notes, ...this.#executable.notes];
    return new Explanation(explainPlan(this.#plan), notes, totalsOf(this.#plan), model.constants);
  }

  /** The graph that the runtime is given, as text: a line for each node, with shapes, dtypes and sample axes. */
  graph(): string {
    const sampleAxes = sampleAxesOf(this.#objective);
    return printGraph(graphOf(this.#executable.program.outputs), { sampleAxes });
  }

  /**
   * Where a batch's time and memory go, by node: the batch is run in a session of its own, with the runtime's profiler.
   * @param data as `run` takes it
   * @param runs that times are the mean of, after one that does not count. Default 10.
   * Throws what `run` throws on bad data, INVALID_ARGUMENT for an empty batch, and RUNTIME where the runtime has no profiler.
   */
  async profile(
    data: Readonly<Record<string, Data>>,
    { runs = 10, ...options }: RunOptions & { readonly runs?: number } = {},
  ): Promise<Profile> {
    return this.#profile(this.#prepare(data, options), runs, options);
  }

  async #profile({ feeds, samples }: Prepared, runs: number, options: RunOptions): Promise<Profile> {
    const own = ownOptions(options);
    const given = copiesOf(await this.#execution.feeds({ feeds: copiesOf(feeds), samples }, own));
    const parts = { objective: this.#objective, plan: this.#plan, others: this.#others };
    return profileOf(parts, this.#options, this.#target, { feeds: given, samples, runs });
  }

  /** Frees the runtime's memory. The program cannot run afterwards. */
  async release(): Promise<void> {
    await this.#running.release();
    await releaseAll(this.#others);
    await (await this.#forNotFinite?.catch(() => undefined))?.release();
  }

  #read({ returned, counted }: Computed): Results<W> {
    const results: Record<string, unknown> = {};
    for (const [want, each] of Object.entries(this.#want)) {
      const own: Record<string, Tensor> = {};
      for (const { name, full } of this.#named.get(want) ?? []) own[name] = returned[full] as Tensor;
      results[want] = each.read(own, counted);
    }
    return results as Results<W>;
  }
}

function loadOptions({ threads, workers, memoryBudget }: ProgramOptions<Wants>): LoadOptions {
  return {
    ...(threads === undefined ? {} : { threads }),
    ...(workers === undefined ? {} : { workers }),
    frugal: memoryBudget !== undefined,
  };
}

/** The gradients of the wants' other batches, by the names of the wants. */
async function compileOthers(
  objective: Objective,
  options: ProgramOptions<Wants>,
  target: Target,
): Promise<Map<string, Others>> {
  const found = new Map<string, Others>();
  const { observe: _, ...own } = options;
  try {
    for (const [name, { others }] of Object.entries(options.want)) {
      if (!others) continue;
      const program = await Program.of(objective, { ...own, want: { factors: factorsOfOthers() } }, target);
      found.set(name, await Others.of(program, others));
    }
  } catch (error) {
    await releaseAll(found);
    throw error;
  }
  return found;
}

async function releaseAll(others: ReadonlyMap<string, Others>): Promise<void> {
  for (const each of others.values()) await each.release();
}

function namesUnder(prefix: string, outputs: ProgramGraph["outputs"]) {
  const own = outputs.filter(({ name }) => name.startsWith(prefix));
  return own.map(({ name }) => ({ name: name.slice(prefix.length), full: name }));
}

/**
 * Compiles a program that computes, for a batch of samples, what is wanted of each sample's own gradients.
 * @param model a model, or a module of `nn` (then `input` and `seed` say its input's shape and first parameters)
 * @param options the loss, the wants, and which parameters
 * Throws SAMPLES_INTERACT, UNSUPPORTED_OP, SHAPE_MISMATCH, NO_PARAMETERS.
 */
export function perSample<W extends Wants>(
  model: Model | Module,
  options: ProgramOptions<W> & ModelOptions,
): Promise<Program<W>> {
  const own = observed(options);
  return Program.compile("forward" in model ? modelOf(model, own) : model, own);
}
