/**
 * A table as lines of text. The first `left` columns are aligned at the left, the others at the right; those from
 * `text` on are at the left again.
 */
export function table(rows: readonly (readonly string[])[], left: number, text = Number.POSITIVE_INFINITY): string {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, k) => Math.max(...rows.map((row) => (row[k] ?? "").length)));
  return rows
    .map((row) =>
      row
        .map((cell, k) => (k < left || k >= text ? cell.padEnd(widths[k] ?? 0) : cell.padStart(widths[k] ?? 0)))
        .join("  "),
    )
    .map((line) => `${line.trimEnd()}\n`)
    .join("");
}
