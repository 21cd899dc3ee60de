/** Endings of the tables whose rows are read, of which `pergrad pack` makes data. */
export const rowFormats = ["csv", "tsv", "jsonl", "ndjson", "parquet", "arrow", "feather"] as const;

export type RowFormat = (typeof rowFormats)[number];
