/**
 * Eigenvalues of a large symmetric matrix that is known by its products (Lanczos 1950), with full reorthogonalisation: each
 * new vector is made orthogonal to all before it, twice, so that no eigenvalue is found again by rounding.
 */
import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import { nth } from "../present.js";
import { addTo, dot, norm, orthogonalise, scaled } from "./vectors.js";

export type Times = (vector: Float64Array) => Promise<Float64Array>;

export interface LanczosOptions {
  readonly start: Float64Array;
  /** At most. */
  readonly steps: number;
  /** Whether to stop: asked with what is known so far after every few steps. */
  readonly enough?: (known: Ritz) => boolean;
  /** Another vector to go on from where all that the first leads to is known: without, that is the end. */
  readonly again?: () => Float64Array;
}

/** Approximate eigenvalues, ascending. */
export interface Ritz {
  readonly values: readonly number[];
  /** How far each is from an eigenvalue, at most. */
  readonly residuals: readonly number[];
  /** Products that were taken. */
  readonly steps: number;
  /** Row k: the vector of value k. */
  vector(k: number): Float64Array;
  /** The first component of each value's vector in the Krylov basis, squared: the weights of a quadrature. */
  readonly weights: readonly number[];
}

/** Steps between two questions whether that is enough. */
const stepsBetween = 4;

/** What is left of a vector by rounding in float32, beside the matrix's own size. */
const rounding = 1e-6;

export async function lanczos(
  times: Times,
  { start, steps, enough = () => false, again }: LanczosOptions,
): Promise<Ritz> {
  const basis: Float64Array[] = [];
  const diagonal: number[] = [];
  const beside: number[] = [];
  let next = scaled(start, 1 / norm(start));
  let size = 0;
  for (;;) {
    basis.push(next);
    const product = await times(next);
    size = Math.max(size, norm(product));
    diagonal.push(dot(product, next));
    orthogonalise(product, basis);
    const left = norm(product);
    const invariant = left <= rounding * size;
    beside.push(invariant ? 0 : left);
    const last = basis.length >= Math.min(steps, start.length) || (invariant && !again);
    if (last || invariant || basis.length % stepsBetween === 0) {
      const known = ritzOf(diagonal, beside, basis);
      if (last || enough(known)) return known;
    }
    const onward = invariant && again ? again() : product;
    if (invariant) orthogonalise(onward, basis);
    next = scaled(onward, 1 / norm(onward));
  }
}

function ritzOf(diagonal: readonly number[], beside: readonly number[], basis: readonly Float64Array[]): Ritz {
  const size = diagonal.length;
  const rows = diagonal.map((own, row) =>
    diagonal.map((_, column) => {
      if (row === column) return own;
      return Math.abs(row - column) === 1 ? nth(beside, Math.min(row, column)) : 0;
    }),
  );
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(new Matrix(rows), {
    assumeSymmetric: true,
  });
  const order = realEigenvalues.map((_, k) => k).sort((a, b) => nth(realEigenvalues, a) - nth(realEigenvalues, b));
  const last = nth(beside, size - 1);
  const own = [...basis];
  return {
    values: order.map((k) => nth(realEigenvalues, k)),
    residuals: order.map((k) => Math.abs(last * eigenvectorMatrix.get(size - 1, k))),
    weights: order.map((k) => eigenvectorMatrix.get(0, k) ** 2),
    steps: size,
    vector: (k) => {
      const sum = new Float64Array(nth(own, 0).length);
      own.forEach((each, row) => {
        addTo(sum, each, eigenvectorMatrix.get(row, nth(order, k)));
      });
      return sum;
    },
  };
}
