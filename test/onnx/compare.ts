import type { Tensor } from "../../src/tensor/tensor.js";

/** max |difference| over max |expected|, over the finite elements; infinite where NaN or infinities differ, or sizes. */
export function relativeError(found: Tensor, expected: Tensor): number {
  const [a, b] = [numbers(found), numbers(expected)];
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let [worst, largest] = [0, 1e-30];
  b.forEach((y, i) => {
    const x = a[i] ?? 0;
    if (Number.isFinite(y)) largest = Math.max(largest, Math.abs(y));
    if (!Object.is(x, y)) worst = Math.max(worst, Number.isFinite(y - x) ? Math.abs(y - x) : Number.POSITIVE_INFINITY);
  });
  return worst / largest;
}

export function numbers({ data }: Tensor): number[] {
  return data instanceof BigInt64Array || data instanceof BigUint64Array ? Array.from(data, Number) : [...data];
}
