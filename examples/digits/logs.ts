/** Logarithmic scales. */

/** Ends as exponents of ten. */
export interface LogRange {
  readonly from: number;
  readonly to: number;
}

/** A scale reaches no further down than this from its largest value. */
const decades = 10;

/** Around all the values, in whole steps of which `perDecade` make a factor of ten. Values that are not above 0 do not count. */
export function logRange(values: readonly number[], perDecade: number): LogRange {
  const logs = values.filter((value) => value > 0 && value < Number.POSITIVE_INFINITY).map(Math.log10);
  if (logs.length === 0) return { from: 0, to: 1 };
  const lowest = logs.reduce((least, log) => Math.min(least, log));
  const highest = logs.reduce((most, log) => Math.max(most, log));
  const to = (Math.floor(highest * perDecade) + 1) / perDecade;
  return { from: Math.max(to - decades, Math.floor(lowest * perDecade) / perDecade), to };
}

/** The value moved into the range. */
export function clamp(value: number, { from, to }: LogRange): number {
  return Math.min(10 ** to, Math.max(10 ** from, value));
}

/** Counts of values in bins of equal ratio. What is outside falls into the first or last bin. */
export function logBins(values: readonly number[], { from, to }: LogRange, perDecade: number): number[] {
  const counts = new Array<number>(Math.max(1, Math.round((to - from) * perDecade))).fill(0);
  for (const value of values) {
    const bin = Math.floor((Math.log10(value) - from) * perDecade);
    const kept = Math.min(counts.length - 1, Math.max(0, bin));
    counts[kept] = (counts[kept] ?? 0) + 1;
  }
  return counts;
}
