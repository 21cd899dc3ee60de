/** Columns of numbers, and of lists of numbers, collected row after row. */
import { PergradError } from "../errors.js";
import { sizeOf, type Tensor } from "../tensor/tensor.js";
import type { Row } from "./columns.js";
import { isList, type Place, shown } from "./numbers.js";

/** Numbers in blocks: an array that grows would be copied again and again. */
class NumberList {
  readonly #blocks: (Float32Array | Float64Array)[] = [];
  #length = 0;

  /** @param exact whether to keep them in float64 rather than float32 */
  constructor(private readonly exact: boolean) {}

  push(value: number): void {
    const at = this.#length % blockLength;
    if (at === 0) this.#blocks.push(this.exact ? new Float64Array(blockLength) : new Float32Array(blockLength));
    const block = this.#blocks[this.#blocks.length - 1];
    if (block) block[at] = value;
    this.#length++;
  }

  *[Symbol.iterator](): Generator<number> {
    for (const part of this.#parts()) yield* part;
  }

  floats(): Float32Array {
    const all = new Float32Array(this.#length);
    let from = 0;
    for (const part of this.#parts()) {
      all.set(part, from);
      from += part.length;
    }
    return all;
  }

  wholeNumbers(): BigInt64Array {
    const all = new BigInt64Array(this.#length);
    let at = 0;
    for (const value of this) all[at++] = BigInt(value);
    return all;
  }

  #parts(): (Float32Array | Float64Array)[] {
    return this.#blocks.map((block, k) => block.subarray(0, this.#length - k * blockLength));
  }
}

const blockLength = 2 ** 16;

type Shape = readonly number[];

/** The shape of a value that is no list. */
const single: Shape = [];

function badList({ column, row }: Place, what: string, advice: string): PergradError {
  return new PergradError(
    "SHAPE_MISMATCH",
    `The column "${column}" holds a list in row ${row} that ${what}; ${advice}.`,
  );
}

/** Columns of numbers, of which all rows have the same shape. */
export class NumberColumns {
  readonly #numbers: NumberList;
  /** Of each column's values, as in the first row: `[]` of single numbers. */
  #shapes: readonly Shape[] | undefined;
  #rows = 0;

  /**
   * @param read the number that a value stands for; throws if it stands for none
   * @param exact whether whole numbers must survive
   */
  constructor(
    private readonly columns: readonly string[],
    private readonly read: (value: unknown, place: Place) => number,
    exact: boolean,
  ) {
    this.#numbers = new NumberList(exact);
  }

  /** Throws SHAPE_MISMATCH, and what `read` throws. */
  add(row: Row): void {
    const shapes = this.columns.map((column) => this.#added(row.get(column), { column, row: this.#rows }));
    this.#shapes ??= shapes;
    for (const [k, column] of this.columns.entries()) {
      const [own, first] = [String(shapes[k]), String(this.#shapes[k])];
      if (own === first) continue;
      throw new PergradError(
        "SHAPE_MISMATCH",
        `The column "${column}" holds ${shown(row.get(column))} in row ${this.#rows}, of shape [${own}], but in row 0 the shape is [${first}]; give all rows the same.`,
      );
    }
    this.#rows++;
  }

  /** Adds the numbers of a value, and returns its shape. */
  #added(value: unknown, place: Place): Shape {
    if (isList(value)) return this.#addedList(value, place);
    this.#numbers.push(this.read(value, place));
    return single;
  }

  #addedList(values: Iterable<unknown>, place: Place): Shape {
    let first: Shape | undefined;
    let length = 0;
    for (const value of values) {
      const shape = this.#added(value, place);
      first ??= shape;
      if (shape !== first && String(shape) !== String(first))
        throw badList(place, "holds lists of different lengths", "give all the same length");
      length++;
    }
    if (!first) throw badList(place, "is empty", "leave the column out");
    if (first.length > 0 && this.columns.length > 1)
      throw badList(place, "holds lists", "make the column an input of its own");
    return [length, ...first];
  }

  /** `[N, ...shape]` of a single column, `[N, numbers]` of several. */
  get dims(): readonly number[] {
    const [shape = [], ...others] = this.#shapes ?? [];
    if (others.length === 0) return [this.#rows, ...shape];
    return [this.#rows, [shape, ...others].reduce((sum, each) => sum + sizeOf(each), 0)];
  }

  /** Whether all are whole numbers that float64 tells apart. */
  get whole(): boolean {
    for (const value of this.#numbers) if (!Number.isSafeInteger(value)) return false;
    return true;
  }

  /** @param dtype int64 only if all are `whole` */
  tensor(dtype: "float32" | "int64", dims = this.dims): Tensor {
    return dtype === "int64"
      ? { dtype, dims, data: this.#numbers.wholeNumbers() }
      : { dtype, dims, data: this.#numbers.floats() };
  }
}
