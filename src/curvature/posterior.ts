/** A Gaussian distribution of the parameters: the covariance of outputs, and the precision as one dense matrix. */
import { sampleCount } from "../gradients/factored.js";
import { isBatch, multiply, N, type Shape } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import { leavesOf, nodesBefore, presentInputs } from "../graph/walk.js";
import { elementFactor } from "../ops/build.js";
import { build } from "../ops/registry.js";
import { nth, present } from "../present.js";
import { jacobians } from "./columns.js";
import type { Differentiable } from "./differentiable.js";
import { type Basis, matrixInBasis } from "./kronecker.js";
import { pseudoTargets, sumOfOne } from "./pseudo-targets.js";

/** All parameters, `[M, ...shape]` each, as rows `[M, P]`. */
export function inRows(values: ReadonlyMap<string, Value>): Value {
  const rows = [...values.values()].map((value) =>
    build.reshape(value, [nth(value.shape, 0), elementFactor(value.shape.slice(1))]),
  );
  return build.concat(rows, 1);
}

/** The mean over the samples of the generalised Gauss-Newton matrices, `[P, P]`. */
export function gaussNewtonMatrix(of: Differentiable): Value {
  const targets = pseudoTargets(of, "type2");
  const flat = (gradients: typeof targets.gradients) =>
    inRows(new Map([...gradients].map(([name, gradient]) => [name, gradient.materialise(build)])));
  const own = flat(targets.gradients);
  const other = targets.weighted === targets.gradients ? own : flat(targets.weighted);
  const sum = sumOfOne(targets, build.op("Gemm", [own, other], { transA: 1 }));
  return build.div(sum, sampleCount(build));
}

/** Parameters that are independent of all others, and a basis in which they are independent of each other. */
export interface Independent {
  readonly basis: Basis;
  /** The standard deviations in that basis, `[rows, columns]`. */
  readonly deviations: Value;
  /** The parameters, `[M, ...shape]`, as matrices `[M, rows, columns]`. */
  matrixOf(values: ReadonlyMap<string, Value>): Value;
}

/** J_n C J_n', `[N, E, E]`: the covariance of each sample's output, where C is the covariance of the parameters. */
export function outputCovariance(of: Differentiable, parts: readonly Independent[]): Value {
  const elements = elementFactor(of.output.shape.slice(1));
  const count = present(multiply(N, elements));
  const rows = new Map(
    [...jacobians(of)].map(([name, jacobian]) => {
      const { shape } = present(of.parameters.get(name));
      return [name, build.reshape(jacobian, [count, ...shape])];
    }),
  );
  const covariances = parts.map(({ basis, deviations, matrixOf }) => {
    const turned = matrixInBasis(matrixOf(rows), basis);
    const scaled = build.reshape(build.mul(turned, deviations), [N, elements, elementFactor(deviations.shape)]);
    return build.matmul(scaled, build.transposeLast(scaled));
  });
  return covariances.reduce((sum, each) => build.add(sum, each));
}

/** The variances on the diagonals of `[N, E, E]`, in the shape of the output. */
export function variancesOf(covariance: Value, output: Value): Value {
  const elements = elementFactor(output.shape.slice(1));
  const places = build.ints(Array.from({ length: elements }, (_, k) => k * (elements + 1)));
  const flat = build.reshape(covariance, [N, elements * elements]);
  return build.reshape(build.gather(flat, places, 1), output.shape);
}

/**
 * The parameters of the last layer: those that meet data nearest to the output, up to and including the first matrix. A bias
 * that is added to the layer's outputs is among them.
 */
export function lastLayer({
  output,
  parameters,
  axes,
}: Pick<Differentiable, "output" | "parameters" | "axes">): string[] {
  const names = new Map([...parameters].map(([name, value]) => [value, name]));
  const found = new Set<string>();
  for (const node of nodesBefore([output]).reverse()) {
    if (!node.outputs.some((value) => axes.of(value) !== null)) continue;
    const shared = presentInputs(node).filter((value) => axes.of(value) === null);
    const own = leavesOf(shared).flatMap((value) => {
      const name = names.get(value);
      return name === undefined ? [] : [{ name, value }];
    });
    for (const { name } of own) found.add(name);
    if (own.some(({ value }) => isMatrix(value))) break;
  }
  return [...parameters.keys()].filter((name) => found.has(name));
}

/** Whether more than one axis has more than one element. */
export function isMatrix({ shape }: { readonly shape: Shape }): boolean {
  return shape.filter((dim) => isBatch(dim) || dim > 1).length > 1;
}
