/** Operators that few models use and that changed later than the common ones. */
const laterThanOthers: ReadonlyMap<string, number> = new Map([
  ["GroupNormalization", 21],
  ["GridSample", 20],
]);

/** From this opset on, the operator has none of the forms that `older.ts` upgrades. */
export function olderBelow(op: string): number {
  return laterThanOthers.get(op) ?? 14;
}
