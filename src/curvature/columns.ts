/** Diagonals and Jacobians: what is made of the curvature's columns, one for each element of an output or a parameter. */

import { type Directions, forEachDirection, sumOverDirections } from "../autodiff/directions.js";
import { cheapest, type Factored, sampleCount, sumPerSample } from "../gradients/factored.js";
import { N } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import { dependentsOf, nodesBefore } from "../graph/walk.js";
import { elementFactor } from "../ops/build.js";
import { build } from "../ops/registry.js";
import { nth, present } from "../present.js";
import { random } from "../tensor/random.js";
import type { Differentiable } from "./differentiable.js";
import { LossHead } from "./loss-head.js";
import { type Gradients, hessianProduct, innerProduct, pulledBack, sumOfProducts } from "./products.js";
import { type PseudoTargetKind, pseudoTargets } from "./pseudo-targets.js";

/** By the names of parameters, a value each. */
export type ByName = ReadonlyMap<string, Value>;

function perParameter({ parameters }: Differentiable, values: readonly Value[]): ByName {
  return new Map([...parameters.keys()].map((name, k) => [name, nth(values, k)]));
}

/** The elements of a sample's output; `of` is given a seed `[N, ...]` that is 1 at one of them. */
function ofOutputs({ output }: Differentiable, of: (seed: Value) => readonly Value[]): Directions {
  const own = output.shape.slice(1);
  return {
    size: elementFactor(own),
    dtype: output.dtype,
    of: (direction) => of(build.expand(build.reshape(direction, [1, ...own]), output.shape)),
  };
}

/**
 * The diagonals of J_n' L_n J_n, `[N, ...shape]`: with R_n a square root of L_n, the sum of the squares of the rows of
 * R_n' J_n (Dangel et al. 2020, "BackPACK"). Where no root is known, for each element o of the output row o of J_n times row
 * o of L_n J_n: L_n may then be any symmetric matrix.
 */
export function gaussNewtonDiagonal(of: Differentiable, kind: PseudoTargetKind = "type2"): ByName {
  return diagonalBy(of, kind, ofEachSample);
}

/** Their mean over the samples, `[...shape]`: what is summed over the samples at once is not held for each of them. */
export function meanGaussNewtonDiagonal(of: Differentiable, kind: PseudoTargetKind = "type2"): ByName {
  return diagonalBy(of, kind, ofTheMean(build.div(build.scalar(1, of.losses), sampleCount(build))));
}

function diagonalBy(of: Differentiable, kind: PseudoTargetKind, made: OfSamples): ByName {
  const targets = pseudoTargets(of, kind);
  const { gradients, weighted, seed } = targets;
  const factors = [...gradients.values(), ...weighted.values()].flatMap((gradient) => gradient.factors);
  const dependent = dependentsOf([seed], nodesBefore(factors));
  const products = [...gradients].map(([name, own]) => productOf(own, present(weighted.get(name)), dependent, made));
  const sums = targets.sum(products.map(({ value }) => value));
  return perParameter(
    of,
    products.map(({ whole }, k) => whole(nth(sums, k))),
  );
}

/** The traces of each parameter's part of J_n' L_n J_n, `[N]`: sums of squared norms, of gradients that need not be multiplied out. */
export function gaussNewtonTraces(of: Differentiable, kind: PseudoTargetKind = "type2"): ByName {
  const targets = pseudoTargets(of, kind);
  if (targets.gradients !== targets.weighted)
    return new Map([...gaussNewtonDiagonal(of)].map(([name, diagonal]) => [name, sumPerSample(build, diagonal)]));
  const norms = [...targets.gradients.values()].map((gradient) => cheapest(gradient.squaredNorms()).emit(build));
  return perParameter(of, targets.sum(norms));
}

/** The product of two gradients, element by element, which is summed over directions. */
interface Product {
  readonly value: Value;
  /** Makes the product's sum, `[N, ...shape]` or `[...shape]`, of the value's. */
  whole(sum: Value): Value;
}

/** What becomes of the samples' products. */
interface OfSamples {
  /** Of a product that is given by factors. */
  factored(product: Factored): Value;
  /** Of one that is materialised: what is summed over directions, and the result of that sum. */
  materialised(own: Value, other: Value): Product;
}

const ofEachSample: OfSamples = {
  factored: (product) => product.materialise(build),
  materialised: (own, other) => ({ value: build.mul(own, other), whole: (sum) => sum }),
};

/** @param weight 1 / N */
const ofTheMean = (weight: Value): OfSamples => ({
  factored: (product) => cheapest(product.weightedSums()).emit(build, weight),
  materialised: (own, other) => ({ value: sumOfProducts(own, other), whole: (sum) => build.mul(sum, weight) }),
});

/**
 * Where a gradient has one position, and one of its factors is the same for all directions, the products of the other
 * factors are summed, and multiplied out once.
 */
function productOf(own: Factored, other: Factored, dependent: ReadonlySet<Value>, made: OfSamples): Product {
  const [first, second] = own.factors;
  const [left, right] = other.factors;
  const splits = (own.kind === "outer" || own.kind === "convolution") && own.kind === other.kind && own.positions === 1;
  if (splits && first && second && left && right && own.terms.length === 1) {
    if (first === left && !dependent.has(first))
      return {
        value: build.mul(second, right),
        whole: (sum) => made.factored(own.withFactors([build.square(first), sum])),
      };
    if (second === right && !dependent.has(second))
      return {
        value: build.mul(first, left),
        whole: (sum) => made.factored(own.withFactors([sum, build.square(second)])),
      };
  }
  const rows = own.materialise(build);
  return made.materialised(rows, own === other ? rows : other.materialise(build));
}

/** The Jacobians of each sample's output, `[N, ...output, ...shape]` each. */
export function jacobians(of: Differentiable): ByName {
  const rows = forEachDirection(
    ofOutputs(of, (seed) => [...pulledBack(of, of.output, seed).values()].map((row) => row.materialise(build))),
  );
  const own = of.output.shape.slice(1);
  const shaped = [...of.parameters.values()].map(({ shape }, k) =>
    build.reshape(build.moveAxis(nth(rows, k), 0, 1), [N, ...own, ...shape]),
  );
  return perParameter(of, shaped);
}

/** The Hessian of each sample's loss in its output, whose elements are taken one after another: `[N, elements, elements]`. */
export function outputHessians(of: Differentiable): Value {
  const head = new LossHead(of);
  const [rows] = forEachDirection(ofOutputs(of, (seed) => [head.times(of.output, seed)]));
  const elements = elementFactor(of.output.shape.slice(1));
  return build.reshape(build.moveAxis(present(rows), 0, 1), [N, elements, elements]);
}

/** The gradient of each sample's loss in its output, `[N, ...output]`. */
export function outputGradients(of: Differentiable): Value {
  return new LossHead(of).gradient(of.output);
}

/** Where each parameter's elements lie among those of all, one after another. */
function placesOf({ parameters }: Differentiable) {
  let size = 0;
  const places = [...parameters].map(([name, { shape }]) => {
    const start = size;
    size += elementFactor(shape);
    return { name, shape, start, end: size };
  });
  return { size, places };
}

/** A direction over all parameters, taken apart. */
function apart(of: Differentiable, direction: Value): Map<string, Value> {
  const { places } = placesOf(of);
  return new Map(
    places.map(({ name, shape, start, end }) => [name, build.reshape(build.slice(direction, 0, start, end), shape)]),
  );
}

/** The diagonals of the Hessians, `[N, ...shape]`: a product with a unit vector for each element of the parameters. */
export function hessianDiagonal(of: Differentiable, gradients: Gradients): ByName {
  const { size, places } = placesOf(of);
  const [diagonal] = forEachDirection({
    size,
    dtype: of.losses.dtype,
    of: (direction) => {
      const unit = apart(of, direction);
      const product = hessianProduct(of, gradients, unit);
      const dots = [...unit].map(([name, own]) => innerProduct(present(product.get(name)), own));
      return [dots.reduce((sum, dot) => build.add(sum, dot))];
    },
  });
  const samplesFirst = build.transpose(present(diagonal), [1, 0]);
  const parts = places.map(({ shape, start, end }) =>
    build.reshape(build.slice(samplesFirst, 1, start, end), [N, ...shape]),
  );
  return perParameter(of, parts);
}

/** Random vectors of signs over all parameters. */
export interface Probes {
  readonly count: number;
  readonly seed: number;
}

/**
 * Estimates of the diagonals without bias: the means of v times H_n v, element by element, over vectors v of random signs
 * (Bekas et al. 2007, "An estimator for the diagonal of a matrix"). The variance of element i is the sum of the squares of
 * row i of H_n beside the diagonal, over the number of vectors.
 */
export function estimatedDiagonal(of: Differentiable, gradients: Gradients, { count, seed }: Probes): ByName {
  const { size } = placesOf(of);
  const signs = random(seed).uniforms(count * size, -1, 1);
  const sums = sumOverDirections({
    size,
    dtype: of.losses.dtype,
    rows: build.floats(
      signs.map(Math.sign).map((sign) => sign || 1),
      [count, size],
      of.losses,
    ),
    of: (direction) => {
      const vectors = apart(of, direction);
      const product = hessianProduct(of, gradients, vectors);
      return [...vectors].map(([name, own]) => build.mul(present(product.get(name)).materialise(build), own));
    },
  });
  return perParameter(
    of,
    sums.map((sum) => build.scale(sum, 1 / count)),
  );
}

/** The inner products of all pairs of samples' Jacobians, `[N, N]`: the neural tangent kernel, summed over outputs. */
export function tangentKernel(of: Differentiable): Value {
  const products = [...jacobians(of).values()].map((jacobian) => {
    const flat = build.reshape(jacobian, [N, elementFactor(jacobian.shape)]);
    return build.matmul(flat, build.transpose(flat, [1, 0]));
  });
  return products.reduce((sum, product) => build.add(sum, product));
}
