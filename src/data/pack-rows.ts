/** Rows as tensors: inputs of numbers, and a target of numbers or classes. */
import { checkGlobs, checkOptions, invalidArgument, kindOf } from "../arguments.js";
import { PergradError } from "../errors.js";
import { listed, meant } from "../meant.js";
import { option, sentence } from "../sentence.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkClasses } from "./classes.js";
import type { Row } from "./columns.js";
import { NumberColumns } from "./number-columns.js";
import { type Advice, type Place, requireNumber, requireWhole, shown } from "./numbers.js";
import { type Target, targetOf } from "./targets.js";

/** Options of `packRows`. */
export interface PackRowsOptions {
  /**
   * The column of the target: whole numbers within 2^53 become int64, other numbers float32, texts int64 classes. A
   * column of lists, or several columns with commas between, give `[N, length]`: labels that do not exclude each other,
   * or several numbers.
   */
  readonly target: string;
  /**
   * The names of all classes, in the order of their numbers: the target must hold one of them in each row. Default: the
   * texts of the target, in alphabetical order.
   */
  readonly classes?: readonly string[];
  /**
   * Default: int64 if all numbers are whole and for classes, otherwise float32. Losses such as "mse" and
   * "bce_with_logits" need float32.
   */
  readonly targetType?: "float32" | "int64";
  /**
   * The columns of each input. Default: `x`, from all other columns that have a name. A single column of lists gives
   * `[N, length]`, of lists of lists `[N, length, length]`.
   */
  readonly inputs?: Readonly<Record<string, readonly string[]>>;
  /** The column of each sample's name. Default: none. */
  readonly ids?: string;
  /** The column of each sample's text, as reports show it. Default: none. */
  readonly texts?: string;
  /** Inputs that hold whole numbers, such as indices of words: int64. Default: none. */
  readonly integers?: readonly string[];
  /** Keeps NaN, missing values and infinities in float32 inputs, instead of throwing NOT_FINITE. Default false. */
  readonly allowNotFinite?: boolean;
}

const optionNames = {
  target: true,
  classes: true,
  targetType: true,
  inputs: true,
  ids: true,
  texts: true,
  integers: true,
  allowNotFinite: true,
} as const;

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
 * @param rows as `readRows` gives them, or objects, whose order of names JavaScript decides: whole numbers come first
 * @throws PergradError MISSING_TENSOR: there is no such column. DTYPE_MISMATCH: a value is no number. NOT_FINITE: it is
 *   missing or infinite. SHAPE_MISMATCH: lists have different lengths. LABEL_OUT_OF_RANGE: a class is not among
 *   `classes`. INVALID_ARGUMENT: there are no rows or no columns for an input, or the options contradict each other.
 */
export async function packRows(
  rows: AsyncIterable<Row | Readonly<Record<string, unknown>>> | Iterable<Row | Readonly<Record<string, unknown>>>,
  options: PackRowsOptions,
): Promise<Packed> {
  check(rows, options);
  let table: Table | undefined;
  for await (const each of rows) {
    const row: Row = each instanceof Map ? each : new Map(Object.entries(each));
    table ??= new Table(row, options);
    table.add(row);
  }
  if (!table) throw invalidArgument("There are no rows to pack; give at least one.");
  return table.packed();
}

/** Throws INVALID_ARGUMENT. */
function check(rows: unknown, options: PackRowsOptions): void {
  if (typeof rows !== "object" || rows === null || !(Symbol.asyncIterator in rows || Symbol.iterator in rows))
    throw invalidArgument(`packRows takes rows, not ${kindOf(rows)}; read those of a file with readRows(path).`);
  checkOptions("packRows(rows, options)", options, optionNames);
  const { target, targetType, inputs, integers = [], classes } = options;
  const given: unknown = target;
  if (typeof given !== "string") throw invalidArgument(`target must be the name of a column, not ${kindOf(given)}.`);
  if (targetType !== undefined && targetType !== "float32" && targetType !== "int64")
    throw invalidArgument(sentence`${option("targetType")} must be "float32" or "int64", not ${kindOf(targetType)}.`);
  checkGlobs("integers", integers);
  checkClasses(classes);
  const names = inputs ? Object.keys(inputs) : ["x"];
  for (const [name, columns] of Object.entries(inputs ?? {})) {
    checkGlobs(`inputs.${name}`, columns);
    if (columns.length === 0) throw invalidArgument(`The input "${name}" has no columns; name at least one.`);
    requireOnce(columns, `The input "${name}"`);
  }
  if (names.length === 0) throw invalidArgument(sentence`${option("inputs")} names no input; name at least one.`);
  if (names.includes("target")) throw invalidArgument('No input can be called "target"; give it another name.');
  const unknown = integers.find((name) => !names.includes(name));
  if (unknown !== undefined)
    throw invalidArgument(
      sentence`${option("integers")} names "${unknown}", but the inputs are ${names.join(", ")}; name one of them.`,
    );
}

function requireOnce(columns: readonly string[], what: string): void {
  const twice = columns.find((name, k) => columns.indexOf(name) < k);
  if (twice !== undefined) throw invalidArgument(`${what} has the column "${twice}" twice; name each column once.`);
}

/** A table that is read row after row. */
class Table {
  readonly #known: ReadonlySet<string>;
  readonly #inputs: ReadonlyMap<string, NumberColumns>;
  readonly #target: Target;
  readonly #ids: string[] = [];
  readonly #texts: string[] = [];
  #rows = 0;

  constructor(
    first: Row,
    private readonly options: PackRowsOptions,
  ) {
    const { target, inputs } = columnsOf([...first.keys()], options);
    this.#known = new Set(first.keys());
    this.#inputs = new Map(
      inputs.map(([input, columns]) => {
        const whole = this.#isWhole(input);
        const read = (value: unknown, place: Place) =>
          whole ? requireWhole(value, place, orWithout) : requireNumber(value, place, options.allowNotFinite, orAllow);
        return [input, new NumberColumns(columns, read, whole)];
      }),
    );
    this.#target = targetOf(first, target, options);
  }

  add(row: Row): void {
    const { inputs, ids, texts } = this.options;
    if (!inputs) this.#requireKnown(row);
    for (const input of this.#inputs.values()) input.add(row);
    this.#target.add(row);
    if (ids !== undefined) this.#ids.push(nameOf(row.get(ids), { column: ids, row: this.#rows }));
    if (texts !== undefined) this.#texts.push(textOf(row.get(texts) ?? "", { column: texts, row: this.#rows }));
    this.#rows++;
  }

  packed(): Packed {
    const inputs = [...this.#inputs].map(([name, columns]) => {
      const { dims } = columns;
      return [name, columns.tensor(this.#isWhole(name) ? "int64" : "float32", dims.length > 1 ? dims : [...dims, 1])];
    });
    const { tensor, classNames } = this.#target.packed();
    return {
      tensors: { ...Object.fromEntries(inputs), target: tensor },
      ...(classNames ? { classNames } : {}),
      ...(this.options.ids === undefined ? {} : { ids: this.#ids }),
      ...(this.options.texts === undefined ? {} : { texts: this.#texts }),
    };
  }

  #isWhole(input: string): boolean {
    return this.options.integers?.includes(input) ?? false;
  }

  /** Throws MISSING_TENSOR for a column that would be left out unseen. */
  #requireKnown(row: Row): void {
    for (const name of row.keys())
      if (!this.#known.has(name))
        throw new PergradError(
          "MISSING_TENSOR",
          `Row ${this.#rows} has a column "${name}", which row 0 lacks; give all rows the same columns, or name those of the input.`,
        );
  }
}

interface Columns {
  readonly target: readonly string[];
  /** By input. */
  readonly inputs: readonly (readonly [input: string, columns: readonly string[]])[];
}

/** Throws MISSING_TENSOR, INVALID_ARGUMENT. */
function columnsOf(names: readonly string[], options: PackRowsOptions): Columns {
  const { target: given, classes, ids, texts } = options;
  const target = names.includes(given) ? [given] : given.split(",");
  const apart = [...target, ids, texts].filter((name) => name !== undefined);
  const inputs = options.inputs
    ? Object.entries(options.inputs)
    : [["x", names.filter((name) => !apart.includes(name) && !isIndex(name))] as const];
  for (const name of [...apart, ...inputs.flatMap(([, each]) => each)])
    if (!names.includes(name))
      throw new PergradError(
        "MISSING_TENSOR",
        `The rows have no column "${name}"${meant(name, names) || `; their columns are ${listed(names, 10)}.`}`,
      );
  requireOnce(target, "The target");
  if (classes && target.length > 1)
    throw invalidArgument(
      sentence`${option("classes")} is for a target of one column, not of ${target.length}; omit it.`,
    );
  if (inputs.some(([, columns]) => columns.length === 0))
    throw invalidArgument("The rows have no column for an input beside the target; add one.");
  return { target, inputs };
}

/** Whether a column holds the names of rows, as pandas writes them: in CSV without a name, in Parquet and Arrow with this. */
function isIndex(name: string): boolean {
  return name === "" || /^__index_level_\d+__$/.test(name);
}

/** Advice for a column of an input, which need not be one. */
const orWithout: Advice = (_, found) =>
  found === undefined ? sentence`, or name the columns of the inputs without it (${option("inputs")})` : "";

const orAllow: Advice = (value, found) =>
  found === undefined || Number.isFinite(found)
    ? orWithout(value, found)
    : sentence`, or allow it (${option("allowNotFinite")})`;

/** The name of a sample. Throws INVALID_ARGUMENT if it is missing, DTYPE_MISMATCH. */
function nameOf(value: unknown, place: Place): string {
  if (value !== null && value !== undefined && value !== "" && !Number.isNaN(value)) return textOf(value, place);
  throw invalidArgument(`The name of row ${place.row} is missing in the column "${place.column}"; fill it in.`);
}

/** Throws DTYPE_MISMATCH for lists and records, and for whole numbers that were rounded when they were read. */
function textOf(value: unknown, { column, row }: Place): string {
  if (value instanceof Date) return value.toISOString();
  const isRounded = typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value);
  if (typeof value !== "object" && !isRounded) return String(value);
  throw new PergradError(
    "DTYPE_MISMATCH",
    `The column "${column}" holds ${shown(value)} in row ${row}, which is no text or exact number; write it as a text.`,
  );
}
