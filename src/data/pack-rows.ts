/** Rows as tensors: inputs of numbers, and a target of numbers or classes. */
import { PergradError } from "../errors.js";
import { meant } from "../meant.js";
import { entryOf } from "../present.js";
import type { Tensor } from "../tensor/tensor.js";
import { isList, type Row } from "./rows.js";

/** Options of `packRows`. */
export interface PackRowsOptions {
  /**
   * The column of the target: whole numbers and texts become int64 classes, other numbers float32. A column of lists, or
   * several columns with commas between, give `[N, length]`: labels that do not exclude each other, or several numbers.
   */
  readonly target: string;
  /** The columns of each input. Default: `x`, from all other columns. A single column of lists gives `[N, length]`. */
  readonly inputs?: Readonly<Record<string, readonly string[]>>;
  /** The column of each sample's name. Default: none. */
  readonly ids?: string;
  /** The column of each sample's text, as reports show it. Default: none. */
  readonly texts?: string;
  /** Inputs that hold whole numbers, such as indices of words: int64. Default: none. */
  readonly integers?: readonly string[];
}

/** Rows or pictures as tensors. */
export interface Packed {
  /** By input name, and `target`. */
  readonly tensors: Readonly<Record<string, Tensor>>;
  /** The texts that classes stand for, in the order of their numbers. */
  readonly classNames?: readonly string[];
  /** A name for each sample. */
  readonly ids?: readonly string[];
  /** A text for each sample. */
  readonly texts?: readonly string[];
}

/**
 * The tensors of a table's rows, in the form that programs take.
 * @throws PergradError MISSING_TENSOR: there is no such column. DTYPE_MISMATCH: a column does not hold numbers.
 *   SHAPE_MISMATCH: lists have different lengths. INVALID_ARGUMENT: there are no rows, or a target is missing.
 */
export async function packRows(rows: AsyncIterable<Row> | Iterable<Row>, options: PackRowsOptions): Promise<Packed> {
  const { ids: idColumn, texts: textColumn } = options;
  let columns: Columns | undefined;
  const numbers = new Map<string, number[]>();
  const [targets, ids, texts]: [unknown[], string[], string[]] = [[], [], []];
  let row = 0;
  for await (const each of rows) {
    columns ??= columnsOf(each, options);
    if (!options.inputs) requireSame(columns.all, each, row);
    for (const [input, names] of columns.inputs) {
      const list = numbers.get(input) ?? [];
      numbers.set(input, list);
      const before = list.length;
      for (const name of names) add(list, each[name], name, row);
      if (row > 0 && list.length - before !== before / row)
        throw new PergradError(
          "SHAPE_MISMATCH",
          `Row ${row} holds ${list.length - before} numbers for the input "${input}", but the rows before hold ${before / row}; give all the same number.`,
        );
    }
    const own = columns.target.map((name) => plain(each[name]));
    targets.push(own.length === 1 ? own[0] : own);
    if (idColumn !== undefined) ids.push(String(each[idColumn]));
    if (textColumn !== undefined) texts.push(String(each[textColumn]));
    row++;
  }
  if (row === 0) throw new PergradError("INVALID_ARGUMENT", "There are no rows to pack; give at least one.");
  const inputs = [...numbers].map(([name, list]) => [
    name,
    tensorOf(list, row, options.integers?.includes(name) ?? false, name),
  ]);
  const { tensor, classNames } = targetOf(targets);
  return {
    tensors: { ...Object.fromEntries(inputs), target: tensor },
    ...(classNames ? { classNames } : {}),
    ...(idColumn === undefined ? {} : { ids }),
    ...(textColumn === undefined ? {} : { texts }),
  };
}

interface Columns {
  readonly all: ReadonlySet<string>;
  readonly target: readonly string[];
  /** By input. */
  readonly inputs: ReadonlyMap<string, readonly string[]>;
}

/** Throws MISSING_TENSOR. */
function columnsOf(first: Row, { target: given, inputs, ids, texts }: PackRowsOptions): Columns {
  const names = Object.keys(first);
  const target = names.includes(given) ? [given] : given.split(",");
  const apart = [...target, ids, texts].filter((name) => name !== undefined);
  const own = inputs ? Object.entries(inputs) : [["x", names.filter((name) => !apart.includes(name))] as const];
  for (const name of [...apart, ...own.flatMap(([, each]) => each)])
    if (!names.includes(name))
      throw new PergradError(
        "MISSING_TENSOR",
        `The rows have no column "${name}"${meant(name, names) || `; their columns are ${names.join(", ")}.`}`,
      );
  return { all: new Set(names), target, inputs: new Map(own) };
}

/** Throws MISSING_TENSOR for a column that would be left out unseen. */
function requireSame(known: ReadonlySet<string>, row: Row, number: number): void {
  for (const name in row)
    if (!known.has(name))
      throw new PergradError(
        "MISSING_TENSOR",
        `Row ${number} has a column "${name}", which row 0 lacks; give all rows the same columns, or name those of the input.`,
      );
}

/** 64-bit integers as numbers. */
function plain(value: unknown): unknown {
  return typeof value === "bigint" ? Number(value) : value;
}

/** Adds a number, or those of a list. Throws DTYPE_MISMATCH. */
function add(list: number[], value: unknown, column: string, row: number): void {
  if (isList(value)) {
    for (const each of value) add(list, each, column, row);
    return;
  }
  const found = numberOrTruthOf(value);
  if (found === undefined)
    throw new PergradError(
      "DTYPE_MISMATCH",
      `The column "${column}" holds ${shown(value)} in row ${row}, which is no number; leave the column out, or encode it as numbers.`,
    );
  list.push(found);
}

/** As JSON has it. */
function shown(value: unknown): string {
  const text = JSON.stringify(value, (_, each) => (typeof each === "bigint" ? Number(each) : each)) ?? "nothing";
  return text.length > 100 ? `${text.slice(0, 100)}...` : text;
}

function numberOf(value: unknown): number | undefined {
  if (typeof value === "number") return value;
  if (typeof value === "bigint" || typeof value === "boolean") return Number(value);
  if (typeof value !== "string" || value.trim() === "") return undefined;
  const found = Number(value);
  return Number.isNaN(found) && !/^nan$/i.test(value.trim()) ? undefined : found;
}

/** Tables of text have no booleans: pandas writes them as True and False. */
function numberOrTruthOf(value: unknown): number | undefined {
  const word = typeof value === "string" ? value.trim().toLowerCase() : undefined;
  if (word === "true" || word === "false") return Number(word === "true");
  return numberOf(value);
}

function tensorOf(list: readonly number[], rows: number, integers: boolean, name: string): Tensor {
  const dims = [rows, list.length / rows];
  if (!integers) return { dtype: "float32", dims, data: Float32Array.from(list) };
  const wrong = list.find((value) => !Number.isSafeInteger(value));
  if (wrong !== undefined)
    throw new PergradError(
      "DTYPE_MISMATCH",
      `The input "${name}" holds ${wrong}, which is no whole number; correct it.`,
    );
  return { dtype: "int64", dims, data: BigInt64Array.from(list, BigInt) };
}

/** The values by which tables mark what is missing. */
function isMissing(value: unknown): boolean {
  if (typeof value === "string") return /^(nan)?$/i.test(value.trim());
  return value === null || value === undefined || Number.isNaN(value);
}

interface Target {
  readonly tensor: Tensor;
  readonly classNames?: readonly string[];
}

/**
 * Whole numbers from 0 up are used as classes; other numbers stay numbers; texts become classes in alphabetical order.
 */
function targetOf(values: readonly unknown[]): Target {
  const dims = [values.length];
  const missing = values.findIndex(isMissing);
  if (missing >= 0)
    throw new PergradError(
      "INVALID_ARGUMENT",
      `The target in row ${missing} is missing; leave the row out, or say its target.`,
    );
  if (values.some(isList)) return { tensor: targetOfLists(values) };
  const record = values.findIndex((value) => typeof value === "object");
  if (record >= 0) throw noTarget(values[record], record);
  const numbers = values.map(numberOf);
  if (numbers.every((value): value is number => value !== undefined)) return { tensor: numbersAs(dims, numbers) };
  const classNames = [...new Set(values.map(String))].sort();
  const number = Object.fromEntries(classNames.map((name, k) => [name, BigInt(k)]));
  const data = BigInt64Array.from(values, (value) => entryOf(number, String(value)));
  return { tensor: { dtype: "int64", dims, data }, classNames };
}

/** Several numbers for each sample. Throws DTYPE_MISMATCH, SHAPE_MISMATCH. */
function targetOfLists(values: readonly unknown[]): Tensor {
  const numbers: number[] = [];
  let length: number | undefined;
  for (const [row, value] of values.entries()) {
    const list = isList(value) ? [...value].map((each) => numberOrTruthOf(plain(each))) : [];
    const known = list.filter((each): each is number => each !== undefined && !Number.isNaN(each));
    if (!isList(value) || known.length < list.length) throw noTarget(value, row);
    length ??= list.length;
    if (list.length !== length)
      throw new PergradError(
        "SHAPE_MISMATCH",
        `The target in row ${row} holds ${list.length} numbers, but those before hold ${length}; give all the same number.`,
      );
    numbers.push(...known);
  }
  return numbersAs([values.length, length ?? 0], numbers);
}

function noTarget(value: unknown, row: number): PergradError {
  return new PergradError(
    "DTYPE_MISMATCH",
    `The target in row ${row} is ${shown(value)}, which is no number, text or list of numbers; name columns that hold one.`,
  );
}

function numbersAs(dims: readonly number[], numbers: readonly number[]): Tensor {
  if (numbers.every((value) => Number.isSafeInteger(value)))
    return { dtype: "int64", dims, data: BigInt64Array.from(numbers, BigInt) };
  return { dtype: "float32", dims, data: Float32Array.from(numbers) };
}
