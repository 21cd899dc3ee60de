/** Eigenvectors of dense symmetric matrices. */
import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import type { Tensor } from "../tensor/tensor.js";

/** A side's eigenvalues, and its eigenvectors as the columns of `[size, size]`; null: the unit vectors. */
export interface Side {
  readonly size: number;
  /** Not negative. */
  readonly values: Float64Array;
  readonly vectors: Float64Array | null;
}

/** @param moments `[size, size]`, or a diagonal `[size]` */
export function sideOf({ dims, data }: Tensor<"float32">): Side {
  const [size = 0] = dims;
  if (dims.length === 1) return { size, values: Float64Array.from(data, notNegative), vectors: null };
  // Rows of zeros (pixels that are black in all samples, ...) have unit vectors, and need not be looked for.
  const places = Array.from({ length: size }, (_, k) => k).filter((k) => isActive(data, size, k));
  const values = new Float64Array(size);
  const vectors = new Float64Array(size * size);
  for (let k = 0; k < size; k++) vectors[k * (size + 1)] = 1;
  if (places.length === 0) return { size, values, vectors };
  const half = (row: number, column: number) =>
    ((data[row * size + column] ?? 0) + (data[column * size + row] ?? 0)) / 2;
  const dense = new Matrix(places.map((row) => places.map((column) => half(row, column))));
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(dense, { assumeSymmetric: true });
  places.forEach((column, k) => {
    values[column] = notNegative(realEigenvalues[k] ?? 0);
    places.forEach((row, j) => {
      vectors[row * size + column] = eigenvectorMatrix.get(j, k);
    });
  });
  return { size, values, vectors };
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
