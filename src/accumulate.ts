// Loops over many numbers have a function of their own: engines compile them sooner, and better.

/** Adds a part, times a weight, to a sum that is held in float64. */
export function addTo(sum: Float64Array, part: Float32Array, weight = 1): void {
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + weight * (part[i] as number);
}

/** A sum times a factor, in float32. */
export function times(sum: Float64Array, factor: number): Float32Array {
  const result = new Float32Array(sum.length);
  for (let i = 0; i < sum.length; i++) result[i] = (sum[i] as number) * factor;
  return result;
}
