// Loops over many numbers are functions of their own: engines compile them sooner, and better.

/** Whether no number is NaN or infinite. */
export function areFinite(numbers: Float32Array | Float64Array): boolean {
  // x * 0 is NaN exactly if x is not finite, so one pass without branches is enough. Four sums do not wait for each other.
  let [a, b, c, d] = [0, 0, 0, 0];
  const whole = numbers.length - (numbers.length % 4);
  for (let i = 0; i < whole; i += 4) {
    a += (numbers[i] as number) * 0;
    b += (numbers[i + 1] as number) * 0;
    c += (numbers[i + 2] as number) * 0;
    d += (numbers[i + 3] as number) * 0;
  }
  for (let i = whole; i < numbers.length; i++) a += (numbers[i] as number) * 0;
  return a + b + c + d === 0;
}
