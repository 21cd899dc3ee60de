/**
 * Numbers as their authors wrote them. A file holds float32, so 0.1 arrives as 0.100000001490116 and the square root of
 * 2 as 1.41421354. Programs compute with those; but the float64 reference, which is compared with computations in
 * float64, needs the intended number.
 */
const irrational: readonly number[] = [
  Math.SQRT2,
  Math.SQRT1_2,
  Math.sqrt(2 / Math.PI),
  Math.sqrt(Math.PI / 2),
  2 / Math.sqrt(Math.PI),
  Math.PI,
  2 * Math.PI,
  Math.E,
  Math.LN2,
  Math.LN10,
  Math.LOG2E,
  Math.LOG10E,
];
const meant: ReadonlyMap<number, number> = new Map(irrational.map((number) => [Math.fround(number), number]));

/** A well-known constant, or the shortest decimal, that rounds to this float32. */
export function asWritten(float: number): number {
  if (!Number.isFinite(float) || float === 0 || Math.fround(float) !== float) return float;
  const known = meant.get(Math.abs(float));
  if (known !== undefined) return Math.sign(float) * known;
  for (let digits = 1; digits <= 9; digits++) {
    const decimal = Number(float.toPrecision(digits));
    if (Math.fround(decimal) === float) return decimal;
  }
  return float;
}
