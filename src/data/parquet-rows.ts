/** Rows of Parquet. */
import { open } from "node:fs/promises";
import type { SchemaTree } from "hyparquet";
import { library } from "../io/library.js";
import { readAt } from "../io/rows.js";
import { distinct, type Row, timeOfDay } from "./columns.js";

/** The number of rows that are decoded at a time. */
const rowsAtOnce = 10_000;

export async function* parquetRows(path: string): AsyncGenerator<Row> {
  const install = ["hyparquet", "hyparquet-compressors"];
  const { parquetMetadataAsync, parquetScan, parquetSchema } = await library(
    "hyparquet",
    "read Parquet",
    () => import("hyparquet"),
    { install },
  );
  const { compressors } = await library(
    "hyparquet-compressors",
    "read Parquet",
    () => import("hyparquet-compressors"),
    { install },
  );
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
    // What is not marked as text stays bytes.
    const scan = await parquetScan({ file, metadata, compressors, utf8: false });
    for (const { rowStart: from, rowEnd: to } of scan.ranges)
      for (let rowStart = from; rowStart < to; rowStart += rowsAtOnce) {
        const rowEnd = Math.min(to, rowStart + rowsAtOnce);
        const values = await Promise.all(names.map((column) => scan.readColumn({ column, rowStart, rowEnd })));
        for (let row = 0; row < rowEnd - rowStart; row++)
          yield new Map(names.map((name, k) => [name, plain[k]?.(values[k]?.[row])]));
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
