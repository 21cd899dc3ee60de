/** Numbers in rows and columns, in float64. */
import type { Tensor } from "../tensor/tensor.js";

export class Table {
  constructor(
    readonly rows: number,
    readonly columns: number,
    /** In row-major order. */
    readonly data = new Float64Array(rows * columns),
  ) {}

  row(k: number): Float64Array {
    return this.data.subarray(k * this.columns, (k + 1) * this.columns);
  }

  at(row: number, column: number): number {
    return this.data[row * this.columns + column] ?? Number.NaN;
  }

  /** Writes into row k, from a column on. */
  put(k: number, from: number, values: ArrayLike<number>): void {
    this.data.set(values, k * this.columns + from);
  }

  /** Stacks tables with the same number of columns on top of each other. */
  static stacked(parts: readonly Table[]): Table {
    const columns = parts[0]?.columns ?? 0;
    const rows = parts.reduce((sum, part) => sum + part.rows, 0);
    const found = new Table(rows, columns);
    let at = 0;
    for (const part of parts) {
      found.data.set(part.data, at * columns);
      at += part.rows;
    }
    return found;
  }

  /** Adds another of the same size, times a factor. */
  add({ data }: Table, factor = 1): this {
    for (let k = 0; k < data.length; k++) this.data[k] = (this.data[k] ?? 0) + factor * (data[k] ?? 0);
    return this;
  }

  /** Maps each number, given its row and column. */
  map(f: (value: number, row: number, column: number) => number): Table {
    const { rows, columns } = this;
    const found = new Table(rows, columns);
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++)
        found.data[row * columns + column] = f(this.at(row, column), row, column);
    return found;
  }

  get tensor(): Tensor<"float64"> {
    return { dtype: "float64", dims: [this.rows, this.columns], data: this.data };
  }
}
