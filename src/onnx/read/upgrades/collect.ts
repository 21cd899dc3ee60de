import type { Upgrade } from "./rule.js";

/** Merges tables of upgrades: for each operator, the oldest upgrade comes first. */
export function collect(
  tables: readonly Readonly<Record<string, readonly Upgrade[]>>[],
): ReadonlyMap<string, Upgrade[]> {
  const all = new Map<string, Upgrade[]>();
  for (const [op, rules] of tables.flatMap((table) => Object.entries(table)))
    all.set(op, [...(all.get(op) ?? []), ...rules]);
  for (const rules of all.values()) rules.sort((a, b) => a.below - b.below);
  return all;
}
