import type { Tensor } from "../../src/tensor.js";

/** max |difference| over max |expected|; infinite where an element is NaN or missing. */
export function relativeError(found: Tensor, expected: Tensor): number {
  const [a, b] = [numbers(found), numbers(expected)];
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let [worst, largest] = [0, 1e-30];
  a.forEach((x, i) => {
    const difference = Math.abs(x - (b[i] ?? Number.NaN));
    worst = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(worst, difference);
    largest = Math.max(largest, Math.abs(b[i] ?? 0));
  });
  return worst / largest;
}

export function numbers({ data }: Tensor): number[] {
  return data instanceof BigInt64Array || data instanceof BigUint64Array ? Array.from(data, Number) : [...data];
}
