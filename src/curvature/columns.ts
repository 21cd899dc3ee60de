/** Diagonals of Hessians, and Jacobians: from the curvature's columns, one for each element of an output or a parameter. */

import { type Directions, forEachDirection, sumOverDirections } from "../autodiff/directions.js";
import { N } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import { elementFactor } from "../ops/build.js";
import { build } from "../ops/registry.js";
import { nth, present } from "../present.js";
import { random } from "../tensor/random.js";
import { type ByName, type Differentiable, perParameter } from "./differentiable.js";
import { LossHead } from "./loss-head.js";
import { type Gradients, hessianProduct, innerProduct, pulledBack } from "./products.js";

/** One direction for each element of a sample's output; `of` takes a seed `[N, ...]` that is 1 at that element. */
function ofOutputs({ output }: Differentiable, of: (seed: Value) => readonly Value[]): Directions {
  const own = output.shape.slice(1);
  return {
    size: elementFactor(own),
    dtype: output.dtype,
    of: (direction) => of(build.expand(build.reshape(direction, [1, ...own]), output.shape)),
  };
}

/** The Jacobians of each sample's output, by parameter, `[N, ...output, ...shape]` each. */
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

/** The Hessian of each sample's loss in its output, flattened: `[N, elements, elements]`. */
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

/** Where each parameter's elements lie in a vector over all parameters. */
function placesOf({ parameters }: Differentiable) {
  let size = 0;
  const places = [...parameters].map(([name, { shape }]) => {
    const start = size;
    size += elementFactor(shape);
    return { name, shape, start, end: size };
  });
  return { size, places };
}

/** Splits a direction over all parameters, `[size]`, by parameter. */
function apart(of: Differentiable, direction: Value): Map<string, Value> {
  const { places } = placesOf(of);
  return new Map(
    places.map(({ name, shape, start, end }) => [name, build.reshape(build.slice(direction, 0, start, end), shape)]),
  );
}

/** The diagonals of the Hessians, `[N, ...shape]`, by a product with a unit vector for each element of the parameters. */
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

/** `count` random vectors of signs over all parameters, drawn from `seed`. */
export interface Probes {
  readonly count: number;
  readonly seed: number;
}

/**
 * Unbiased estimates of the diagonals, `[N, ...shape]`: the means of v times H_n v, element by element, over vectors v of
 * random signs (Bekas et al. 2007, "An estimator for the diagonal of a matrix"). The variance of element i is the sum of the
 * squares of row i of H_n outside the diagonal, divided by the number of vectors.
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

/** The neural tangent kernel, `[N, N]`: inner products of all pairs of samples' Jacobians, summed over the output. */
export function tangentKernel(of: Differentiable): Value {
  const products = [...jacobians(of).values()].map((jacobian) => {
    const flat = build.reshape(jacobian, [N, elementFactor(jacobian.shape)]);
    return build.matmul(flat, build.transpose(flat, [1, 0]));
  });
  return products.reduce((sum, product) => build.add(sum, product));
}
