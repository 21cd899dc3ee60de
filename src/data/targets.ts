/** The target of a table's rows: numbers, or classes. */
import { PergradError } from "../errors.js";
import { option, sentence } from "../sentence.js";
import type { Tensor } from "../tensor/tensor.js";
import { unknownClass } from "./classes.js";
import type { Row } from "./columns.js";
import { NumberColumns } from "./number-columns.js";
import { type Advice, formatProblem, numberIn, type Place, requireNumber, requireWhole, shown } from "./numbers.js";

/** A target that is collected row after row. */
export interface Target {
  /** Throws DTYPE_MISMATCH, SHAPE_MISMATCH, NOT_FINITE, LABEL_OUT_OF_RANGE. */
  add(row: Row): void;
  packed(): { readonly tensor: Tensor; readonly classNames?: readonly string[] };
}

/** Classes if their names are given or the first row holds a text; otherwise numbers, which all rows must then hold. */
export function targetOf(first: Row, columns: readonly string[], { classes, targetType }: TargetOptions): Target {
  const [column = "", ...others] = columns;
  if (classes) return new GivenClasses(column, classes, targetType);
  const named = others.length === 0 && isName(first.get(column));
  return named ? new FoundClasses(column, targetType) : new NumberTarget(columns, targetType);
}

export interface TargetOptions {
  readonly classes?: readonly string[];
  readonly targetType?: TargetType;
}

type TargetType = "float32" | "int64";

function isName(value: unknown): value is string {
  return typeof value === "string" && numberIn(value) === undefined && formatProblem(value) === undefined;
}

/** A text may still be the name of a class. */
const orClasses: Advice = (value) =>
  typeof value === "string" && value.trim() !== "" ? sentence`, or name all classes (${option("classes")})` : "";

class NumberTarget implements Target {
  readonly #numbers: NumberColumns;

  constructor(
    columns: readonly string[],
    private readonly type: TargetType | undefined,
  ) {
    const read = (value: unknown, place: Place) =>
      type === "int64" ? requireWhole(value, place, orClasses) : requireNumber(value, place, false, orClasses);
    this.#numbers = new NumberColumns(columns, read, true);
  }

  add(row: Row): void {
    this.#numbers.add(row);
  }

  packed() {
    return { tensor: this.#numbers.tensor(this.type ?? (this.#numbers.whole ? "int64" : "float32")) };
  }
}

class FoundClasses implements Target {
  /** In the order in which they are found. */
  readonly #numbers = new Map<string, number>();
  readonly #found: number[] = [];

  constructor(
    private readonly column: string,
    private readonly type: TargetType | undefined,
  ) {}

  add(row: Row): void {
    const value = row.get(this.column);
    const place = { column: this.column, row: this.#found.length };
    if (!isName(value)) {
      requireNumber(value, place, false, orClasses);
      throw new PergradError(
        "DTYPE_MISMATCH",
        sentence`The column "${place.column}" holds the number ${shown(value)} in row ${place.row}, but a text in row 0; make all of them texts or numbers, or name all classes (${option("classes")}).`,
      );
    }
    const number = this.#numbers.get(value) ?? this.#numbers.size;
    this.#numbers.set(value, number);
    this.#found.push(number);
  }

  packed() {
    const classNames = [...this.#numbers.keys()].sort();
    const sorted = new Map(classNames.map((name, k) => [this.#numbers.get(name), k]));
    return {
      tensor: labels(
        this.#found.map((number) => sorted.get(number) ?? 0),
        this.type,
      ),
      classNames,
    };
  }
}

class GivenClasses implements Target {
  readonly #numbers: ReadonlyMap<string, number>;
  readonly #found: number[] = [];

  constructor(
    private readonly column: string,
    private readonly classNames: readonly string[],
    private readonly type: TargetType | undefined,
  ) {
    this.#numbers = new Map(classNames.map((name, k) => [name, k]));
  }

  add(row: Row): void {
    const value = row.get(this.column);
    const named = ["string", "number", "bigint", "boolean"].includes(typeof value);
    const number = named ? this.#numbers.get(String(value)) : undefined;
    if (number === undefined) {
      const found = `The column "${this.column}" holds ${shown(value)} in row ${this.#found.length}`;
      throw unknownClass(found, this.classNames);
    }
    this.#found.push(number);
  }

  packed() {
    return { tensor: labels(this.#found, this.type), classNames: this.classNames };
  }
}

function labels(found: readonly number[], dtype: TargetType = "int64"): Tensor {
  const dims = [found.length];
  return dtype === "int64"
    ? { dtype, dims, data: BigInt64Array.from(found, BigInt) }
    : { dtype, dims, data: Float32Array.from(found) };
}
