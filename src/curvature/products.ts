/**
 * Products of each sample's curvature with a vector that all samples share. Each is a factored gradient like any other, so it
 * answers the same questions (norms, sums, inner products, ...).
 */

import { type Pushed, pushed, pushForward } from "../autodiff/forward.js";
import { perSampleCotangents } from "../autodiff/per-sample.js";
import { Dense } from "../gradients/dense.js";
import { cheapest, type Factored } from "../gradients/factored.js";
import { substitute } from "../graph/body.js";
import { N } from "../graph/dim.js";
import { leaf, type Value } from "../graph/value.js";
import { build } from "../ops/registry.js";
import { nth, present } from "../present.js";
import type { Differentiable } from "./differentiable.js";
import { LossHead } from "./loss-head.js";
import { hasSharedLoop, joinedValues } from "./shared-loops.js";

/** By the names of parameters. */
export type Gradients = ReadonlyMap<string, Factored>;
/** By the names of parameters, `[...shape]` each. For a parameter that has none, the vector is 0. */
export type Vectors = ReadonlyMap<string, Value>;

/** The inner products of each sample's gradient with a vector, `[N]`; if possible, nothing is materialised. */
export function along(of: Differentiable, gradients: Gradients, vectors: Vectors): Value {
  const dots = [...vectors].flatMap(([name, vector]) => {
    const gradient = gradients.get(name);
    return gradient ? [innerProduct(gradient, vector)] : [];
  });
  const [first, ...others] = dots;
  if (!first) return build.zeros(of.losses.shape, of.losses.dtype);
  return others.reduce((sum, dot) => build.add(sum, dot), first);
}

export function innerProduct(gradient: Factored, vector: Value): Value {
  const methods = gradient.dots();
  const factored = methods.filter(({ dense }) => !dense);
  return cheapest(factored.length > 0 ? factored : methods).emit(build, vector);
}

/** The sum over the first axis of the products of two values, element by element. */
export function sumOfProducts(own: Value, other: Value): Value {
  return own === other
    ? build.reduce("ReduceSumSquare", own, [0])
    : build.reduce("ReduceSum", build.mul(own, other), [0]);
}

/** J_n' times each sample's seed, for every parameter; 0 if nothing flows back to it. */
export function pulledBack(
  of: Differentiable,
  value: Value,
  seed: Value,
  names = [...of.parameters.keys()],
): Gradients {
  const wanted = names.map((name) => [name, present(of.parameters.get(name))] as const);
  const found = perSampleCotangents(
    new Map([[value, seed]]),
    wanted.map(([, parameter]) => parameter),
    of.axes,
    of.strategy,
    of,
  );
  const zeros = ({ shape, dtype }: Value) => new Dense(build.zeros([N, ...shape], dtype));
  return new Map(wanted.map(([name, parameter]) => [name, found.get(parameter) ?? zeros(parameter)]));
}

/**
 * H_n v: the gradient of g_n . v, where g_n is the gradient of the loss (Pearlmutter 1994, "Fast exact multiplication by the
 * Hessian"). If there is a loop that all samples share, g_n . v is computed in forward mode, because the loop's backward pass
 * would become one for each sample.
 */
export function hessianProduct(of: Differentiable, gradients: Gradients, vectors: Vectors): Gradients {
  const slope = hasSharedLoop(of) ? changeInSteps(of, of.losses, vectors) : along(of, gradients, vectors);
  return pulledBack(of, slope, build.expand(build.scalar(1, slope), slope.shape));
}

/**
 * The rate at which a value that carries samples changes along the vectors (forward mode). It is computed in steps if guards
 * would look at the cotangents of shared values, which are sums over the samples.
 */
function changeAlong(of: Differentiable, value: Value, vectors: Vectors): Value {
  if (hasSharedLoop(of)) return changeInSteps(of, value, vectors);
  const { tangent, guarded } = pushed(value, tangentsOf(of, vectors), build.choosing(of.strategy), of);
  const inShared = guarded && joinedValues(of).some((shared) => changeOfShared(of, shared, vectors).guarded);
  return inShared ? changeInSteps(of, value, vectors) : tangent;
}

function changeOfShared(of: Differentiable, shared: Value, vectors: Vectors): Pushed {
  return pushed(shared, tangentsOf(of, vectors), build.choosing(of.strategy), of);
}

function tangentsOf({ parameters }: Differentiable, vectors: Vectors): Map<Value, Value> {
  return new Map([...vectors].map(([name, vector]) => [present(parameters.get(name)), vector]));
}

/**
 * The same if there is a loop that all samples share, in two steps: first, once for all samples, how the shared values change
 * that meet samples; then how that changes the value.
 */
function changeInSteps(of: Differentiable, value: Value, vectors: Vectors): Value {
  const chosen = build.choosing(of.strategy);
  const joined = joinedValues(of).map((shared) => {
    const stand = leaf(shared.name, shared, { kind: "parameter" });
    return { shared, stand, change: changeOfShared(of, shared, vectors).tangent };
  });
  const [apart = value] = substitute([value], new Map(joined.map(({ shared, stand }) => [shared, stand])));
  const change = pushForward(apart, new Map(joined.map(({ stand, change }) => [stand, change])), chosen, of);
  return nth(substitute([change], new Map(joined.map(({ shared, stand }) => [stand, shared]))), 0);
}

/** J_n' L_n J_n v: forward to the output, through the loss, and back (Schraudolph 2002, "Fast curvature matrix-vector products"). */
export function gaussNewtonProduct(of: Differentiable, _gradients: Gradients, vectors: Vectors): Gradients {
  const less = { ...of, strategy: { holdLess: true, ...of.strategy } };
  const change = changeAlong(less, of.output, vectors);
  return pulledBack(less, of.output, new LossHead(of).times(of.output, change));
}

/** g_n (g_n . v): the product with the empirical Fisher matrix, for the true labels. */
export function fisherProduct(of: Differentiable, gradients: Gradients, vectors: Vectors): Gradients {
  return pulledBack(of, of.losses, along(of, gradients, vectors));
}
