/** Extensions of the tables that can be read row by row, which `pergrad pack` turns into data. */
export const rowFormats = ["csv", "tsv", "jsonl", "ndjson", "parquet", "arrow", "feather"] as const;

export type RowFormat = (typeof rowFormats)[number];
