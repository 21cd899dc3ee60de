/**
 * Measures of class scores, `[N, C]`, for samples with one label each. A label of -1 means none: its measures are 0.
 */

/** The probabilities of one sample's scores, in float64. */
export function softmax(scores: Float32Array): Float64Array {
  const highest = scores.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const powers = Float64Array.from(scores, (score) => Math.exp(score - highest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

/** |softmax(o) - onehot(y)|: EL2N (Paul et al. 2021, "Deep learning on a data diet"). */
export function el2n(scores: Float32Array, label: number): number {
  if (label < 0) return 0;
  return Math.sqrt(softmax(scores).reduce((sum, p, k) => sum + (p - (k === label ? 1 : 0)) ** 2, 0));
}

/** The score of the label minus the largest other one (Pleiss et al. 2020; AUM is its mean over a training). */
export function marginOf(scores: ArrayLike<number>, label: number): number {
  if (label < 0) return 0;
  return (scores[label] ?? 0) - (scores[largestBut(scores, label)] ?? 0);
}

/** The class with the largest score; the first one of equals. */
export function largest(scores: ArrayLike<number>): number {
  return largestBut(scores, -1);
}

/** The same, but -1 if a score is NaN: then nothing is predicted. */
export function predicted(scores: ArrayLike<number>): number {
  for (let k = 0; k < scores.length; k++) if (Number.isNaN(scores[k])) return -1;
  return largest(scores);
}

/** What scores `[N, classes]` predict for each sample, `[N]`. */
export function predictionsOf(scores: Float32Array, classes: number): Int32Array {
  return Int32Array.from({ length: scores.length / classes }, (_, n) =>
    predicted(scores.subarray(n * classes, (n + 1) * classes)),
  );
}

/** The class with the largest score, with one left out, and only among some if a list says which; -1 if there is none. */
export function largestBut(scores: ArrayLike<number>, left: number, among?: readonly boolean[]): number {
  let best = -1;
  for (let k = 0; k < scores.length; k++)
    if (k !== left && (among?.[k] ?? true) && (best < 0 || (scores[k] ?? 0) > (scores[best] ?? 0))) best = k;
  return best;
}
