/** Rows of Parquet. */
import { open } from "node:fs/promises";
import type { SchemaTree } from "hyparquet";
import { library } from "../io/library.js";
import { readAt } from "../io/rows.js";
import { distinct, type Row, timeOfDay } from "./columns.js";

/** The number of rows that are decoded at a time. */
const rowsAtOnce = 10_000;

export async function* parquetRows(path: string): AsyncGenerator<Row> {
  const { parquetMetadataAsync, parquetRead, parquetSchema } = await library(
    "hyparquet",
    "read Parquet",
    () => import("hyparquet"),
  );
  const { compressors } = await library("hyparquet-compressors", "read Parquet", () => import("hyparquet-compressors"));
  const handle = await open(path);
  try {
    const { size: byteLength } = await handle.stat();
    const file = {
      byteLength,
      slice: async (start: number, end = byteLength) => (await readAt(handle, start, end - start)).buffer,
    };
    const metadata = await parquetMetadataAsync(file);
    const columns = parquetSchema(metadata).children;
    const names = distinct(
      path,
      columns.map(({ element }) => element.name),
    );
    const plain = columns.map(plainBy);
    const rows = Number(metadata.num_rows);
    for (let rowStart = 0; rowStart < rows; rowStart += rowsAtOnce) {
      const rowEnd = Math.min(rows, rowStart + rowsAtOnce);
      let values: readonly (readonly unknown[])[] = [];
      await parquetRead({
        file,
        metadata,
        compressors,
        rowStart,
        rowEnd,
        // What is not marked as text stays bytes.
        utf8: false,
        rowFormat: "array",
        onComplete: (found) => {
          values = found;
        },
      });
      for (const row of values) yield new Map(names.map((name, k) => [name, plain[k]?.(row[k])]));
    }
  } finally {
    await handle.close();
  }
}

const decoder = new TextDecoder();

/** What hyparquet leaves as numbers or bytes, as texts: times of day, and the names of an enumeration. */
function plainBy({ element, children }: SchemaTree): (value: unknown) => unknown {
  const { converted_type: kind, logical_type: logical } = element;
  const unit = kind === "TIME_MILLIS" ? "MILLIS" : logical?.type === "TIME" ? logical.unit : "MICROS";
  const perMillisecond = { MILLIS: 1, MICROS: 1e3, NANOS: 1e6 }[unit];
  const isTime = kind === "TIME_MILLIS" || kind === "TIME_MICROS" || logical?.type === "TIME";
  if (isTime) return inLists((value) => timeOfDay(Number(value) / perMillisecond));
  if (kind === "ENUM" || logical?.type === "ENUM")
    return inLists((value) => (value instanceof Uint8Array ? decoder.decode(value) : value));
  const [child] = children;
  return children.length === 1 && child ? plainBy(child) : (value) => value;
}

/** For a value, and for each of a list. */
function inLists(plain: (value: unknown) => unknown): (value: unknown) => unknown {
  return (value) => {
    if (value === null || value === undefined) return value;
    return Array.isArray(value) ? value.map(inLists(plain)) : plain(value);
  };
}
