/** Scores from 0 to 1. */

/** The middle value, the mean of the two middle ones where there is an even number; 0 of none. */
export function median(values: ArrayLike<number>): number {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return 0;
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

export function logistic(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

/** Standard deviations above the median, by the median absolute deviation, at which a value's score is 0.5. */
const unusual = 3;

/**
 * How far values lie above the median of all: 0.5 at three standard deviations, by the median absolute deviation (times
 * 1.4826, which of normal numbers is their standard deviation). Zeros where all values are equal; 1 of what is not finite,
 * which does not count among the others.
 */
export function farAbove(values: ArrayLike<number>): Float32Array {
  const finite = Array.from(values).filter(Number.isFinite);
  const middle = median(finite);
  const deviation = 1.4826 * median(finite.map((value) => Math.abs(value - middle)));
  return Float32Array.from(values, (value) => {
    if (!Number.isFinite(value)) return 1;
    if (value === middle) return logistic(-unusual);
    return logistic((value - middle) / Math.max(deviation, 1e-12 * Math.abs(middle), Number.MIN_VALUE) - unusual);
  });
}
