/**
 * Linear systems with a symmetric positive definite matrix that is known only by its products (Hestenes and Stiefel
 * 1952), with or without a preconditioner.
 */
import type { Times } from "./lanczos.js";
import { addTo, dot, norm } from "./vectors.js";

export interface SolveSettings {
  readonly right: Float64Array;
  /** The norm of the residual to reach, relative to that of the right side. */
  readonly tolerance: number;
  readonly maxIterations: number;
  /** Multiplies by the inverse of a nearby positive definite matrix. Default: none. */
  readonly precondition?: Times | undefined;
}

export interface Solved {
  readonly solution: Float64Array;
  readonly iterations: number;
  /** The norm of the residual, divided by that of the right side. */
  readonly residual: number;
  readonly converged: boolean;
  /**
   * Whether a direction was met along which the matrix is not positive; the solution is then the last one before it.
   */
  readonly indefinite: boolean;
}

export async function conjugateGradients(times: Times, settings: SolveSettings): Promise<Solved> {
  const { right, tolerance, maxIterations, precondition = async (vector: Float64Array) => vector.slice() } = settings;
  const solution = new Float64Array(right.length);
  const left = right.slice();
  const size = norm(right);
  const done = (iterations: number, indefinite: boolean): Solved => {
    const residual = size === 0 ? 0 : norm(left) / size;
    return { solution, iterations, residual, converged: residual <= tolerance, indefinite };
  };
  let direction = await precondition(left);
  let slope = dot(left, direction);
  for (let iteration = 0; ; iteration++) {
    if (iteration >= maxIterations || norm(left) <= tolerance * size) return done(iteration, false);
    const product = await times(direction);
    const curvature = dot(direction, product);
    if (!(curvature > 0)) return done(iteration, true);
    const step = slope / curvature;
    addTo(solution, direction, step);
    addTo(left, product, -step);
    const next = await precondition(left);
    const before = slope;
    slope = dot(left, next);
    addTo(next, direction, slope / before);
    direction = next;
  }
}
