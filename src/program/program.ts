import { perSampleGradients } from "../autodiff/per-sample.js";
import { simplify } from "../emit/simplify.js";
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
import { factors as factorsOfOthers } from "../plan/cross.js";
import { allDemands, asksOfGradients, explainPlan, Plan } from "../plan/planner.js";
import type { Results, Returned, Wants } from "../plan/want.js";
import { nodeRuntime } from "../run/node.js";
import type { Session } from "../run/runtime.js";
import { arrayOf, sizeOf, type Tensor } from "../tensor.js";
import { type Data, prepare } from "./data.js";
import { Explanation } from "./explanation.js";
import { type Objective, type ObjectiveOptions, objectiveOf, parameterValue } from "./objective.js";
import { type OtherBatch, Others } from "./others.js";

export interface ProgramOptions<W extends Wants> extends ObjectiveOptions {
  /** What to compute, under names of your own: `{ norms: want.norms(), sum: want.clippedSum({ maxNorm: 1 }) }`. */
  readonly want: W;
  /** Threads that the runtime may use. Default: all cores. */
  readonly threads?: number;
}

export interface RunOptions {
  /** Other values of parameters than the model's own, by name. */
  readonly parameters?: Readonly<Record<string, Tensor>>;
  /** What `want.dot` takes inner products with, by the name of the want, then of the parameter. */
  readonly vectors?: Readonly<Record<string, Readonly<Record<string, Tensor>>>>;
  /** Another other batch for `want.cross`, by the name of the want; of as many samples as that which it was given. */
  readonly others?: Readonly<Record<string, OtherBatch>>;
  /** Run even where the data holds NaN or infinity. Default false. */
  readonly allowNotFinite?: boolean;
}

/** Names in the emitted graph: those of the model's own inputs and parameters, and `<want>/<tensor>` for results. */
interface Emitted {
  readonly inputs: readonly Value[];
  readonly parameters: readonly Value[];
  readonly vectors: readonly Vector[];
  readonly factors: readonly Factor[];
  readonly outputs: readonly { readonly name: string; readonly value: Value }[];
}

/** An input of a want's own: a tensor of a parameter's shape. */
interface Vector {
  readonly want: string;
  readonly parameter: string;
  readonly value: Value;
}

/** An input of a want's own: a tensor of its other batch. */
interface Factor {
  readonly want: string;
  readonly name: string;
  readonly value: Value;
}

/** A compiled program: one forward and one backward pass that compute all that is wanted of a batch. */
export class Program<W extends Wants> {
  readonly #objective: Objective;
  readonly #want: W;
  readonly #emitted: Emitted;
  readonly #plan: Plan;
  readonly #session: Session;
  readonly #others: ReadonlyMap<string, Others>;

  private constructor(
    objective: Objective,
    want: W,
    plan: Plan,
    emitted: Emitted,
    session: Session,
    others: ReadonlyMap<string, Others>,
  ) {
    this.#objective = objective;
    this.#want = want;
    this.#plan = plan;
    this.#emitted = emitted;
    this.#session = session;
    this.#others = others;
  }

  /** Compiles; see `perSample`. */
  static async compile<W extends Wants>(model: Model, options: ProgramOptions<W>): Promise<Program<W>> {
    const objective = objectiveOf(model, options);
    const plan = planFor(objective, options.want);
    const others = await compileOthers(model, options);
    try {
      const emitted = emit(objective, plan, options.want, others);
      const bytes = encodeModel({ inputs: inputsOf(emitted), outputs: emitted.outputs });
      const threads = options.threads === undefined ? {} : { threads: options.threads };
      return new Program(objective, options.want, plan, emitted, await nodeRuntime.load(bytes, threads), others);
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
   * Computes what is wanted for one batch of any size, 0 included.
   * @param data the model's inputs by name, and `target` where the loss has one; samples along each one's sample axis
   * Throws MISSING_TENSOR, INVALID_ARGUMENT, DTYPE_MISMATCH, SHAPE_MISMATCH, BATCH_MISMATCH, LABEL_OUT_OF_RANGE, NOT_FINITE.
   */
  async run(data: Readonly<Record<string, Data>>, options: RunOptions = {}): Promise<Results<W>> {
    const { feeds, samples } = prepare(data, this.#objective.expected, options.allowNotFinite ?? false);
    const { target } = feeds;
    if (target) this.#objective.loss.validate?.(target, this.#objective.output.shape);
    const returned =
      samples === 0
        ? this.#empty()
        : await this.#session.run({
            ...this.#feed(feeds, options.parameters),
            ...this.#vectors(options.vectors),
            ...(await this.#factors(options)),
          });
    return readResults(this.#want, returned, samples);
  }

  /** The program as an ONNX model: inputs and results as tensors, parameters stored inside. */
  encode(): Uint8Array {
    const { inputs, parameters, vectors, factors, outputs } = this.#emitted;
    const values = Object.fromEntries(
      parameters.map((parameter) => [parameter.name, parameterValue(this.#objective.model, parameter)]),
    );
    const own = [...vectors, ...factors].map(({ value }) => value);
    return encodeModel({ inputs: [...inputs, ...own], outputs, parameters: values });
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
    await releaseAll(this.#others);
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

  async #factors({ others: given = {}, ...options }: RunOptions): Promise<Record<string, Tensor>> {
    const unknown = Object.keys(given).find((name) => !this.#others.has(name));
    if (unknown !== undefined)
      throw new PergradError("MISSING_TENSOR", `There is no want "${unknown}" that looks at another batch.`);
    const feeds: Record<string, Tensor> = {};
    for (const [want, others] of this.#others) {
      const tensors = await others.factors(want, given[want], options);
      for (const factor of this.#emitted.factors)
        if (factor.want === want) feeds[factor.value.name] = tensors[factor.name] as Tensor;
    }
    return feeds;
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

function inputsOf({ inputs, parameters, vectors, factors }: Emitted): Value[] {
  return [...inputs, ...parameters, ...[...vectors, ...factors].map(({ value }) => value)];
}

/** The gradients of the wants' other batches, by the names of the wants. */
async function compileOthers(model: Model, options: ProgramOptions<Wants>): Promise<Map<string, Others>> {
  const found = new Map<string, Others>();
  try {
    for (const [name, { others }] of Object.entries(options.want)) {
      if (!others) continue;
      const program = await Program.compile(model, { ...options, want: { factors: factorsOfOthers() } });
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

function emit(objective: Objective, plan: Plan, wants: Wants, others: ReadonlyMap<string, Others>): Emitted {
  const vectors: Vector[] = [];
  const factors: Factor[] = [];
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
    others: others.get(want)?.samples ?? 0,
    factor: (name: string, type: Pick<Value, "dtype" | "shape">) => {
      const value = leaf(`${want}/other/${name}`, type, { kind: "input" });
      factors.push({ want, name, value });
      return value;
    },
  });
  const named = Object.entries(wants).flatMap(([name, each]) =>
    Object.entries(each.emit(wantedBy(name))).map(([tensor, value]) => ({ name: `${name}/${tensor}`, value })),
  );
  const values = simplify(named.map(({ value }) => value));
  const leaves = new Set(leavesOf(values));
  const expected = [...objective.expected.values()];
  // One input that carries samples stays even if nothing reads it: from it the program knows N.
  const counted = expected.find(({ value, sampleAxis }) => sampleAxis !== null && leaves.has(value));
  const counter = counted ?? expected.find(({ sampleAxis }) => sampleAxis !== null);
  const inputs = expected.map(({ value }) => value).filter((value) => leaves.has(value) || value === counter?.value);
  const parameters = objective.model.graph.parameters.filter((parameter) => leaves.has(parameter));
  return {
    inputs,
    parameters,
    vectors,
    factors,
    outputs: named.map(({ name }, k) => ({ name, value: values[k] as Value })),
  };
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
