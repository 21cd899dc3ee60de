/** Tables of one row per sample: CSV, JSON, JSON lines, Parquet, or the tensors of a safetensors or npz file. */
import { PergradError } from "../errors.js";
import { floatsIn, sizeOf, type TypedArray } from "../tensor/tensor.js";
import { AtomicFile, writeFileSafely } from "./atomic.js";
import type { TensorLayout } from "./bytes.js";
import { type Cell, type Column, samplesColumns, tensorOfColumn } from "./column.js";
import { writeTensors } from "./files.js";
import { PieceChecker, type TensorWriter } from "./writer.js";

const formats = ["csv", "jsonl", "json", "parquet", "safetensors", "npz"] as const;
export type TableFormat = (typeof formats)[number];

/** Stands for the terminal or a pipe. */
export const standardOutput = "-";

/** The format that a file's name selects; CSV for "-". Throws FILE_UNWRITABLE. */
export function tableFormat(path: string): TableFormat {
  if (path === standardOutput) return "csv";
  const extension = /\.([a-z]+)$/i.exec(path)?.[1]?.toLowerCase();
  const found = formats.find((format) => format === (extension === "ndjson" ? "jsonl" : extension));
  if (found) return found;
  throw new PergradError(
    "FILE_UNWRITABLE",
    `Cannot write "${path}": its name must end in .csv, .jsonl, .json, .parquet, .safetensors or .npz, or be - for CSV on the standard output.`,
  );
}

/**
 * Writes the whole file or, on any failure, nothing.
 * @param print receives the output for "-"
 * @throws PergradError FILE_UNWRITABLE.
 */
export async function writeTable(
  path: string,
  columns: readonly Column[],
  print: (text: string) => unknown,
): Promise<void> {
  const format = tableFormat(path);
  if (path === standardOutput) {
    for (const text of csvParts(columns)) print(text);
    return;
  }
  if (format === "safetensors" || format === "npz")
    return writeTensors(
      path,
      new Map(columns.map((column) => [column.name === "id" ? idsName : column.name, tensorOfColumn(column)])),
    );
  if (format === "parquet") {
    const { parquetOf } = await import("./parquet.js");
    return writeFileSafely(path, await parquetOf(columns));
  }
  await writeParts(path, format === "csv" ? csvParts(columns) : jsonParts(columns, format));
}

/** The tensor in a file that holds the samples' names. */
export const idsName = "ids";

/** Checks, before the work, whether a table can be written under this name. Throws FILE_UNWRITABLE. */
export async function checkTable(path: string): Promise<void> {
  if (tableFormat(path) !== "parquet") return;
  const { requireParquet } = await import("./parquet.js");
  await requireParquet();
}

async function writeParts(path: string, parts: Iterable<string>): Promise<void> {
  const file = await AtomicFile.create(path);
  try {
    let at = 0;
    for (const part of parts) {
      const bytes = new TextEncoder().encode(part);
      await file.write(bytes, at);
      at += bytes.length;
    }
    await file.commit();
  } finally {
    await file.abort();
  }
}

/** Takes columns of one number per row, piece by piece, as a tensor file does; the table is written at the end. */
export class TableWriter implements TensorWriter {
  readonly #pieces: PieceChecker<TensorLayout>;
  readonly #columns: ReadonlyMap<string, Float32Array>;
  readonly #rows: number;

  /** @param layout the types and shapes of the columns: float32, `[N]` each */
  constructor(
    private readonly path: string,
    layout: ReadonlyMap<string, TensorLayout>,
    private readonly print: (text: string) => unknown,
    private readonly ids?: readonly string[],
  ) {
    this.#pieces = new PieceChecker(path, layout);
    this.#columns = new Map([...layout].map(([name, { dims }]) => [name, new Float32Array(sizeOf(dims))]));
    this.#rows = Math.max(0, ...[...this.#columns.values()].map(({ length }) => length));
  }

  async write(name: string, elementOffset: number, data: TypedArray): Promise<void> {
    this.#pieces.check(name, elementOffset, data);
    this.#columns.get(name)?.set(floatsIn({ data }), elementOffset);
  }

  async commit(): Promise<void> {
    await this.#pieces.checkComplete(this);
    const columns = [...this.#columns].map(([name, values]) => ({ name, values }));
    await writeTable(this.path, [...samplesColumns(this.#rows, this.ids), ...columns], this.print);
  }

  async abort(): Promise<void> {}
}

/** RFC 4180, with a header; NaN and infinities are written so that NumPy and pandas can read them. */
export function csvOf(columns: readonly Column[]): string {
  return [...csvParts(columns)].join("");
}

/** The number of rows written at a time: a table may be longer than a string can be. */
const rowsAtOnce = 10_000;

function* csvParts(columns: readonly Column[]): Generator<string> {
  yield `${columns.map(({ name }) => quoted(name)).join(",")}\n`;
  for (const rows of rowsOf(columns))
    yield rows.map((row) => `${row.map((cell) => quoted(textOf(cell))).join(",")}\n`).join("");
}

/** JSON lines: one object per line. JSON: an array of them. Non-finite numbers become null. */
function* jsonParts(columns: readonly Column[], format: "json" | "jsonl"): Generator<string> {
  const [start, between, end] = format === "json" ? ["[\n", ",\n", "\n]\n"] : ["", "\n", "\n"];
  yield start;
  let first = true;
  for (const rows of rowsOf(columns)) {
    const text = rows.map((row) => JSON.stringify(recordOf(columns, row))).join(between);
    yield first ? text : `${between}${text}`;
    first = false;
  }
  if (!first || format === "json") yield end;
}

export function recordsOf(columns: readonly Column[]): Record<string, string | number | boolean | null>[] {
  return [...rowsOf(columns)].flatMap((rows) => rows.map((row) => recordOf(columns, row)));
}

function recordOf(columns: readonly Column[], row: readonly Cell[]) {
  return Object.fromEntries(columns.map(({ name }, k) => [name, plainOf(row[k] ?? null)]));
}

function* rowsOf(columns: readonly Column[]): Generator<Cell[][]> {
  const rows = columns[0]?.values.length ?? 0;
  for (let from = 0; from < rows; from += rowsAtOnce)
    yield Array.from({ length: Math.min(rowsAtOnce, rows - from) }, (_, k) =>
      columns.map(({ values }) => cellOf(values, from + k)),
    );
}

/** Float32 numbers get only the digits that they have. */
function cellOf(values: Column["values"], n: number): Cell {
  const value = values[n] ?? null;
  return values instanceof Float32Array && typeof value === "number" ? shortened(value) : value;
}

/** The shortest number that rounds to the same float32. */
function shortened(value: number): number {
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return Number.isFinite(value) ? Number(value.toPrecision(9)) : value;
}

function plainOf(cell: Cell): string | number | boolean | null {
  if (typeof cell === "bigint") return Number.isSafeInteger(Number(cell)) ? Number(cell) : String(cell);
  return typeof cell === "number" && !Number.isFinite(cell) ? null : cell;
}

function textOf(cell: Cell): string {
  if (cell === null) return "";
  if (cell === Number.POSITIVE_INFINITY) return "inf";
  return cell === Number.NEGATIVE_INFINITY ? "-inf" : String(cell);
}

function quoted(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
