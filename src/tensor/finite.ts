// Loops over many numbers are functions of their own, for one kind of array: engines compile them sooner, and better.
// Eight sums do not wait for each other.

/** Whether no number is NaN or infinite. */
export function areFinite(numbers: Float32Array | Float64Array): boolean {
  // In float64, a sum of float32 numbers does not overflow.
  return numbers instanceof Float32Array ? Number.isFinite(sumOf(numbers)) : timesZero(numbers) === 0;
}

/** The sum of the magnitudes, in float64; NaN if there is one among the numbers. */
export function sumOfMagnitudes(numbers: Float32Array): number {
  let [a, b, c, d] = [0, 0, 0, 0];
  const whole = numbers.length - (numbers.length % 4);
  for (let i = 0; i < whole; i += 4) {
    a += Math.abs(numbers[i] as number);
    b += Math.abs(numbers[i + 1] as number);
    c += Math.abs(numbers[i + 2] as number);
    d += Math.abs(numbers[i + 3] as number);
  }
  for (let i = whole; i < numbers.length; i++) a += Math.abs(numbers[i] as number);
  return a + b + c + d;
}

function sumOf(numbers: Float32Array): number {
  let [a, b, c, d, e, f, g, h] = [0, 0, 0, 0, 0, 0, 0, 0];
  const whole = numbers.length - (numbers.length % 8);
  for (let i = 0; i < whole; i += 8) {
    a += numbers[i] as number;
    b += numbers[i + 1] as number;
    c += numbers[i + 2] as number;
    d += numbers[i + 3] as number;
    e += numbers[i + 4] as number;
    f += numbers[i + 5] as number;
    g += numbers[i + 6] as number;
    h += numbers[i + 7] as number;
  }
  for (let i = whole; i < numbers.length; i++) a += numbers[i] as number;
  return a + b + c + d + e + f + g + h;
}

/** x * 0 is NaN exactly if x is not finite, so one pass without branches is enough. */
function timesZero(numbers: Float64Array): number {
  let [a, b, c, d] = [0, 0, 0, 0];
  const whole = numbers.length - (numbers.length % 4);
  for (let i = 0; i < whole; i += 4) {
    a += (numbers[i] as number) * 0;
    b += (numbers[i + 1] as number) * 0;
    c += (numbers[i + 2] as number) * 0;
    d += (numbers[i + 3] as number) * 0;
  }
  for (let i = whole; i < numbers.length; i++) a += (numbers[i] as number) * 0;
  return a + b + c + d;
}
