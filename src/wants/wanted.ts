/** What every want is made of. */
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

/** What a want is planned from. */
export interface WantContext {
  readonly plan: Plan;
  /** What second derivatives are taken of. */
  readonly differentiable: Differentiable;
  /** `[N]` */
  readonly losses: Value;
  readonly outputs: Readonly<Record<string, Value>>;
  /** An input of the want's own, of a parameter's shape. */
  vector(parameter: string): Value;
  /** An input of the want's own, a number `[]` under this name: `initial`, unless `run` is given another. */
  scalar(name: string, initial: number): Value;
  /** The number of samples in the want's other batch. */
  readonly others: number;
  /** An input of the want's own that takes what `factors` gives under this name for the other batch. */
  factor(name: string, type: Pick<Value, "dtype" | "shape">): Value;
}

/** The tensors that a program returned for one want, by the names that the want gave them. */
export type Returned = Readonly<Record<string, Tensor>>;

export type JoinedAs =
  /** Any part's: it says something of how it was computed. */
  | { readonly kind: "shared" }
  /** It sums squared deviations from the mean; `sum` names the result that is the sum. */
  | { readonly kind: "deviations"; readonly sum: string };

/** Options of a want as plain data; what is undefined was not given. */
export type WantSettings = Readonly<Record<string, unknown>>;

/** A want: a result computed from the per-sample gradients of a batch, with its type. `want` makes them. */
export interface Want<R> {
  /** What messages and `explain` call it: "norms". */
  readonly name: string;
  /** Of a want that stands for another one, which takes much code: loads that. */
  readonly later?: () => Promise<Want<R>>;
  /** What it needs of each parameter's gradient, which the planner weighs. */
  readonly requirements: Partial<Requirements>;
  /** What the want's own inputs hold where `run` is given nothing else. */
  readonly vectors?: ByParameter;
  /** Another batch, or the path of a file, whose gradients the want looks at beside those of the batch that is run. */
  readonly others?: Readonly<Record<string, Data>> | string;
  /** What the want looks at in the place of another batch's gradients is given to each run: so many samples of it. */
  readonly givenOthers?: number;
  /** Results without samples of their own are sums over the batch, unless they are means over it. */
  readonly joining?: "mean";
  /** How a program puts a result of parts of a batch together, where it is neither by adding nor by averaging. */
  readonly joinedAs?: (tensor: string) => JoinedAs | undefined;
  /** Which of its values is the norm of each sample's whole gradient, `[N]`, where one is. */
  readonly norms?: string;
  /** Values `[N]` that its result adds up: of samples that are left out they are 0. */
  readonly addedUp?: readonly string[];
  /** What it was made with, for readers of a saved program: plain data. Default: nothing. */
  readonly settings?: WantSettings;
  /** What it computes takes many times the memory of a gradient: few samples at a time, within a cache, take less time. */
  readonly fewAtATime?: boolean;
  /** It looks at the inputs of layers at all positions, also at those that nothing reads the outputs of. */
  readonly everyPosition?: true;
  /** It differentiates each loss twice. */
  readonly twice?: true;
  /** The dtype in which the runtime hands over what is computed; float32 where not given. */
  readonly storage?: "float16";
  /** Remarks for `explain()`: what was chosen that the results do not say themselves. */
  notes?(wanted: Pick<WantContext, "differentiable">): readonly string[];
  /** The values to compute, under names of the want's own. */
  emit(wanted: WantContext): Record<string, Value>;
  /** The result, from the tensors so named. */
  read(returned: Returned, samples: number): R;
}

/** Whether a want looks at the inputs of layers at all positions. */
export function needEveryPosition(wants: Wants): boolean {
  return Object.values(wants).some(({ everyPosition }) => everyPosition === true);
}

/** The result that a want gives. */
export type ResultOf<W> = W extends Want<infer R> ? R : never;
/** Wants under names of your own. */
export type Wants = Readonly<Record<string, Want<unknown>>>;
/** What a program's `run` gives: each want's result, under the want's name. */
export type Results<W extends Wants> = { readonly [K in keyof W]: ResultOf<W[K]> };

/**
 * The results of all wants.
 * @param returnedFor what was computed for a want, by its own names
 */
export function readWants<W extends Wants>(
  wants: W,
  returnedFor: (want: string) => Returned,
  samples: number,
): Results<W> {
  const results = Object.entries(wants).map(([name, each]) => [name, each.read(returnedFor(name), samples)] as const);
  return Object.fromEntries(results) as Results<W>;
}

/** The wants themselves, of those that stand for others. */
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

/** The tensors whose names start with `prefix`, without it. */
export function under(returned: Returned, prefix: string): Record<string, FloatTensor> {
  const found: Record<string, FloatTensor> = {};
  for (const name in returned) if (name.startsWith(prefix)) found[name.slice(prefix.length)] = float(returned, name);
  return found;
}

/** The norm of these parameters' gradients together, of all unless given, `[N]`. */
export function totalNorm({ plan, losses }: WantContext, parameters: readonly string[] = plan.parameters): Value {
  const squares = parameters.map((parameter) => plan.squaredNorm(parameter));
  return squares.length === 0 ? build.zeros(losses.shape, losses.dtype) : build.sqrt(build.op("Sum", squares));
}

/** What `want.norms` gives. */
export interface Norms {
  /** 2-norm of each sample's whole gradient, `[N]`. */
  readonly total: FloatTensor;
  /** 2-norm of each sample's gradient of each parameter, `[N]`. */
  readonly parameters: ByParameter;
}
