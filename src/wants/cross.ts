/** Inner products of the gradients of two batches. */
import { Dense } from "../gradients/dense.js";
import { cheapest, type Factored, sizeOfGradient } from "../gradients/factored.js";
import { pairProducts } from "../gradients/pairs.js";
import { bindShape, N } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import { build } from "../ops/registry.js";
import type { Data } from "../tensor/data.js";
import { copiesOf } from "../tensor/data.js";
import {
  type ByParameter,
  each,
  type FloatTensor,
  float,
  type Returned,
  under,
  type Want,
  type WantContext,
} from "./wanted.js";

/** Factored or materialised gradients, whichever take fewer numbers. */
function smallest(gradient: Factored): Factored {
  return gradient.held <= sizeOfGradient(gradient) ? gradient : Dense.of(build, gradient);
}

/** What is kept of the other batch: the name and the value of each tensor. */
function kept(plan: WantContext["plan"], parameter: string): (readonly [name: string, value: Value])[] {
  return smallest(plan.factored(parameter)).factors.map((value, k) => [`${parameter}/${k}`, value] as const);
}

type Others = Readonly<Record<string, Data>> | string;

/** Copies of the arrays as they are now; a file is read when it is used. */
function ownOthers(others: Others): Others {
  return typeof others === "string" ? others : copiesOf(others);
}

/**
 * The tensors that `cross` takes for its other batch. `everyPosition` must equal that of the program that they are for.
 */
export function factors({ everyPosition = false }: { readonly everyPosition?: boolean } = {}): Want<Returned> {
  return {
    name: "factors",
    ...(everyPosition ? { everyPosition, settings: { everyPosition } } : {}),
    requirements: { factors: true },
    emit: ({ plan }) => Object.fromEntries(plan.parameters.flatMap((parameter) => kept(plan, parameter))),
    read: (returned) => returned,
  };
}

/** The most numbers of the others' materialised gradients that are held at a time, unless a few samples have more. */
const mostAtOnce = 2 ** 24;
const fewestAtOnce = 16;

/** `[N, M]` for one parameter. */
function crossOf({ plan, others, factor }: WantContext, parameter: string): Value {
  const own = plan.factored(parameter);
  const form = smallest(own);
  const given = kept(plan, parameter).map(([name, { dtype, shape }]) =>
    factor(name, { dtype, shape: bindShape(shape, others) }),
  );
  const products = (start: number, end: number) => {
    const part = given.map((value) => (end - start === others ? value : build.slice(value, 0, start, end)));
    return cheapest(pairProducts(own, form.withFactors(part), end - start));
  };
  const whole = products(0, others);
  const most = Math.max(fewestAtOnce, Math.floor(mostAtOnce / sizeOfGradient(own)));
  const multiplied = form.kind !== "dense" && (whole.dense || form.kind === "sum");
  if (!multiplied || others <= most) return whole.emit(build);
  const starts = Array.from({ length: Math.ceil(others / most) }, (_, k) => k * most);
  const parts = starts.map((start) => products(start, Math.min(start + most, others)).emit(build));
  return build.concat(parts, 1);
}

/**
 * The inner products of the gradients of each sample of the batch with those of each sample of another batch, for the
 * same model and loss: `[N, M]`, exactly. They say, to first order, what training samples do to the losses of a
 * validation set (Pruthi et al. 2020, "Estimating training data influence by tracing gradient descent").
 *
 * Its gradients are computed once, when the program is compiled, and kept as factors if these are fewer numbers. A run
 * that is given other parameters computes them again, and so does one that is given another batch of the same size:
 * `program.run(data, { others: { <want>: ... } })`. Memory grows with M times the factors of one sample, so split a
 * large set over several wants or runs. When it is compiled, the program throws what `run` throws on bad data.
 * @param others the other batch, as `run` takes one: the model's inputs by name, and `target`; or the path of a file,
 *   which is read in pieces
 */
export function cross(others: Others): Want<FloatTensor> {
  return {
    name: "cross",
    requirements: { factors: true },
    // Copied now: it is used whenever `run` is given other parameters.
    others: ownOthers(others),
    emit: (wanted) => {
      const none = () => build.zeros([N, 0], wanted.losses.dtype);
      const all = wanted.others === 0 ? [] : wanted.plan.parameters.map((parameter) => crossOf(wanted, parameter));
      return { cross: all.length === 0 ? none() : all.reduce((sum, value) => build.add(sum, value)) };
    },
    read: (returned) => float(returned, "cross"),
  };
}

/**
 * The inner products of each sample's gradient with `count` vectors that each run is given under the gradients' names,
 * `[count, ...shape]` each: summed over the gradients, `[N, count]`.
 */
export function productsWithGiven(
  { losses: { dtype }, factor }: WantContext,
  gradients: Iterable<readonly [name: string, gradient: Factored]>,
  count: number,
): Value {
  const products = Array.from(gradients, ([name, gradient]) => {
    const vectors = new Dense(factor(name, { dtype, shape: [count, ...gradient.shape] }));
    return cheapest(pairProducts(gradient, vectors, count)).emit(build);
  });
  return build.op("Sum", products);
}

/**
 * The inner products of each sample's gradient with M vectors, `[N, M]`. Each run is given them by `others`: `[M,
 * ...shape]` under each parameter's name.
 */
export function withVectors(count: number): Want<FloatTensor> {
  return {
    name: "withVectors",
    settings: { count },
    givenOthers: count,
    requirements: { factors: true },
    emit: (wanted) => {
      const gradients = wanted.plan.parameters.map((name) => [name, wanted.plan.factored(name)] as const);
      return { products: productsWithGiven(wanted, gradients, count) };
    },
    read: (returned) => float(returned, "products"),
  };
}

/** The result of `cross`, separately for each parameter: `[N, M]` each. */
export function crossByParameter(others: Others): Want<ByParameter> {
  return {
    name: "crossByParameter",
    requirements: { factors: true },
    others: ownOthers(others),
    emit: (wanted) => {
      const none = build.zeros([N, 0], wanted.losses.dtype);
      return each(wanted.plan.parameters, (name) => (wanted.others === 0 ? none : crossOf(wanted, name)));
    },
    read: (returned) => under(returned, ""),
  };
}
