/** Traces of a large symmetric matrix that is known by its products, estimated. */
import { random } from "../tensor/random.js";
import type { Times } from "./lanczos.js";
import { dot, meanOf, norm, orthogonalise, scaled, varianceOf } from "./vectors.js";

/** An estimate, and what it cost. */
export interface EstimatedTrace {
  /** The estimate. */
  readonly trace: number;
  /** The standard error of the part that is estimated: that of the mean over its vectors; 0 where nothing is left of it. */
  readonly standardError: number;
  /** Products that were taken. */
  readonly iterations: number;
}

/**
 * Hutch++ (Meyer, Musco, Musco and Woodruff 2021, "Hutch++: optimal stochastic trace estimation"): a third of the products
 * find the directions in which most of the matrix lies, where the trace is exact; what is left is estimated from random
 * signs orthogonal to them.
 */
export async function hutchPlusPlus(
  times: Times,
  { size, products, seed }: { readonly size: number; readonly products: number; readonly seed: number },
): Promise<EstimatedTrace> {
  const generator = random(seed);
  const signs = () => Float64Array.from(generator.uniforms(size, -1, 1), (x) => (x < 0 ? -1 : 1));
  const third = Math.min(Math.floor(products / 3), size);
  let taken = 0;
  const product = (vector: Float64Array) => {
    taken++;
    return times(vector);
  };
  const basis: Float64Array[] = [];
  for (let k = 0; k < third; k++) {
    const image = await product(signs());
    const before = norm(image);
    orthogonalise(image, basis);
    // A matrix of low rank is spanned before all are taken.
    if (norm(image) > 1e-5 * before) basis.push(scaled(image, 1 / norm(image)));
  }
  let exact = 0;
  for (const vector of basis) exact += dot(vector, await product(vector));
  if (basis.length >= size) return { trace: exact, standardError: 0, iterations: taken };
  const rest = Math.max(1, products - taken);
  const parts: number[] = [];
  for (let k = 0; k < rest; k++) {
    const vector = signs();
    orthogonalise(vector, basis);
    parts.push(dot(vector, await product(vector)));
  }
  return { trace: exact + meanOf(parts), standardError: Math.sqrt(varianceOf(parts) / rest), iterations: taken };
}
