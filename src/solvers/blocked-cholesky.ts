/**
 * The Cholesky decomposition of large matrices in blocks: the work that grows with n^3 is matrix products, in float64,
 * on the runtime.
 */
import { PergradError } from "../errors.js";
import type { Compiled } from "../program/compiled.js";
import { input, type Traced } from "../trace/index.js";
import { Cholesky } from "./cholesky.js";

/** Rows and columns of a block. */
const block = 256;
/** Smaller matrices are decomposed row by row. */
const leastBlocked = 2 * block;

export interface CholeskyOptions {
  /** The number added to the diagonal. Default 0. */
  readonly added?: number;
  /** The threads that the runtime may use; undefined: all cores. */
  readonly threads?: number | undefined;
}

/** The decomposition of a matrix, to be applied to vectors. `release` frees the runtime's memory. */
export class BlockedCholesky {
  private constructor(
    readonly whole: Cholesky,
    private readonly matrix: Float64Array,
    private readonly size: number,
    private readonly products: BlockProducts | null,
    /** For each block on the diagonal, the inverse of its lower triangle. */
    private readonly inverses: readonly Float64Array[],
  ) {}

  /**
   * As `Cholesky.of`: takes over the matrix's array `[size, size]`, of which it reads the lower triangle. Null if the
   * matrix is not positive definite.
   */
  static async of(
    matrix: Float64Array,
    size: number,
    { added = 0, threads }: CholeskyOptions = {},
  ): Promise<BlockedCholesky | null> {
    if (size < leastBlocked) {
      const whole = Cholesky.of(matrix, size, added);
      return whole && new BlockedCholesky(whole, matrix, size, null, []);
    }
    const products = await BlockProducts.of(threads);
    try {
      for (let row = 0; row < size; row++) matrix[row * size + row] = (matrix[row * size + row] ?? 0) + added;
      const inverses = await decomposed(matrix, size, products);
      if (inverses) return new BlockedCholesky(Cholesky.given(matrix, size), matrix, size, products, inverses);
    } catch (error) {
      await products.release();
      throw error;
    }
    await products.release();
    return null;
  }

  /**
   * L^-1 of many vectors, in place.
   * @param rows `[count, size]`, one vector per row
   */
  async halves(rows: Float64Array): Promise<void> {
    const { size, whole, products } = this;
    const count = rows.length / size;
    if (!products) {
      for (let k = 0; k < count; k++) whole.half(rows.subarray(k * size, (k + 1) * size));
      return;
    }
    const own = { data: rows, width: size };
    const triangle = { data: this.matrix, width: size };
    for (const [at, inverse] of this.inverses.entries()) {
      const from = at * block;
      const solved = await products.of(cut(own, 0, count, from), inverse);
      put(own, 0, from, solved);
      for (let to = from + block; to < size; to += block)
        subtract(own, 0, to, await products.of(solved, cut(triangle, to, Math.min(size, to + block), from)));
    }
  }

  async release(): Promise<void> {
    await this.products?.release();
  }
}

/** The inverses of the triangles on the diagonal; null if the matrix is not positive definite. */
async function decomposed(matrix: Float64Array, size: number, products: BlockProducts): Promise<Float64Array[] | null> {
  const own = { data: matrix, width: size };
  const inverses: Float64Array[] = [];
  for (let from = 0; from < size; from += block) {
    const to = Math.min(size, from + block);
    const diagonal = squareOf(own, from, to);
    const triangle = Cholesky.of(diagonal, to - from);
    if (!triangle) return null;
    putTriangle(own, from, to - from, diagonal);
    const inverse = inverseOf(triangle);
    inverses.push(inverse);
    if (to === size) break;
    const panel = await products.of(cut(own, to, size, from), inverse);
    put(own, to, from, panel);
    for (let column = to; column < size; column += block) {
      const below = panel.subarray((column - to) * block);
      subtract(own, column, column, await products.of(below, below.slice(0, block * block)));
    }
  }
  return inverses;
}

interface DenseRows {
  readonly data: Float64Array;
  readonly width: number;
}

/** Rows of a block's columns, padded with zeros. */
function cut({ data, width }: DenseRows, top: number, bottom: number, left: number): Float64Array {
  const own = Math.min(block, width - left);
  const found = new Float64Array((bottom - top) * block);
  for (let row = top; row < bottom; row++)
    found.set(data.subarray(row * width + left, row * width + left + own), (row - top) * block);
  return found;
}

function put({ data, width }: DenseRows, top: number, left: number, rows: Float64Array): void {
  const own = Math.min(block, width - left);
  for (let row = 0; row * block < rows.length; row++)
    data.set(rows.subarray(row * block, row * block + own), (top + row) * width + left);
}

function subtract({ data, width }: DenseRows, top: number, left: number, rows: Float64Array): void {
  const own = Math.min(block, width - left);
  for (let row = 0; row * block < rows.length; row++) {
    const at = (top + row) * width + left;
    const from = row * block;
    for (let k = 0; k < own; k++) data[at + k] = (data[at + k] ?? 0) - (rows[from + k] ?? 0);
  }
}

/** A block on the diagonal, in its own size. */
function squareOf({ data, width }: DenseRows, from: number, to: number): Float64Array {
  const size = to - from;
  const found = new Float64Array(size * size);
  for (let row = 0; row < size; row++)
    found.set(data.subarray((from + row) * width + from, (from + row) * width + to), row * size);
  return found;
}

function putTriangle({ data, width }: DenseRows, from: number, size: number, triangle: Float64Array): void {
  for (let row = 0; row < size; row++)
    data.set(triangle.subarray(row * size, row * size + row + 1), (from + row) * width + from);
}

/** The inverse of the lower triangle, padded with zeros to a whole block. */
function inverseOf(triangle: Cholesky): Float64Array {
  const found = new Float64Array(block * block);
  const unit = new Float64Array(triangle.size);
  for (let column = 0; column < triangle.size; column++) {
    unit.fill(0);
    unit[column] = 1;
    triangle.half(unit);
    for (let row = column; row < triangle.size; row++) found[row * block + column] = unit[row] ?? 0;
  }
  return found;
}

/** a b' for rows of blocks. */
class BlockProducts {
  private constructor(private readonly program: Compiled<{ readonly product: Traced }>) {}

  static async of(threads: number | undefined): Promise<BlockProducts> {
    const other = input("b", [block, block], "float64");
    const product = input("a", ["N", block], "float64").matmul(other.transpose([1, 0]));
    // The compiler is loaded when it is first used.
    const { compiled } = await import("../program/compiled.js");
    return new BlockProducts(await compiled({ product }, threads === undefined ? {} : { threads }));
  }

  /**
   * @param a `[n, block]`
   * @param b `[block, block]`; missing rows are zeros
   */
  async of(a: Float64Array, b: Float64Array): Promise<Float64Array> {
    const other = b.length === block * block ? b : filled(b);
    const { product } = await this.program.run(
      {
        a: { dtype: "float64", dims: [a.length / block, block], data: a },
        b: { dtype: "float64", dims: [block, block], data: other },
      },
      { notFinite: "ignore" },
    );
    if (product.data instanceof Float64Array) return product.data;
    throw new PergradError(
      "RUNTIME",
      "The program of products of blocks returned no float64 numbers; please report it.",
    );
  }

  release(): Promise<void> {
    return this.program.release();
  }
}

function filled(rows: Float64Array): Float64Array {
  const found = new Float64Array(block * block);
  found.set(rows);
  return found;
}
