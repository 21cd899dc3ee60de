// Loops over many numbers are functions of their own: engines compile them sooner, and better.

/** Adds a part, times a weight, to a sum in float64. */
export function addTo(sum: Float64Array, part: Float32Array, weight = 1): void {
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + weight * (part[i] as number);
}

/** Adds another sum in float64. */
export function joinTo(sum: Float64Array, other: Float64Array): void {
  sum.set(sum.map((each, i) => each + (other[i] ?? 0)));
}

/** The number of samples, their sum, and the sum of their squared deviations from their mean, element by element. */
interface Spread<A> {
  readonly count: number;
  readonly sum: A;
  readonly deviations: A;
}

/**
 * Adds a part's squared deviations, and the term for the distance between its mean and that of the others (Chan et al.
 * 1983).
 */
export function addDeviations(all: Spread<Float64Array>, part: Spread<Float32Array>): void {
  const { deviations } = all;
  const both = all.count > 0 && part.count > 0;
  const weight = both ? (all.count * part.count) / (all.count + part.count) : 0;
  const [one, other] = both ? [1 / all.count, 1 / part.count] : [0, 0];
  for (let i = 0; i < deviations.length; i++) {
    const between = one * (all.sum[i] as number) - other * (part.sum[i] as number);
    deviations[i] = (deviations[i] as number) + (part.deviations[i] as number) + weight * between * between;
  }
}

/** A sum times a factor, in float32. */
export function times(sum: Float64Array, factor: number): Float32Array {
  const result = new Float32Array(sum.length);
  for (let i = 0; i < sum.length; i++) result[i] = (sum[i] as number) * factor;
  return result;
}
