/** Rows of tables: CSV, JSON lines, Parquet, Arrow. */
import { createReadStream } from "node:fs";
import { open, readFile, stat } from "node:fs/promises";
import { createInterface } from "node:readline";
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
  const parser = parse({ columns: true, delimiter, bom: true, skip_empty_lines: true, relax_column_count: false });
  const stream = createReadStream(path);
  stream.on("error", (error) => parser.destroy(error));
  for await (const row of stream.pipe(parser)) yield row;
}

async function* jsonLines(path: string): AsyncGenerator<Row> {
  let line = 0;
  for await (const text of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY })) {
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
  const { tableFromIPC } = await library("apache-arrow", "read Arrow", () => import("apache-arrow"));
  const table = tableFromIPC(await readFile(path));
  for (const row of table) yield row ? row.toJSON() : {};
}
