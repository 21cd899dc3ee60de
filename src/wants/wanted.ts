/** The parts that every want is made of. */
import type { Differentiable } from "../curvature/differentiable.js";
import { PergradError } from "../errors.js";
import type { Value } from "../graph/value.js";
import { build } from "../ops/registry.js";
import type { Plan } from "../plan/planner.js";
import type { Requirements } from "../plan/questions.js";
import type { Data } from "../tensor/data.js";
import type { Tensor } from "../tensor/tensor.js";

/** A float32 tensor. */
export type FloatTensor = Tensor<"float32">;
/** Tensors by the names of the parameters. */
export type ByParameter = Readonly<Record<string, FloatTensor>>;

/** What a want builds its values from. */
export interface WantContext {
  readonly plan: Plan;
  /** The model and loss that second derivatives are taken of. */
  readonly differentiable: Differentiable;
  /** `[N]` */
  readonly losses: Value;
  readonly outputs: Readonly<Record<string, Value>>;
  /** Adds an input for the want: a tensor of the parameter's shape. */
  vector(parameter: string): Value;
  /** Adds an input for the want: a number `[]` under this name. It is `initial` unless `run` is given another. */
  scalar(name: string, initial: number): Value;
  /** The number of samples in the want's other batch. */
  readonly others: number;
  /** Adds an input for the want: the tensor of this name that `factors` computes for the other batch. */
  factor(name: string, type: Pick<Value, "dtype" | "shape">): Value;
}

/** The tensors that a program returned for one want, by the names that the want gave them. */
export type Returned = Readonly<Record<string, Tensor>>;

export type JoinedAs =
  /** Take any part's: it describes how the result was computed. */
  | { readonly kind: "shared" }
  /** A sum of squared deviations from the mean; `sum` names the result that is the sum. */
  | { readonly kind: "deviations"; readonly sum: string };

/** The options of a want as plain data; undefined means that an option was not given. */
export type WantSettings = Readonly<Record<string, unknown>>;

/** A want: a result computed from the per-sample gradients of a batch, and its type. `want` makes them. */
export interface Want<R> {
  /** Its name in messages and in `explain`: "norms". */
  readonly name: string;
  /** Loads the want that this one stands for, if that needs much code. */
  readonly later?: () => Promise<Want<R>>;
  /** What it requires of each parameter's gradient; the planner weighs this. */
  readonly requirements: Partial<Requirements>;
  /** Values for the want's own inputs, unless `run` is given others. */
  readonly vectors?: ByParameter;
  /** Another batch, or the path of a file, whose gradients the want reads besides those of the batch that is run. */
  readonly others?: Readonly<Record<string, Data>> | string;
  /** The number of samples that each run is given in place of another batch's gradients. */
  readonly givenOthers?: number;
  /** Set if results without a sample axis are means over the batch. Default: they are sums. */
  readonly joining?: "mean";
  /** How a program joins the results of microbatches, if it neither adds nor averages them. */
  readonly joinedAs?: (tensor: string) => JoinedAs | undefined;
  /** The name of the value, if there is one, that is the norm of each sample's whole gradient, `[N]`. */
  readonly norms?: string;
  /** Names of values `[N]` that its result adds up: they are set to 0 for samples that are left out. */
  readonly addedUp?: readonly string[];
  /** The options it was made with, as plain data, for readers of a saved program. Default: none. */
  readonly settings?: WantSettings;
  /**
   * Its computation takes many times the memory of a gradient, so that a few samples at a time, which fit into a cache,
   * take less time.
   */
  readonly fewAtATime?: boolean;
  /** It reads the inputs of layers at all positions, even those whose outputs nothing reads. */
  readonly everyPosition?: true;
  /** It differentiates each loss twice. */
  readonly twice?: true;
  /** What its results are, if not computed from gradients: losses `[N]`, or the model's outputs, which may be infinite. */
  readonly holds?: "losses" | "outputs";
  /** One part of a gradient that is not finite spoils the results of other parameters too. */
  readonly spreads?: true;
  /** The dtype in which the runtime returns the results. Default: float32. */
  readonly storage?: "float16";
  /** Remarks for `explain()` on choices that the results do not show. */
  notes?(wanted: Pick<WantContext, "differentiable">): readonly string[];
  /** The values to compute, under names that the want chooses. */
  emit(wanted: WantContext): Record<string, Value>;
  /** Reads the want's result from the returned tensors, by those names. */
  read(returned: Returned, samples: number): R;
}

/** Whether any want reads the inputs of layers at all positions. */
export function needEveryPosition(wants: Wants): boolean {
  return Object.values(wants).some(({ everyPosition }) => everyPosition === true);
}

/** The type of a want's result. */
export type ResultOf<W> = W extends Want<infer R> ? R : never;
/** Wants under names of your own. */
export type Wants = Readonly<Record<string, Want<unknown>>>;
/** The result of a program's `run`: each want's result, under the want's name. */
export type Results<W extends Wants> = { readonly [K in keyof W]: ResultOf<W[K]> };

/**
 * Reads the results of all wants.
 * @param returnedFor the tensors that were computed for a want, by its own names
 */
export function readWants<W extends Wants>(
  wants: W,
  returnedFor: (want: string) => Returned,
  samples: number,
): Results<W> {
  const results = Object.entries(wants).map(([name, each]) => [name, each.read(returnedFor(name), samples)] as const);
  return Object.fromEntries(results) as Results<W>;
}

/** Loads the wants that others stand for. */
export async function loadedWants<W extends Wants>(wants: W): Promise<W> {
  const entries = Object.entries(wants).map(async ([name, each]) => [name, (await each.later?.()) ?? each] as const);
  return { ...wants, ...Object.fromEntries(await Promise.all(entries)) };
}

export function float(returned: Returned, name: string): FloatTensor {
  const tensor = returned[name];
  if (tensor?.dtype !== "float32")
    throw new PergradError("RUNTIME", `The program returned no float32 tensor "${name}".`);
  return tensor as FloatTensor;
}

export function each<T>(parameters: readonly string[], f: (parameter: string) => T): Record<string, T> {
  return Object.fromEntries(parameters.map((parameter) => [parameter, f(parameter)]));
}

/** The tensors whose names start with `prefix`, under names without it. */
export function under(returned: Returned, prefix: string): Record<string, FloatTensor> {
  const found: Record<string, FloatTensor> = {};
  for (const name in returned) if (name.startsWith(prefix)) found[name.slice(prefix.length)] = float(returned, name);
  return found;
}

/** The norm of these parameters' gradients together, `[N]`. Default: of all parameters. */
export function totalNorm({ plan, losses }: WantContext, parameters: readonly string[] = plan.parameters): Value {
  const squares = parameters.map((parameter) => plan.squaredNorm(parameter));
  return squares.length === 0 ? build.zeros(losses.shape, losses.dtype) : build.sqrt(build.op("Sum", squares));
}

/** The result of `want.norms`. */
export interface Norms {
  /** 2-norm of each sample's whole gradient, `[N]`. */
  readonly total: FloatTensor;
  /** 2-norm of each parameter's part of each sample's gradient, `[N]`. */
  readonly parameters: ByParameter;
}
