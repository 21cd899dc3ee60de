/** Rows of tables: CSV, JSON lines, Parquet, Arrow. */
import { createReadStream } from "node:fs";
import { open, readFile, stat } from "node:fs/promises";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import type { DataType } from "apache-arrow";
import { PergradError } from "../errors.js";
import { unreadable } from "../io/failure.js";
import { library } from "../io/library.js";
import { type RowFormat, rowFormats } from "../io/row-formats.js";

/** A row, by column name. */
export type Row = Readonly<Record<string, unknown>>;

const readers: Readonly<Record<RowFormat, (path: string) => AsyncGenerator<Row>>> = {
  csv: (path) => csv(path, ","),
  tsv: (path) => csv(path, "\t"),
  jsonl: jsonLines,
  ndjson: jsonLines,
  parquet,
  arrow,
  feather: arrow,
};

/**
 * The rows of a .csv, .tsv, .jsonl, .ndjson, .parquet or .arrow file, one after another. CSV requires the package
 * csv-parse, Parquet hyparquet, Arrow apache-arrow.
 * @throws PergradError FILE_UNREADABLE: there is no such file, it has another format, or the package is not installed.
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
    throw error instanceof PergradError ? error : damaged(path, error);
  }
}

function damaged(path: string, error: unknown): PergradError {
  const problem = error instanceof Error ? error.message.split("\n", 1)[0]?.replace(/\.$/, "") : String(error);
  return new PergradError("FILE_UNREADABLE", `"${path}" cannot be read: ${problem}; correct the file.`, {
    cause: error,
  });
}

async function* csv(path: string, delimiter: string): AsyncGenerator<Row> {
  const { parse } = await library("csv-parse", "read CSV", () => import("csv-parse"));
  const columns = (names: string[]) => {
    const twice = names.find((name, k) => names.indexOf(name) < k);
    if (twice === undefined) return names;
    throw new PergradError("FILE_UNREADABLE", `"${path}" has two columns "${twice}"; rename one of them.`);
  };
  const parser = parse({ columns, delimiter, skip_empty_lines: true, relax_column_count: false });
  const stream = Readable.from(textsOf(path));
  stream.on("error", (error) => parser.destroy(error));
  for await (const row of stream.pipe(parser)) yield row;
}

/** The text of a file, piece by piece, without a byte order mark. Throws FILE_UNREADABLE where bytes are no text. */
async function* textsOf(path: string): AsyncGenerator<string> {
  let decoder: InstanceType<typeof TextDecoder> | undefined;
  const decoded = (bytes?: Uint8Array) => {
    try {
      return decoder?.decode(bytes, { stream: bytes !== undefined }) ?? "";
    } catch (error) {
      const problem = `"${path}" is not in UTF-8, which its texts would not survive; write it in UTF-8.`;
      throw new PergradError("FILE_UNREADABLE", problem, { cause: error });
    }
  };
  for await (const bytes of createReadStream(path)) {
    const encoding = bytes[0] === 0xff && bytes[1] === 0xfe ? "utf-16le" : "utf-8";
    decoder ??= new TextDecoder(encoding, { fatal: true });
    yield decoded(bytes);
  }
  yield decoded();
}

async function* jsonLines(path: string): AsyncGenerator<Row> {
  let line = 0;
  const input = Readable.from(textsOf(path));
  for await (const text of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    line++;
    if (text.trim() === "") continue;
    const found = parsed(text);
    if (found === undefined)
      throw new PergradError("FILE_UNREADABLE", `Line ${line} of "${path}" is no JSON object; correct it.`);
    yield found;
  }
}

function parsed(text: string): Row | undefined {
  try {
    const found: unknown = JSON.parse(text);
    return typeof found === "object" && found !== null && !Array.isArray(found)
      ? Object.fromEntries(Object.entries(found))
      : undefined;
  } catch {
    return undefined;
  }
}

/** The number of rows of a Parquet file that are decoded at a time. */
const rowsAtOnce = 10_000;

async function* parquet(path: string): AsyncGenerator<Row> {
  const { parquetMetadataAsync, parquetReadObjects } = await library(
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
      slice: async (start: number, end = byteLength): Promise<ArrayBuffer> => {
        const bytes = new Uint8Array(end - start);
        await handle.read(bytes, 0, bytes.length, start);
        return bytes.buffer;
      },
    };
    const metadata = await parquetMetadataAsync(file);
    const rows = Number(metadata.num_rows);
    for (let rowStart = 0; rowStart < rows; rowStart += rowsAtOnce) {
      const rowEnd = Math.min(rows, rowStart + rowsAtOnce);
      yield* await parquetReadObjects({ file, metadata, compressors, rowStart, rowEnd });
    }
  } finally {
    await handle.close();
  }
}

async function* arrow(path: string): AsyncGenerator<Row> {
  const { tableFromIPC, DataType } = await library("apache-arrow", "read Arrow", () => import("apache-arrow"));
  const bytes = await readFile(path);
  try {
    const table = tableFromIPC(bytes);
    const { fields } = table.schema;
    for (const row of table)
      yield row ? Object.fromEntries(fields.map(({ name, type }) => [name, plainOf(DataType, type, row[name])])) : {};
  } catch (error) {
    if (!(error instanceof Error && error.message.includes("codec not found"))) throw error;
    const problem = `"${path}" is compressed, which apache-arrow does not read; write it uncompressed, as in to_feather(path, compression="uncompressed").`;
    throw new PergradError("FILE_UNREADABLE", problem, { cause: error });
  }
}

/** Decimals as numbers, days and times as dates, lists and records of them in the same way: Arrow holds bare integers. */
function plainOf(is: typeof DataType, type: DataType, value: unknown): unknown {
  if (value === null || value === undefined) return value;
  if (is.isDictionary(type)) return plainOf(is, type.dictionary, value);
  if (is.isDecimal(type) && value instanceof Uint32Array) return decimalOf(value, type.scale);
  if ((is.isDate(type) || is.isTimestamp(type)) && typeof value === "number") return new Date(value);
  if (is.isList(type) || is.isFixedSizeList(type)) {
    const [item] = type.children;
    return isList(value) && item ? Array.from(value, (each) => plainOf(is, item.type, each)) : value;
  }
  if (!is.isStruct(type) || typeof value !== "object") return value;
  const record = new Map(Object.entries(value));
  return Object.fromEntries(type.children.map(({ name, type: own }) => [name, plainOf(is, own, record.get(name))]));
}

/** Whether a value of a row holds several values. */
export function isList(value: unknown): value is Iterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.iterator in value;
}

/** Of words of 32 bits, the lowest first, in two's complement. */
function decimalOf(words: Uint32Array, scale: number): number {
  const whole = words.reduceRight((sum, word) => (sum << 32n) | BigInt(word), 0n);
  return Number(`${BigInt.asIntN(32 * words.length, whole)}e${-scale}`);
}
