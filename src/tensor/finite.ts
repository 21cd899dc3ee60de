// Loops over many numbers are functions of their own: engines compile them sooner, and better.

/** Whether no number is NaN or infinite. */
export function areFinite(numbers: Float32Array | Float64Array): boolean {
  // x * 0 is NaN exactly if x is not finite, so one pass without branches is enough.
  let probe = 0;
  for (let i = 0; i < numbers.length; i++) probe += (numbers[i] as number) * 0;
  return probe === 0;
}
