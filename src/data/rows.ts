/** Rows of tables: CSV, JSON lines, Parquet, Arrow. */
import { stat } from "node:fs/promises";
import { PergradError } from "../errors.js";
import { unreadable } from "../io/failure.js";
import { type RowFormat, rowFormats } from "../io/row-formats.js";
import { arrowRows } from "./arrow-rows.js";
import type { Row } from "./columns.js";
import { parquetRows } from "./parquet-rows.js";
import { csvRows, jsonRows } from "./text-rows.js";

const readers: Readonly<Record<RowFormat, (path: string) => AsyncGenerator<Row>>> = {
  csv: (path) => csvRows(path, ","),
  tsv: (path) => csvRows(path, "\t"),
  jsonl: jsonRows,
  ndjson: jsonRows,
  parquet: parquetRows,
  arrow: arrowRows,
  feather: arrowRows,
};

/**
 * The rows of a .csv, .tsv, .jsonl, .ndjson, .parquet, .arrow or .feather file, one after another. Days and timestamps
 * are `Date`s (in CSV and JSON, texts), times of day texts as `12:30:00.000`, durations texts as `PT1.5S`, bytes
 * `Uint8Array`s. CSV requires the package csv-parse, Parquet hyparquet and hyparquet-compressors, Arrow apache-arrow.
 * @throws PergradError FILE_UNREADABLE: there is no such file, it has another format or two columns of one name, or the
 *   package is not installed.
 */
export async function* readRows(path: string): AsyncGenerator<Row> {
  const ending = /\.([a-z]+)$/i.exec(path)?.[1]?.toLowerCase();
  const format = rowFormats.find((name) => name === ending);
  if (!format)
    throw new PergradError(
      "FILE_UNREADABLE",
      `Cannot read rows of "${path}": its name must end in one of ${rowFormats.map((name) => `.${name}`).join(", ")}.`,
    );
  await stat(path).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  try {
    yield* readers[format](path);
  } catch (error) {
    if (error instanceof Error && "syscall" in error) throw unreadable(path, error);
    throw error instanceof PergradError ? error : damaged(path, format, error);
  }
}

const binaryFormats: Partial<Readonly<Record<RowFormat, string>>> = {
  parquet: "Parquet",
  arrow: "Arrow",
  feather: "Arrow",
};

/** Of texts, the reader's message names the line; of other formats, it speaks of offsets and names in the reader's code. */
function damaged(path: string, format: RowFormat, cause: unknown): PergradError {
  const binary = binaryFormats[format];
  const text = cause instanceof Error ? cause.message.split("\n", 1)[0]?.replace(/\.$/, "") : String(cause);
  const problem = binary
    ? `is damaged, or no ${binary} file; write it anew`
    : `cannot be read: ${text}; correct the file`;
  return new PergradError("FILE_UNREADABLE", `"${path}" ${problem}.`, { cause });
}
