/** Rows of Arrow, in files and streams. */
import { type FileHandle, open } from "node:fs/promises";
import type * as Arrow from "apache-arrow";
import { PergradError } from "../errors.js";
import { library } from "../io/library.js";
import { distinct, type Row, timeOfDay } from "./columns.js";

export async function* arrowRows(path: string): AsyncGenerator<Row> {
  const arrow = await library("apache-arrow", "read Arrow", () => import("apache-arrow"));
  const handle = await open(path);
  try {
    await refuseFirstFeather(path, handle);
    const reader = await arrow.RecordBatchReader.from(handle);
    await reader.open();
    if (reader.schema === undefined) throw new Error("The file is empty.");
    for await (const batch of reader) {
      const { fields } = batch.schema;
      const names = distinct(
        path,
        fields.map(({ name }) => name),
      );
      const columns = fields.map((_, k) => batch.getChildAt(k));
      for (let row = 0; row < batch.numRows; row++)
        yield new Map(fields.map(({ type }, k) => [names[k] ?? "", plainOf(arrow, type, columns[k]?.get(row))]));
    }
  } catch (error) {
    throw known(path, error);
  } finally {
    await handle.close();
  }
}

/** In other words, where the file is in order and apache-arrow does not read all that Arrow defines. */
function known(path: string, error: unknown): unknown {
  const message = error instanceof Error ? error.message : "";
  const [, type] = /^Unrecognized type: "(\w+)"/.exec(message) ?? [];
  if (type !== undefined)
    return new PergradError(
      "FILE_UNREADABLE",
      `"${path}" has a column of the type ${type}, which apache-arrow does not read; write it as another type.`,
      { cause: error },
    );
  if (!message.includes("codec not found")) return error;
  const problem = `"${path}" is compressed, which apache-arrow does not read; write it uncompressed, as in to_feather(path, compression="uncompressed").`;
  return new PergradError("FILE_UNREADABLE", problem, { cause: error });
}

/** Throws FILE_UNREADABLE for the format that came before Arrow's files, and shares their name. */
async function refuseFirstFeather(path: string, handle: FileHandle): Promise<void> {
  const { buffer } = await handle.read(Buffer.alloc(4), 0, 4, 0);
  if (buffer.toString("latin1") !== "FEA1") return;
  throw new PergradError(
    "FILE_UNREADABLE",
    `"${path}" has the format Feather version 1, which apache-arrow does not read; write it in version 2, as in to_feather(path, compression="uncompressed").`,
  );
}

/** Milliseconds, of each unit of times. */
const milliseconds: Readonly<Record<number, number>> = { 0: 1e3, 1: 1, 2: 1e-3, 3: 1e-6 };

/** Decimals as numbers, days as dates, times and durations as texts, in lists and records too: Arrow holds bare integers. */
function plainOf(arrow: typeof Arrow, type: Arrow.DataType, value: unknown): unknown {
  const is = arrow.DataType;
  if (value === null || value === undefined) return value;
  if (is.isDictionary(type)) return plainOf(arrow, type.dictionary, value);
  if (is.isDecimal(type) && value instanceof Uint32Array) return decimalOf(value, type.scale);
  if (is.isDate(type) || is.isTimestamp(type)) return new Date(Number(value));
  if (is.isTime(type)) return timeOfDay(Number(value) * (milliseconds[type.unit] ?? 1));
  if (is.isDuration(type)) return `PT${(Number(value) * (milliseconds[type.unit] ?? 1)) / 1e3}S`;
  if (is.isInterval(type)) return `P${String(value)}`;
  if (is.isList(type) || is.isFixedSizeList(type) || is.isLargeList(type)) {
    const [item] = type.children;
    return isIterable(value) && item ? Array.from(value, (each) => plainOf(arrow, item.type, each)) : value;
  }
  if (!is.isStruct(type) || typeof value !== "object") return value;
  const record = new Map(Object.entries(value));
  return Object.fromEntries(type.children.map(({ name, type: own }) => [name, plainOf(arrow, own, record.get(name))]));
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.iterator in value;
}

/** Of words of 32 bits, the lowest first, in two's complement. */
function decimalOf(words: Uint32Array, scale: number): number {
  const whole = words.reduceRight((sum, word) => (sum << 32n) | BigInt(word), 0n);
  return Number(`${BigInt.asIntN(32 * words.length, whole)}e${-scale}`);
}
