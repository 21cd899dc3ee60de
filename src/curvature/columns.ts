/** Diagonals and Jacobians: what is made of the curvature's columns, one for each element of an output or a parameter. */

import { type Directions, forEachDirection, sizeOf, sumOverDirections } from "../autodiff/directions.js";
import { N } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import { build } from "../ops/registry.js";
import { nth, present } from "../present.js";
import type { Differentiable } from "./differentiable.js";
import { LossHead } from "./loss-head.js";
import { type Gradients, hessianProduct, innerProduct, pulledBack } from "./products.js";

/** By the names of parameters, a value each. */
export type ByName = ReadonlyMap<string, Value>;

function perParameter({ parameters }: Differentiable, values: readonly Value[]): ByName {
  return new Map([...parameters.keys()].map((name, k) => [name, nth(values, k)]));
}

/** The elements of a sample's output; `of` is given a seed `[N, ...]` that is 1 at one of them. */
function ofOutputs({ output }: Differentiable, of: (seed: Value) => readonly Value[]): Directions {
  const own = output.shape.slice(1);
  return {
    size: sizeOf(own),
    dtype: output.dtype,
    of: (direction) => of(build.expand(build.reshape(direction, [1, ...own]), output.shape)),
  };
}

/**
 * The diagonals of J_n' L_n J_n, `[N, ...shape]`: for each element o of the output, row o of J_n times row o of L_n J_n,
 * summed. L_n may be any symmetric matrix.
 */
export function gaussNewtonDiagonal(of: Differentiable): ByName {
  const head = new LossHead(of);
  const sums = sumOverDirections(
    ofOutputs(of, (seed) => {
      const rows = pulledBack(of, of.output, seed);
      const weighted = pulledBack(of, of.output, head.times(of.output, seed));
      return [...rows].map(([name, row]) =>
        build.mul(row.materialise(build), present(weighted.get(name)).materialise(build)),
      );
    }),
  );
  return perParameter(of, sums);
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

/** The diagonals of the Hessians, `[N, ...shape]`: a product with a unit vector for each element of the parameters. */
export function hessianDiagonal(of: Differentiable, gradients: Gradients): ByName {
  const sizes = [...of.parameters.values()].map(({ shape }) => sizeOf(shape));
  const starts = sizes.map((_, k) => sizes.slice(0, k).reduce((sum, size) => sum + size, 0));
  const size = sizes.reduce((sum, each) => sum + each, 0);
  const [diagonal] = forEachDirection({
    size,
    dtype: of.losses.dtype,
    of: (direction) => {
      const unit = new Map(
        [...of.parameters].map(([name, { shape }], k) => {
          const start = nth(starts, k);
          return [name, build.reshape(build.slice(direction, 0, start, start + nth(sizes, k)), shape)] as const;
        }),
      );
      const product = hessianProduct(of, gradients, unit);
      const dots = [...unit].map(([name, own]) => innerProduct(present(product.get(name)), own));
      return [dots.reduce((sum, dot) => build.add(sum, dot))];
    },
  });
  const samplesFirst = build.transpose(present(diagonal), [1, 0]);
  const parts = [...of.parameters.values()].map(({ shape }, k) => {
    const start = nth(starts, k);
    return build.reshape(build.slice(samplesFirst, 1, start, start + nth(sizes, k)), [N, ...shape]);
  });
  return perParameter(of, parts);
}

/** The inner products of all pairs of samples' Jacobians, `[N, N]`: the neural tangent kernel, summed over outputs. */
export function tangentKernel(of: Differentiable): Value {
  const products = [...jacobians(of).values()].map((jacobian) => {
    const flat = build.reshape(jacobian, [N, sizeOf(jacobian.shape)]);
    return build.matmul(flat, build.transpose(flat, [1, 0]));
  });
  return products.reduce((sum, product) => build.add(sum, product));
}
