import { perSampleGradients } from "../autodiff/per-sample.js";
import { frugalOrder, type Ordered } from "../emit/order.js";
import { simplify } from "../emit/simplify.js";
import { storedAsFloat16 } from "../emit/storage.js";
import { PergradError } from "../errors.js";
import { Dense } from "../gradients/dense.js";
import { bindShape, N } from "../graph/dim.js";
import { leaf, type Value } from "../graph/value.js";
import { leavesOf } from "../graph/walk.js";
import { writeFileSafely } from "../io/atomic.js";
import type { Model } from "../model.js";
import { type ModelOptions, model as modelOf } from "../nn/model.js";
import type { Module } from "../nn/module.js";
import { encodeModel } from "../onnx/encode.js";
import { build } from "../ops/registry.js";
import { allDemands, asksOfGradients, explainPlan, Plan } from "../plan/planner.js";
import type { Results, Returned, Wants } from "../plan/want.js";
import { nodeRuntime } from "../run/node.js";
import type { RuntimeOptions, Session } from "../run/runtime.js";
import { Workers } from "../run/workers.js";
import { arrayOf, sizeOf, type Tensor } from "../tensor.js";
import { type Data, type Prepared, prepare } from "./data.js";
import type { Dataset } from "./dataset.js";
import { Explanation } from "./explanation.js";
import { checkMemoryOptions, type MemoryOptions, Microbatches } from "./microbatches.js";
import { type Objective, type ObjectiveOptions, objectiveOf, parameterValue } from "./objective.js";
import { Joined, joiningOf, type Output, pieces, samplesBetween } from "./split.js";
import { type Chunk, computed, joinedResults, type StreamOptions } from "./stream.js";

export interface ProgramOptions<W extends Wants> extends ObjectiveOptions, MemoryOptions {
  /** What to compute, under names of your own: `{ norms: want.norms(), sum: want.clippedSum({ maxNorm: 1 }) }`. */
  readonly want: W;
  /** Threads that the runtime may use. Default: all cores. */
  readonly threads?: number;
  /**
   * Run in a worker thread, so that the event loop stays free: in one of a pool, `workers()`, or, with `true`, in one
   * of the program's own, which ends when the program is released. Default: in the thread that asks.
   */
  readonly workers?: Workers | boolean;
}

/** `memoryBudget` and `microbatch` are those of the program where they are not given. */
export interface RunOptions extends MemoryOptions {
  /** Other values of parameters than the model's own, by name. */
  readonly parameters?: Readonly<Record<string, Tensor>>;
  /** What `want.dot` takes inner products with, by the name of the want, then of the parameter. */
  readonly vectors?: Readonly<Record<string, Readonly<Record<string, Tensor>>>>;
  /** Run even where the data holds NaN or infinity. Default false. */
  readonly allowNotFinite?: boolean;
}

/** Names in the emitted graph: those of the model's own inputs and parameters, and `<want>/<tensor>` for results. */
interface Emitted extends Ordered {
  readonly inputs: readonly Value[];
  readonly parameters: readonly Value[];
  readonly vectors: readonly Vector[];
  readonly outputs: readonly Output[];
}

/** An input of a want's own: a tensor of a parameter's shape. */
interface Vector {
  readonly want: string;
  readonly parameter: string;
  readonly value: Value;
}

/** A compiled program: one forward and one backward pass that compute all that is wanted of a batch. */
export class Program<W extends Wants> {
  readonly #objective: Objective;
  readonly #want: W;
  readonly #emitted: Emitted;
  readonly #plan: Plan;
  readonly #session: Session;
  readonly #microbatches: Microbatches;

  private constructor(
    objective: Objective,
    options: ProgramOptions<W>,
    plan: Plan,
    emitted: Emitted,
    session: Session,
  ) {
    this.#objective = objective;
    this.#want = options.want;
    this.#plan = plan;
    this.#emitted = emitted;
    this.#session = session;
    this.#microbatches = new Microbatches(emitted, objective.expected, options);
  }

  /** Compiles; see `perSample`. */
  static async compile<W extends Wants>(model: Model, options: ProgramOptions<W>): Promise<Program<W>> {
    checkMemoryOptions(options);
    const objective = objectiveOf(model, options);
    const plan = planFor(objective, options.want);
    const emitted = emit(objective, plan, options.want);
    const bytes = encodeModel({ inputs: inputsOf(emitted), outputs: emitted.outputs, order: emitted.order });
    const threads = options.threads === undefined ? {} : { threads: options.threads };
    // Within a budget no memory is kept in reserve.
    const session = await load(bytes, { ...threads, reserve: options.memoryBudget === undefined }, options.workers);
    return new Program(objective, options, plan, emitted, session);
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
   * @param data the model's inputs by name, and `target` where the loss has one; samples along each one's sample axis
   * Throws MISSING_TENSOR, INVALID_ARGUMENT, DTYPE_MISMATCH, SHAPE_MISMATCH, BATCH_MISMATCH, LABEL_OUT_OF_RANGE,
   * NOT_FINITE, MEMORY_BUDGET.
   */
  async run(data: Readonly<Record<string, Data>>, options: RunOptions = {}): Promise<Results<W>> {
    const prepared = this.#prepare(data, options);
    return readResults(this.#want, await this.#inParts(prepared, options), prepared.samples);
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
  async *stream(
    dataset: Dataset,
    options: RunOptions & StreamOptions = {},
  ): AsyncGenerator<Chunk<Results<W>>, void, undefined> {
    for await (const { from, to, returned } of this.#chunks(dataset, options)) {
      yield { from, to, results: readResults(this.#want, returned, to - from) };
    }
  }

  /**
   * The results of a whole dataset, as `run` gives them for one batch: sums over all samples, each sample's own
   * results side by side. Only these are held, not the dataset. Samples are counted as `stream` does.
   * Throws what `stream` throws, and INVALID_ARGUMENT where results take all samples at once (`want.gram`).
   */
  async runAll(dataset: Dataset, options: RunOptions & Omit<StreamOptions, "reuse"> = {}): Promise<Results<W>> {
    const check = () => this.#microbatches.requireSplit("a dataset cannot be computed in chunks");
    const found = await joinedResults(
      this.#chunks(dataset, { ...options, reuse: false }),
      this.#emitted.outputs,
      check,
    );
    const { returned, samples } = found ?? { returned: this.#empty(), samples: 0 };
    return readResults(this.#want, returned, samples);
  }

  #chunks(dataset: Dataset, options: RunOptions & StreamOptions) {
    const { expected } = this.#objective;
    const size = this.#microbatches.chunkSize(options);
    const prepare = (data: Readonly<Record<string, Data>>) => this.#prepare(data, options);
    const run = (prepared: Prepared) => this.#inParts(prepared, options);
    return computed(dataset, { expected, size, prepare, run }, options);
  }

  #prepare(data: Readonly<Record<string, Data>>, { allowNotFinite = false }: RunOptions): Prepared {
    const prepared = prepare(data, this.#objective.expected, allowNotFinite);
    const { target } = prepared.feeds;
    if (target) this.#objective.loss.validate?.(target, this.#objective.output.shape);
    return prepared;
  }

  async #inParts(prepared: Prepared, options: RunOptions): Promise<Returned> {
    const { samples } = prepared;
    const size = this.#microbatches.sizeFor(samples, options);
    if (size >= samples) return this.#once(prepared, options);
    const joined = new Joined(this.#emitted.outputs, samples);
    for (const [from, to] of pieces(samples, size)) {
      const part = samplesBetween(prepared, this.#objective.expected, from, to);
      joined.add(await this.#once(part, options), to - from);
    }
    return joined.finish().returned;
  }

  async #once({ feeds, samples }: Prepared, { parameters, vectors }: RunOptions): Promise<Returned> {
    if (samples === 0) return this.#empty();
    return this.#session.run({ ...this.#feed(feeds, parameters), ...this.#vectors(vectors) });
  }

  /** The program as an ONNX model: inputs and results as tensors, parameters stored inside. */
  encode(): Uint8Array {
    const { inputs, parameters, vectors, outputs, order } = this.#emitted;
    const values = Object.fromEntries(
      parameters.map((parameter) => [parameter.name, parameterValue(this.#objective.model, parameter)]),
    );
    return encodeModel({
      inputs: [...inputs, ...vectors.map(({ value }) => value)],
      outputs,
      order,
      parameters: values,
    });
  }

  /** Writes `encode()` to a file, which runs wherever ONNX does. Throws FILE_UNWRITABLE. */
  async save(path: string): Promise<void> {
    await writeFileSafely(path, this.encode());
  }

  /** What was chosen for each parameter and why: data, and as text a table. */
  explain(): Explanation {
    return new Explanation(explainPlan(this.#plan), this.#objective.model.notes);
  }

  /** Frees the runtime's memory. The program cannot run afterwards. */
  async release(): Promise<void> {
    await this.#session.release();
  }

  #feed(
    inputs: Readonly<Record<string, Tensor>>,
    parameters: Readonly<Record<string, Tensor>> = {},
  ): Record<string, Tensor> {
    const feeds: Record<string, Tensor> = {};
    for (const value of this.#emitted.inputs) feeds[value.name] = inputs[value.name] as Tensor;
    const unknown = Object.keys(parameters).find((name) => !Object.hasOwn(this.#objective.model.parameters, name));
    if (unknown !== undefined) throw new PergradError("MISSING_TENSOR", `The model has no parameter "${unknown}".`);
    for (const parameter of this.#emitted.parameters)
      feeds[parameter.name] = checkShape(
        "The parameter",
        parameter,
        parameter.name,
        parameters[parameter.name] ?? parameterValue(this.#objective.model, parameter),
      );
    return feeds;
  }

  #vectors(given: RunOptions["vectors"] = {}): Record<string, Tensor> {
    const unknown = Object.keys(given).find((name) => !this.#emitted.vectors.some(({ want }) => want === name));
    if (unknown !== undefined)
      throw new PergradError("MISSING_TENSOR", `There is no want "${unknown}" that takes inner products with vectors.`);
    const fed = this.#emitted.vectors.map(({ want, parameter, value }) => {
      const tensor = given[want]?.[parameter] ?? this.#want[want]?.vectors?.[parameter];
      if (tensor) return [value.name, checkShape(`The vector of "${want}" for`, value, parameter, tensor)] as const;
      throw new PergradError(
        "MISSING_TENSOR",
        `"${want}" takes inner products with vectors, but has none for the parameter "${parameter}"; give it by \`vectors\` to run, or to want.dot.`,
      );
    });
    return Object.fromEntries(fed);
  }

  /** An empty batch has empty results, and sums of zero. */
  #empty(): Returned {
    return Object.fromEntries(
      this.#emitted.outputs.map(({ name, value }) => {
        const dims = bindShape(value.shape, 0);
        return [name, { dtype: value.dtype, dims, data: new (arrayOf(value.dtype))(sizeOf(dims)) } as Tensor];
      }),
    );
  }
}

async function load(bytes: Uint8Array, options: RuntimeOptions, workers: Workers | boolean = false): Promise<Session> {
  if (workers === false) return nodeRuntime.load(bytes, options);
  if (workers !== true) return workers.load(bytes, options);
  const own = new Workers();
  try {
    const session = await own.load(bytes, options);
    return { run: (feeds) => session.run(feeds), release: () => session.release().then(() => own.release()) };
  } catch (error) {
    await own.release();
    throw error;
  }
}

function inputsOf({ inputs, parameters, vectors }: Emitted): Value[] {
  return [...inputs, ...parameters, ...vectors.map(({ value }) => value)];
}

function checkShape(whose: string, { dtype, shape }: Value, name: string, tensor: Tensor): Tensor {
  const fits = tensor.dims.length === shape.length && tensor.dims.every((dim, axis) => dim === shape[axis]);
  if (tensor.dtype === dtype && fits) return tensor;
  throw new PergradError(
    "SHAPE_MISMATCH",
    `${whose} "${name}" is ${tensor.dtype} [${tensor.dims.join(", ")}], but the model wants ${dtype} [${shape.join(", ")}].`,
  );
}

function planFor(objective: Objective, wants: Wants): Plan {
  const total = allDemands(Object.values(wants).map((each) => each.demands));
  if (!asksOfGradients(total)) return new Plan(new Map(), total);
  const found = perSampleGradients(objective.losses, [...objective.parameters.values()], objective.axes);
  // Through comparisons and integers a parameter may reach the loss without changing it: then it has zeros.
  const gradients = [...objective.parameters].map(([name, parameter]) => {
    const zeros = () => new Dense(build.zeros([N, ...parameter.shape], parameter.dtype));
    return [name, found.get(parameter) ?? zeros()] as const;
  });
  return new Plan(new Map(gradients), total);
}

function emit(objective: Objective, plan: Plan, wants: Wants): Emitted {
  const vectors: Vector[] = [];
  const wantedBy = (want: string) => ({
    plan,
    losses: objective.losses,
    outputs: objective.outputs,
    vector: (parameter: string) => {
      const type = { dtype: objective.losses.dtype, shape: plan.shapeOf(parameter) };
      const value = leaf(`${want}/with/${parameter}`, type, { kind: "input" });
      vectors.push({ want, parameter, value });
      return value;
    },
  });
  const named = Object.entries(wants).flatMap(([name, each]) =>
    Object.entries(each.emit(wantedBy(name))).map(([tensor, value]) => {
      return { want: name, name: `${name}/${tensor}`, value, joining: joiningOf(value, objective) };
    }),
  );
  const values = simplify(named.map(({ value }) => value));
  const leaves = new Set(leavesOf(values));
  const outputs = named.map(({ name, joining, want }, k) => {
    const value = values[k] as Value;
    return { name, joining, value: wants[want]?.storage === "float16" ? storedAsFloat16(value) : value };
  });
  const expected = [...objective.expected.values()];
  // One input that carries samples stays even if nothing reads it: from it the program knows N.
  const counted = expected.find(({ value, sampleAxis }) => sampleAxis !== null && leaves.has(value));
  const counter = counted ?? expected.find(({ sampleAxis }) => sampleAxis !== null);
  const inputs = expected.map(({ value }) => value).filter((value) => leaves.has(value) || value === counter?.value);
  const parameters = objective.model.graph.parameters.filter((parameter) => leaves.has(parameter));
  return { inputs, parameters, vectors, outputs, ...frugalOrder(outputs.map(({ value }) => value)) };
}

function readResults<W extends Wants>(wants: W, returned: Returned, samples: number): Results<W> {
  const results = Object.entries(wants).map(([name, each]) => {
    const prefix = `${name}/`;
    const own = Object.entries(returned).filter(([key]) => key.startsWith(prefix));
    return [
      name,
      each.read(Object.fromEntries(own.map(([key, tensor]) => [key.slice(prefix.length), tensor])), samples),
    ];
  });
  return Object.fromEntries(results) as Results<W>;
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
  return Program.compile("forward" in model ? modelOf(model, options) : model, options);
}
