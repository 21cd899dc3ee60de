/** Inverses of a matrix that is known only by its products with vectors. */

import { PergradError } from "../../errors.js";
import { nth } from "../../present.js";
import { option, sentence } from "../../sentence.js";
import { conjugateGradients } from "../../solvers/conjugate-gradients.js";
import type { Curvature } from "../../solvers/curvature.js";
import { addTo, dot, norm, scaled } from "../../solvers/vectors.js";
import { type Apply, rowByRow } from "./inverse.js";

export interface CgOptions {
  /** The tolerance of the residual, relative to the right side. Default 1e-4. */
  readonly tolerance?: number;
  /** The most products for each vector. Default 500. */
  readonly maxIterations?: number;
}

/** Conjugate gradients for each vector (Martens 2010, "Deep learning via Hessian-free optimization"). */
export function cgInverse(curvature: Curvature, damping: number, options: CgOptions = {}): Apply {
  const { tolerance = 1e-4, maxIterations = 500 } = options;
  const times = async (vector: Float64Array) => {
    const product = await curvature.multiply(vector);
    addTo(product, vector, damping);
    return product;
  };
  return rowByRow(curvature.size, async (right) => {
    const { solution, converged, indefinite, residual } = await conjugateGradients(times, {
      right,
      tolerance,
      maxIterations,
    });
    if (indefinite && !converged)
      throw new PergradError(
        "INVALID_ARGUMENT",
        sentence`The curvature plus the damping ${damping} is not positive along a direction that conjugate gradients met; give a larger ${option("damping")}, or ${option("of", "ggn")}.`,
      );
    if (!converged && options.maxIterations === undefined)
      throw new PergradError(
        "INVALID_ARGUMENT",
        sentence`Conjugate gradients left ${residual.toPrecision(2)} of a gradient after ${maxIterations} products with the damping ${damping}; give a larger ${option("damping")}, or set ${option("maxIterations")} to accept what has been reached.`,
      );
    return solution;
  });
}

export interface LissaOptions {
  /** The number of terms after the first. Default 1000. */
  readonly terms?: number;
  /**
   * The number by which the damped matrix is divided; it must exceed half of the matrix's largest eigenvalue. Default:
   * that eigenvalue.
   */
  readonly scale?: number;
}

/** More than rounding in float32 adds to a vector, as a share of its length. */
const growth = 1e-4;

/**
 * The Neumann series (Agarwal et al. 2017, "Second-order stochastic optimization for machine learning in linear time";
 * used for influence by Koh and Liang 2017). It uses all data at once, so it is deterministic: h_0 = v, h_(j+1) = v +
 * h_j - (C h_j + d h_j)/s; the result is h/s.
 */
export async function lissaInverse(
  curvature: Curvature,
  damping: number,
  { terms = 1000, scale }: LissaOptions = {},
): Promise<Apply> {
  const divisor =
    scale ?? 1.02 * (Math.abs((await curvature.topEigenvalues(1, { tolerance: 1e-2 })).values[0] ?? 0) + damping);
  return rowByRow(curvature.size, async (vector) => {
    const found = vector.slice();
    let last = norm(vector);
    for (let term = 0; term < terms; term++) {
      const step = await curvature.multiply(found);
      for (let k = 0; k < step.length; k++)
        step[k] = (vector[k] ?? 0) - ((step[k] ?? 0) + damping * (found[k] ?? 0)) / divisor;
      addTo(found, step, 1);
      // Each step is the one before times I - (C + d I)/s, which shortens it where the series converges.
      const length = norm(step);
      if (!(length <= last * (1 + growth) || length <= growth * norm(found)))
        throw new PergradError(
          "INVALID_ARGUMENT",
          sentence`The series of lissa diverges with the scale ${divisor} and the damping ${damping}: the scale must exceed half of the largest eigenvalue, and the damped matrix must be positive; give a larger ${option("damping")}, another ${option("scale")}, or ${option("of", "ggn")}.`,
        );
      last = length;
    }
    return scaled(found, 1 / divisor);
  });
}

/** What rounding in float32 leaves of an eigenvalue that is 0, relative to the one that is largest in size. */
const rounding = 1e-6;

export interface ArnoldiOptions {
  /** The number of eigenvalues that are kept, the largest in size. Default 50. */
  readonly rank?: number;
}

/**
 * The inverse within the space of the eigenvalues that are largest in size (Schioppa et al. 2022, "Scaling up influence
 * functions"; for a symmetric matrix, Arnoldi's method is Lanczos's): the sum over them of v v' / (eigenvalue + d).
 * Damped eigenvalues that rounding cannot tell from 0 are left out, as a pseudo-inverse leaves them out.
 */
export async function arnoldiInverse(
  curvature: Curvature,
  damping: number,
  { rank = 50 }: ArnoldiOptions = {},
): Promise<Apply> {
  const count = Math.min(rank, curvature.size);
  const { values, vectors } = await curvature.topEigenvalues(count, { end: "either", tolerance: 1e-3 });
  const least = rounding * values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const pairs = vectors.flatMap((vector, k) => {
    const value = nth(values, k) + damping;
    return Math.abs(value) > least ? [{ vector: curvature.joined(vector), value }] : [];
  });
  return rowByRow(curvature.size, async (row) => {
    const found = new Float64Array(row.length);
    for (const { vector, value } of pairs) addTo(found, vector, dot(vector, row) / value);
    return found;
  });
}
