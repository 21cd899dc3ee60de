/** Tables of one row per sample: CSV, JSON, JSON lines, or the tensors of a safetensors or npz file. */
import { PergradError } from "../errors.js";
import { floatsIn, sizeOf, type Tensor, type TypedArray } from "../tensor/tensor.js";
import { writeFileSafely } from "./atomic.js";
import type { TensorLayout } from "./bytes.js";
import { writeTensors } from "./files.js";
import { PieceChecker, type TensorWriter } from "./writer.js";

export type Cell = number | bigint | string | boolean | null;

/** A column: numbers, or texts. */
export interface Column {
  readonly name: string;
  readonly values: Float32Array | Int32Array | readonly Cell[];
}

const formats = ["csv", "jsonl", "json", "safetensors", "npz"] as const;
export type TableFormat = (typeof formats)[number];

/** What writes to a terminal or a pipe. */
export const standardOutput = "-";

/** Which format a file's name asks for; CSV for "-". Throws FILE_UNWRITABLE. */
export function tableFormat(path: string): TableFormat {
  if (path === standardOutput) return "csv";
  const extension = /\.([a-z]+)$/i.exec(path)?.[1]?.toLowerCase();
  const found = formats.find((format) => format === (extension === "ndjson" ? "jsonl" : extension));
  if (found) return found;
  throw new PergradError(
    "FILE_UNWRITABLE",
    `Cannot write "${path}": its name must end in .csv, .jsonl, .json, .safetensors or .npz, which says the format; - is CSV on the standard output.`,
  );
}

/**
 * Writes the whole file or, on any failure, nothing.
 * @param print takes what is written to "-"
 * Throws FILE_UNWRITABLE.
 */
export async function writeTable(
  path: string,
  columns: readonly Column[],
  print: (text: string) => unknown,
): Promise<void> {
  const format = tableFormat(path);
  if (path === standardOutput) {
    print(csvOf(columns));
    return;
  }
  if (format === "safetensors" || format === "npz") return writeTensors(path, tensorsOf(columns));
  const text = format === "csv" ? csvOf(columns) : format === "json" ? jsonOf(columns) : jsonLinesOf(columns);
  await writeFileSafely(path, new TextEncoder().encode(text));
}

/** Takes columns of one number per row, piece by piece, as a file of tensors does; the table is written at the end. */
export class TableWriter implements TensorWriter {
  readonly #pieces: PieceChecker<TensorLayout>;
  readonly #columns: ReadonlyMap<string, Float32Array>;
  readonly #rows: number;

  /** @param layout of float32 columns, `[N]` each */
  constructor(
    private readonly path: string,
    layout: ReadonlyMap<string, TensorLayout>,
    private readonly print: (text: string) => unknown,
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
    await writeTable(this.path, [samplesColumn(this.#rows), ...columns], this.print);
  }

  async abort(): Promise<void> {}
}

/** The numbers of the samples, from 0. */
export function samplesColumn(samples: number): Column {
  return { name: "sample", values: Int32Array.from({ length: samples }, (_, n) => n) };
}

/** RFC 4180, with a header; NaN and infinities as NumPy and pandas read them. */
export function csvOf(columns: readonly Column[]): string {
  const header = columns.map(({ name }) => quoted(name)).join(",");
  const lines = rowsOf(columns).map((row) => row.map((cell) => quoted(textOf(cell))).join(","));
  return `${[header, ...lines].join("\n")}\n`;
}

/** One object a line; what is not finite is null. */
export function jsonLinesOf(columns: readonly Column[]): string {
  return recordsOf(columns)
    .map((record) => `${JSON.stringify(record)}\n`)
    .join("");
}

function jsonOf(columns: readonly Column[]): string {
  return `[\n${recordsOf(columns)
    .map((record) => JSON.stringify(record))
    .join(",\n")}\n]\n`;
}

export function recordsOf(columns: readonly Column[]): Record<string, string | number | boolean | null>[] {
  return rowsOf(columns).map((row) =>
    Object.fromEntries(columns.map(({ name }, k) => [name, plainOf(row[k] ?? null)])),
  );
}

function rowsOf(columns: readonly Column[]): Cell[][] {
  const rows = columns[0]?.values.length ?? 0;
  return Array.from({ length: rows }, (_, n) => columns.map(({ values }) => cellOf(values, n)));
}

/** Of float32 numbers the digits that they have. */
function cellOf(values: Column["values"], n: number): Cell {
  const value = values[n] ?? null;
  return values instanceof Float32Array && typeof value === "number" ? shortened(value) : value;
}

/** The shortest number that is the same float32. */
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

/** The columns of numbers: these files hold no text. */
function tensorsOf(columns: readonly Column[]): Record<string, Tensor> {
  return Object.fromEntries(columns.flatMap(({ name, values }) => (isTyped(values) ? [[name, tensorOf(values)]] : [])));
}

function isTyped(values: Column["values"]): values is Float32Array | Int32Array {
  return ArrayBuffer.isView(values);
}

function tensorOf(values: Float32Array | Int32Array): Tensor {
  return values instanceof Float32Array
    ? { dtype: "float32", dims: [values.length], data: values }
    : { dtype: "int32", dims: [values.length], data: values };
}
