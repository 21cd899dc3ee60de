/** Systems of linear equations with a symmetric positive definite matrix that is known by its products (Hestenes and Stiefel 1952). */
import type { Times } from "./lanczos.js";
import { addTo, dot, norm } from "./vectors.js";

export interface SolveSettings {
  readonly right: Float64Array;
  /** Of the residual's norm, relative to that of the right side. */
  readonly tolerance: number;
  readonly maxIterations: number;
}

export interface Solved {
  readonly solution: Float64Array;
  readonly iterations: number;
  /** The norm of what is left of the right side, over its own. */
  readonly residual: number;
  readonly converged: boolean;
  /** A direction was met along which the matrix is not positive: what was found until then is the solution given. */
  readonly indefinite: boolean;
}

export async function conjugateGradients(times: Times, settings: SolveSettings): Promise<Solved> {
  const { right, tolerance, maxIterations } = settings;
  const solution = new Float64Array(right.length);
  const left = right.slice();
  const size = norm(right);
  const done = (iterations: number, indefinite: boolean): Solved => {
    const residual = size === 0 ? 0 : norm(left) / size;
    return { solution, iterations, residual, converged: residual <= tolerance, indefinite };
  };
  let direction = left.slice();
  let slope = dot(left, left);
  for (let iteration = 0; ; iteration++) {
    if (iteration >= maxIterations || Math.sqrt(slope) <= tolerance * size) return done(iteration, false);
    const product = await times(direction);
    const curvature = dot(direction, product);
    if (!(curvature > 0)) return done(iteration, true);
    const step = slope / curvature;
    addTo(solution, direction, step);
    addTo(left, product, -step);
    const before = slope;
    slope = dot(left, left);
    const next = left.slice();
    addTo(next, direction, slope / before);
    direction = next;
  }
}
