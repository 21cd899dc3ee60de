/** JSON in which infinities and NaN are strings. */
export function json(value: unknown): string {
  const plain = (_key: string, each: unknown) =>
    typeof each === "number" && !Number.isFinite(each) ? String(each) : each;
  return `${JSON.stringify(value, plain, 2)}\n`;
}
