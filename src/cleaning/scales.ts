/** Scores from 0 to 1. */

/** The middle value, or the mean of the two middle ones if their number is even; 0 if there are none. */
export function median(values: ArrayLike<number>): number {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return 0;
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

export function logistic(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

/** A value this many standard deviations above the median, by the median absolute deviation, scores 0.5. */
const unusual = 3;

/**
 * How far values are above the median of all: 0.5 at three standard deviations, estimated by the median absolute
 * deviation (times 1.4826, which for normal numbers is the standard deviation). All values equal: zeros. Values that
 * are not finite score 1, and do not count among the others.
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
