import { invalidArgument, kindOf } from "../arguments.js";
import { isElsewhere } from "../compile/compile.js";
import { type Objective, objectiveOf, parameterValue } from "../compile/objective.js";
import type { ProgramGraph } from "../compile/program-graph.js";
import { ownInputs } from "../compile/program-graph.js";
import { sampleAxesOf, withLosses } from "../compile/stage-graphs.js";
import { squares } from "../compile/watch.js";
import { stepNote } from "../curvature/steps.js";
import { PergradError } from "../errors.js";
import type { Model } from "../graph/model.js";
import { Explanation } from "../inspect/explanation.js";
import { graphOf, Stages } from "../inspect/observe.js";
import { printGraph } from "../inspect/print-graph.js";
import type { Profile } from "../inspect/profile.js";
import { withMissing } from "../missing.js";
import { type EncodableProgram, encodeModel } from "../onnx/write/encode.js";
import { requireWithin, type SaveOptions, writeModel } from "../onnx/write/write.js";
import { defaultTarget } from "../target/default.js";
import type { Target, Tensors } from "../target/target.js";
import type { Data } from "../tensor/data.js";
import { copiesOf } from "../tensor/data.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Wants } from "../wants/want.js";
import { loadedWants, needEveryPosition } from "../wants/wanted.js";
import { type Compilation, compilation } from "./compilation.js";
import { holdsNotFinite, type Prepared } from "./feeds.js";
import { ownOptions } from "./given.js";
import { HeldValues } from "./held.js";
import type { Computed } from "./joined.js";
import { checkMemoryOptions } from "./microbatches.js";
import type { InternalOptions, ProgramOptions, RunOptions } from "./options.js";
import type { Others } from "./others.js";
import { noProfiler, profileOf } from "./profiling.js";
import { RunnableProgram, releaseAll } from "./runnable.js";
import { describedBy, unadaptedKey, type Weights } from "./stored-form.js";

/** How a program is saved. */
export interface SavedFor {
  /**
   * `"any"`: as ONNX defines it, without work-arounds; `openProgram` adds those that its runtime needs. `"onnxruntime"`: with
   * them, for other readers that run the file on ONNX Runtime. Default `"any"`.
   */
  readonly for?: string;
  /**
   * Where the parameters' values are. `"inside"`: in the file. `"inputs"`: every run is given them, under the parameters' names,
   * so that one file serves all steps of a training; save the values beside it (`writeTensors`). Default `"inside"`.
   */
  readonly weights?: Weights;
}

/** Throws INVALID_ARGUMENT. */
function requireWeights(weights: unknown): void {
  if (weights === "inside" || weights === "inputs") return;
  throw invalidArgument(`The weights of a saved program must be "inside" it or "inputs", not ${kindOf(weights)}.`);
}

/** Throws INVALID_ARGUMENT. */
function requireRuntime(runtime: unknown, { name }: Target): void {
  if (runtime === "any" || runtime === name) return;
  throw new PergradError(
    "INVALID_ARGUMENT",
    `A program cannot be saved for ${JSON.stringify(runtime)}; give "any" or "${name}".`,
  );
}

/** The parts of a program. */
interface ProgramParts extends Compilation {
  readonly held: HeldValues;
  readonly others: ReadonlyMap<string, Others>;
}

/** A compiled program: one forward and one backward pass that compute all wants of a batch. */
export class Program<W extends Wants> extends RunnableProgram<W> {
  readonly #compiled: Compilation;
  readonly #options: ProgramOptions<W>;
  readonly #target: Target;
  /** The same program for data that holds NaN or infinity; compiled when there is such data. */
  #forNotFinite: Promise<Program<W>> | undefined;
  /** The same program for batches of hundreds of samples; compiled when there is one. */
  #forManySamples: Promise<Program<W>> | undefined;
  /** That program, once it is compiled. */
  #manySamples: Program<W> | undefined;
  /** Whether the observer has been given a profile. */
  #profiled = false;

  private constructor(
    { held, others, ...compiled }: ProgramParts,
    options: ProgramOptions<W> & InternalOptions,
    target: Target,
  ) {
    const { objective, graph, executable, running } = compiled;
    const validate = objective.loss.validate?.bind(objective.loss);
    super({
      want: options.want,
      objective,
      graph,
      executable,
      running,
      held,
      others,
      memoryOptions: options,
      elsewhere: isElsewhere(options),
      mostMemory: target.mostMemory,
      manySamples: options.manySamples,
      signal: options.signal,
      onProgress: options.onProgress,
      validate: validate && ((targets) => validate(targets, objective.output.shape)),
    });
    this.#compiled = compiled;
    this.#options = options;
    this.#target = target;
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
    const stages = new Stages(options.observe, model.sampleAxes, options);
    stages.reached("traced", () => model.graph.outputs);
    const objective = await withMissing(() => objectiveOf(model, options));
    return Program.#compile(objective, options, target, stages);
  }

  /** Compiles an objective that was made before; its own settings count, not those of the options. */
  static async of<W extends Wants>(
    objective: Objective,
    options: ProgramOptions<W> & InternalOptions,
    target: Target = defaultTarget,
  ): Promise<Program<W>> {
    checkMemoryOptions(options);
    const stages = new Stages(options.observe, objective.model.sampleAxes, options);
    stages.reached("traced", () => objective.model.graph.outputs);
    return Program.#compile(objective, options, target, stages);
  }

  static async #compile<W extends Wants>(
    objective: Objective,
    given: ProgramOptions<W> & InternalOptions,
    target: Target,
    begun: Stages,
  ): Promise<Program<W>> {
    given.signal?.throwIfAborted();
    const options = { ...given, want: await loadedWants(given.want) };
    const stages = begun.with(sampleAxesOf(objective));
    stages.reached("objective", () => withLosses(objective));
    const others = await compileOthers(objective, options, target);
    try {
      const values = HeldValues.of(options.holdParameters === false ? {} : objective.model.parameters);
      const found = await compilation({ objective, others, options, target, stages });
      const held = values.only(found.running.held);
      const program = new Program({ ...found, held, others }, options, target);
      options.observe?.onPlan?.(program.explain());
      return program;
    } catch (error) {
      await releaseAll(others);
      throw error;
    }
  }

  /** The compiled model, with its parameters' values. */
  get model(): Model {
    return this.#compiled.objective.model;
  }

  /** Profiles the first batch for the observer, which runs it again. */
  protected override async computeBatch(prepared: Prepared, options: RunOptions, first = 0): Promise<Computed> {
    const { onProfile } = this.#options.observe ?? {};
    if (!onProfile || this.#profiled || prepared.samples === 0) return this.#compute(prepared, options, first);
    this.#profiled = true;
    const { samples } = prepared;
    prepared.checkLeft?.(prepared.feeds);
    const own = { feeds: copiesOf(prepared.feeds), samples };
    const computed = await this.#compute(prepared, options, first);
    onProfile(await this.#profile(own, 10, ownOptions(options)));
    return computed;
  }

  /** @param first the number of the first sample in the dataset */
  async #compute(prepared: Prepared, options: RunOptions, first = 0): Promise<Computed> {
    if (this.#needsGuards(prepared, options)) {
      this.#forNotFinite ??= this.#also({ allowNotFinite: true });
      return this.#computeBy(this.#forNotFinite, prepared, options, first);
    }
    if (!this.microbatches.isForParts(prepared.samples, options))
      return this.execution.compute(prepared, options, first);
    if (this.#manySamples) return this.#manySamples.execution.compute(prepared, options, first);
    this.#forManySamples ??= this.#also({ manySamples: true });
    return this.#computeBy(
      this.#forManySamples.then((program) => {
        this.#manySamples = program;
        return program;
      }),
      prepared,
      options,
      first,
    );
  }

  /** The same program, compiled otherwise. */
  #also(otherwise: Pick<ProgramOptions<W> & InternalOptions, "allowNotFinite" | "manySamples">): Promise<Program<W>> {
    const { observe: _, onCompile: __, ...own } = this.#options;
    return Program.of<W>(this.#compiled.objective, { ...own, ...otherwise }, this.#target);
  }

  /** Computes the data of the call, though the program may not be compiled yet. */
  async #computeBy(
    compiling: Promise<Program<W>>,
    prepared: Prepared,
    options: RunOptions,
    first: number,
  ): Promise<Computed> {
    const { samples } = prepared;
    prepared.checkLeft?.(prepared.feeds);
    const feeds = options.inPlace ? prepared.feeds : copiesOf(prepared.feeds);
    const own = ownOptions(options);
    return (await compiling).execution.compute({ feeds, samples }, own, first);
  }

  /** Whether the data holds NaN or infinity, and may, but the program was compiled for finite data. */
  #needsGuards({ feeds }: Prepared, { allowNotFinite = false }: RunOptions): boolean {
    return allowNotFinite && !this.#options.allowNotFinite && holdsNotFinite(feeds, this.#compiled.objective.expected);
  }

  /**
   * The program as the bytes of an ONNX file, with the parameters inside unless `weights` is "inputs".
   * @throws PergradError TOO_LARGE if the parameters take more than an ONNX file holds (`save` puts them into a second file);
   * INVALID_ARGUMENT.
   */
  encode(options: SavedFor = {}): Uint8Array {
    const program = this.#encodable(options);
    requireWithin(program);
    return encodeModel(program);
  }

  #encodable({ for: runtime = "any", weights = "inside" }: SavedFor): EncodableProgram {
    requireRuntime(runtime, this.#target);
    requireWeights(weights);
    const { graph } = this.#compiled;
    const adapted = this.#target.adapt(graph, { notFiniteInputs: this.#options.allowNotFinite });
    const { inputs, parameters, outputs: all } = runtime === "any" ? graph : adapted;
    const outputs = all.filter(({ name }) => name !== squares);
    const order = this.#target.order(outputs.map(({ value }) => value));
    const values = Object.fromEntries(
      parameters.map((parameter) => [parameter.name, parameterValue(this.#compiled.objective.model, parameter)]),
    );
    // Kernels differ between runtimes and versions, so the file names the one for which it was made.
    const metadata = {
      "pergrad.runtime": this.#target.version,
      ...(runtime === "any" && adapted !== graph ? { [unadaptedKey]: this.#target.name } : {}),
      ...this.#described(outputs, values, weights),
    };
    const given = [...inputs, ...(weights === "inputs" ? parameters : []), ...ownInputs(this.#compiled.graph)];
    return { inputs: given, outputs, order, parameters: weights === "inputs" ? {} : values, metadata };
  }

  #described(outputs: ProgramGraph["outputs"], values: Tensors, weights: Weights): Record<string, string> {
    const { objective, graph, executable } = this.#compiled;
    const { expected, parameters, loss, output } = objective;
    return describedBy({
      loss,
      graph,
      outputs,
      output: output.shape,
      expected,
      parameters,
      values,
      weights,
      want: this.parts.want,
      memory: executable.memory.moments,
      notFinite: this.#options.allowNotFinite === true,
    });
  }

  /**
   * What a saved file must be fed beside the data, by the names of its inputs, for others who run it; what the file holds itself
   * is left out.
   * @param options as `run` takes them; `parameters` only for a file whose weights are inputs
   * @throws PergradError MISSING_TENSOR, SHAPE_MISMATCH, INVALID_ARGUMENT, and what `run` throws on bad data of another batch.
   */
  async besideData(
    options: Pick<RunOptions, "parameters" | "vectors" | "maxNorms" | "others"> = {},
  ): Promise<Readonly<Record<string, Tensor>>> {
    return this.execution.beside(options);
  }

  /**
   * Writes the program to a file, which runs wherever ONNX does. Parameters that are too large for one file go into a second one
   * beside it, with the same name and ".data" at the end.
   * @throws PergradError FILE_UNWRITABLE, INVALID_ARGUMENT.
   */
  async save(path: string, options: SaveOptions & SavedFor = {}): Promise<void> {
    await writeModel(this.#encodable(options), path, options);
  }

  /** The method chosen for each parameter, and why: as data, or as a table by `String(...)`. */
  explain(): Explanation {
    const { model } = this.#compiled.objective;
    const { losses, parameters, notes: own } = this.#compiled.objective;
    const wants = Object.values(this.parts.want);
    const steps = wants.some((want) => want.twice) ? stepNote(losses, parameters.values()) : null;
    const { rows, totals, chosen } = this.#compiled.explained();
    const { executable, notes: where } = this.#compiled;
    const notes = [...own, ...chosen, ...executable.notes, ...where, ...(steps ? [steps] : [])];
    return new Explanation(rows, notes, totals, model.constants);
  }

  /** The graph that the runtime is given, as text: one line for each node, with shapes, dtypes and sample axes. */
  graph(): string {
    const sampleAxes = sampleAxesOf(this.#compiled.objective);
    return printGraph(graphOf(this.#compiled.executable.program.outputs), { sampleAxes });
  }

  /**
   * Each node's time and memory. The batch runs in a session of its own, with the runtime's profiler.
   * @param data as `run` takes it
   * @param options `runs`: times are the mean over this many runs, after one that does not count; default 10
   * @throws PergradError what `run` throws on bad data, INVALID_ARGUMENT for an empty batch, and RUNTIME if the runtime has no
   * profiler.
   */
  async profile(
    data: Readonly<Record<string, Data>>,
    { runs = 10, ...options }: RunOptions & { readonly runs?: number } = {},
  ): Promise<Profile> {
    return this.#profile(this.prepared(data, options), runs, options);
  }

  async #profile({ feeds, samples }: Prepared, runs: number, options: RunOptions): Promise<Profile> {
    const { objective, plan } = this.#compiled;
    // If another thread made the plan, it cannot be profiled.
    if (!plan) throw noProfiler(this.#target);
    const own = ownOptions(options);
    const given = copiesOf(await this.execution.feeds({ feeds: copiesOf(feeds), samples }, own));
    const parts = { objective, plan, others: this.parts.others };
    return profileOf(parts, this.#options, this.#target, { feeds: given, samples, runs });
  }

  override async release(): Promise<void> {
    await super.release();
    for (const other of [this.#forNotFinite, this.#forManySamples])
      await (await other?.catch(() => undefined))?.release();
  }
}

/** The factors of the wants' other batches, by the names of the wants. */
async function compileOthers(
  objective: Objective,
  options: ProgramOptions<Wants>,
  target: Target,
): Promise<Map<string, Others>> {
  const found = new Map<string, Others>();
  const { observe: _, onCompile: __, ...own } = options;
  const everyPosition = needEveryPosition(options.want);
  try {
    for (const [name, { others, givenOthers }] of Object.entries(options.want)) {
      if (givenOthers === undefined && !others) continue;
      const { BatchFactors, factors, GivenFactors } = await import("./others.js");
      if (givenOthers !== undefined) found.set(name, new GivenFactors(givenOthers));
      if (!others) continue;
      const wanted = { factors: factors({ everyPosition }) };
      const program = await Program.of(objective, { ...own, want: wanted }, target);
      found.set(name, await BatchFactors.of(program, others));
    }
  } catch (error) {
    await releaseAll(found);
    throw error;
  }
  return found;
}
