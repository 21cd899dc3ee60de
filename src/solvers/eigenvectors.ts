/** Eigenvectors of dense symmetric matrices. */
import { PergradError } from "../errors.js";
import type { Compiled } from "../program/compiled.js";
import type { Tensor } from "../tensor/tensor.js";
import { input, type Traced } from "../trace/index.js";
import { type Eigenpairs, type Product, smallEigenpairs, tridiagonalEigenpairs } from "./divided.js";
import { type Tridiagonal, tridiagonal } from "./tridiagonal.js";

/** A side's eigenvalues, and its eigenvectors as the columns of `[size, size]`; null: the unit vectors. */
export interface SideEigenpairs {
  readonly size: number;
  /** Not negative. */
  readonly values: Float64Array;
  readonly vectors: Float64Array | null;
}

/** Matrices of fewer rows are left to ml-matrix. */
const leastLarge = 128;
/** Reflections that are applied together. */
const block = 64;

/**
 * @param moments `[size, size]`, or a diagonal `[size]`
 * @param threads that the runtime may use; undefined: all cores
 */
export async function sideOf({ dims, data }: Tensor<"float32">, threads?: number): Promise<SideEigenpairs> {
  const [size = 0] = dims;
  if (dims.length === 1) return { size, values: Float64Array.from(data, notNegative), vectors: null };
  // Rows of zeros (pixels that are black in all samples, ...) have unit vectors, and need not be looked for.
  const places = Array.from({ length: size }, (_, k) => k).filter((k) => isActive(data, size, k));
  const values = new Float64Array(size);
  const vectors = new Float64Array(size * size);
  for (let k = 0; k < size; k++) vectors[k * (size + 1)] = 1;
  if (places.length === 0) return { size, values, vectors };
  const count = places.length;
  const dense = new Float64Array(count * count);
  for (let k = 0; k < count; k++)
    for (let j = 0; j <= k; j++) {
      const [row, column] = [places[k] ?? 0, places[j] ?? 0];
      const value = ((data[row * size + column] ?? 0) + (data[column * size + row] ?? 0)) / 2;
      dense[k * count + j] = value;
      dense[j * count + k] = value;
    }
  const found = count < leastLarge ? smallEigenpairs(dense, count) : await large(dense, count, threads);
  for (let k = 0; k < count; k++) {
    const column = places[k] ?? 0;
    values[column] = notNegative(found.values[k] ?? 0);
    for (let j = 0; j < count; j++) vectors[(places[j] ?? 0) * size + column] = found.vectors[k * count + j] ?? 0;
  }
  return { size, values, vectors };
}

/** By a tridiagonal matrix; from its eigenvectors to the matrix's own by products on the runtime. */
async function large(dense: Float64Array, size: number, threads: number | undefined): Promise<Eigenpairs> {
  const reduced = tridiagonal(dense, size);
  const products = new SquareProducts(threads);
  const reflections = await reflecting(size, threads);
  try {
    const multiply: Product = (a, b, own) => products.of(a, b, own);
    const { values, vectors } = await tridiagonalEigenpairs(reduced.diagonal, reduced.beside, multiply);
    let rows = vectors;
    for (let from = 1; from < size; from += block) {
      const { v, w } = together(reduced, from, Math.min(size, from + block));
      rows = float64Of((await reflections.run({ rows, v, w }, { notFinite: "ignore" })).reflected);
    }
    return { values, vectors: rows };
  } finally {
    await reflections.release();
    await products.release();
  }
}

/** Products of smaller matrices are computed here. */
const leastOnRuntime = 128;

/** a b of square matrices, on the runtime. */
class SquareProducts {
  readonly #programs = new Map<number, Promise<Compiled<{ readonly product: Traced }>>>();

  constructor(private readonly threads: number | undefined) {}

  async of(a: Float64Array, b: Float64Array, size: number): Promise<Float64Array> {
    if (size < leastOnRuntime) return productOf(a, b, size);
    const program = this.#programs.get(size) ?? this.#compiled(size);
    this.#programs.set(size, program);
    return float64Of((await (await program).run({ a, b }, { notFinite: "ignore" })).product);
  }

  #compiled(size: number): Promise<Compiled<{ readonly product: Traced }>> {
    const [a, b] = [input("a", ["N", size], "float64"), input("b", [size, size], "float64")];
    return compiledBy({ product: a.matmul(b) }, this.threads);
  }

  async release(): Promise<void> {
    for (const program of this.#programs.values()) await (await program).release();
  }
}

function productOf(a: Float64Array, b: Float64Array, size: number): Float64Array {
  const found = new Float64Array(size * size);
  for (let row = 0; row < size; row++) {
    const own = found.subarray(row * size, (row + 1) * size);
    for (let k = 0; k < size; k++) {
      const factor = a[row * size + k] ?? 0;
      if (factor === 0) continue;
      const other = b.subarray(k * size, (k + 1) * size);
      for (let column = 0; column < size; column++) own[column] = (own[column] ?? 0) + factor * (other[column] ?? 0);
    }
  }
  return found;
}

function float64Of({ data }: Tensor): Float64Array {
  if (data instanceof Float64Array) return data;
  throw new PergradError("RUNTIME", "A program of matrix products returned no float64 numbers; please report it.");
}

async function compiledBy<T extends Readonly<Record<string, Traced>>>(
  outputs: T,
  threads: number | undefined,
): Promise<Compiled<T>> {
  // The compiler is loaded when it is first used.
  const { compiled } = await import("../program/compiled.js");
  return compiled(outputs, threads === undefined ? {} : { threads });
}

async function reflecting(
  size: number,
  threads: number | undefined,
): Promise<Compiled<{ readonly reflected: Traced }>> {
  const [v, w] = [input("v", [block, size], "float64"), input("w", [block, size], "float64")];
  const rows = input("rows", ["N", size], "float64");
  const reflected = rows.sub(rows.matmul(v.transpose([1, 0])).matmul(w));
  return compiledBy({ reflected }, threads);
}

/**
 * The product of the reflections from one to before another as I - V' W, with V and W `[block, size]` (Schreiber and Van Loan
 * 1989, "A storage-efficient WY representation"): each row of W is scale (v - the sum of the rows after it, each times the product of v with its own vector).
 */
function together({ size, reflections, scales }: Tridiagonal, from: number, to: number) {
  const [v, w] = [new Float64Array(block * size), new Float64Array(block * size)];
  for (let k = from; k < to; k++) v.set(reflections.subarray(k * size, k * size + k), (k - from) * size);
  // The last first: what stands before the later reflections is multiplied by them.
  for (let k = to - from - 1; k >= 0; k--) {
    const scale = scales[from + k] ?? 0;
    const own = w.subarray(k * size, (k + 1) * size);
    const vector = v.subarray(k * size, (k + 1) * size);
    own.set(vector);
    for (let j = k + 1; j < to - from; j++) {
      const other = v.subarray(j * size, (j + 1) * size);
      let along = 0;
      for (let i = 0; i < from + k; i++) along += (vector[i] ?? 0) * (other[i] ?? 0);
      const later = w.subarray(j * size, (j + 1) * size);
      for (let i = 0; i < size; i++) own[i] = (own[i] ?? 0) - along * (later[i] ?? 0);
    }
    for (let i = 0; i < size; i++) own[i] = scale * (own[i] ?? 0);
  }
  return {
    v: { dtype: "float64" as const, dims: [block, size], data: v },
    w: { dtype: "float64" as const, dims: [block, size], data: w },
  };
}

/** Rounding leaves small negative numbers where an eigenvalue is 0. */
function notNegative(value: number): number {
  return Math.max(0, value);
}

function isActive(data: Float32Array, size: number, row: number): boolean {
  for (let column = 0; column < size; column++)
    if (data[row * size + column] !== 0 || data[column * size + row] !== 0) return true;
  return false;
}
