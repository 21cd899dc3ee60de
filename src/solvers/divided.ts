/**
 * Eigenvalues and eigenvectors of tridiagonal matrices, put together from those of two halves (Cuppen 1981, "A divide and
 * conquer method for the symmetric tridiagonal eigenproblem"): what takes n^3 is matrix products.
 */
import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import { PergradError } from "../errors.js";
import { secularPairs } from "./secular.js";

/** Smaller matrices are left to ml-matrix. */
const leastDivided = 32;

export interface Eigenpairs {
  /** Ascending. */
  readonly values: Float64Array;
  /** `[size, size]`: a row for each value. */
  readonly vectors: Float64Array;
}

/** a b of `[size, size]` matrices. */
export type Product = (a: Float64Array, b: Float64Array, size: number) => Promise<Float64Array>;

/** A symmetric matrix in whole, `[size, size]`. */
export function smallEigenpairs(dense: Float64Array, size: number): Eigenpairs {
  const rows = Array.from({ length: size }, (_, row) => dense.subarray(row * size, (row + 1) * size));
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(new Matrix(rows), {
    assumeSymmetric: true,
  });
  const vectors = Float64Array.from(eigenvectorMatrix.transpose().to1DArray());
  return { values: Float64Array.from(realEigenvalues), vectors };
}

/**
 * @param diagonal `[size]`
 * @param beside `[size]`: element k lies beside the diagonal in row k; the first is not read
 * @throws PergradError NOT_FINITE.
 */
export async function tridiagonalEigenpairs(
  diagonal: Float64Array,
  beside: Float64Array,
  product: Product,
): Promise<Eigenpairs> {
  if (!diagonal.every(Number.isFinite) || !beside.every(Number.isFinite))
    throw new PergradError("NOT_FINITE", "A matrix is not finite, so it has no eigenvectors; check the data.");
  return divided(diagonal, beside, product);
}

async function divided(diagonal: Float64Array, beside: Float64Array, product: Product): Promise<Eigenpairs> {
  const size = diagonal.length;
  if (size < leastDivided) return smallEigenpairs(inWhole(diagonal, beside), size);
  const half = size >> 1;
  const coupling = beside[half] ?? 0;
  const rho = Math.abs(coupling);
  const [upper, lower] = [diagonal.slice(0, half), diagonal.slice(half)];
  upper[half - 1] = (upper[half - 1] ?? 0) - rho;
  lower[0] = (lower[0] ?? 0) - rho;
  const first = await divided(upper, beside.subarray(0, half), product);
  const second = await divided(lower, beside.subarray(half), product);
  return merged(first, second, coupling, product);
}

function inWhole(diagonal: Float64Array, beside: Float64Array): Float64Array {
  const size = diagonal.length;
  const dense = new Float64Array(size * size);
  for (let k = 0; k < size; k++) {
    dense[k * (size + 1)] = diagonal[k] ?? 0;
    if (k === 0) continue;
    dense[k * (size + 1) - 1] = beside[k] ?? 0;
    dense[(k - 1) * (size + 1) + 1] = beside[k] ?? 0;
  }
  return dense;
}

/** Of diag(first, second) + |coupling| u u', where u is 1 at the end of the first, and the coupling's sign at the start of the second. */
async function merged(first: Eigenpairs, second: Eigenpairs, coupling: number, product: Product): Promise<Eigenpairs> {
  const sorted = sortedOf(first, second, Math.sign(coupling));
  const { size, rows } = sorted;
  const { kept, values, rotated } = deflated(sorted, 2 * Math.abs(coupling));
  const secular = secularPairs(pick(values, kept), pick(sorted.z, kept), 2 * Math.abs(coupling));
  secular.values.forEach((value, k) => {
    values[kept[k] ?? 0] = value;
  });
  const combined = new Float64Array(size * size);
  for (let k = 0; k < size; k++) combined[k * (size + 1)] = 1;
  const count = kept.length;
  for (let k = 0; k < count; k++)
    for (let j = 0; j < count; j++)
      combined[(kept[k] ?? 0) * size + (kept[j] ?? 0)] = secular.vectors[k * count + j] ?? 0;
  const order = [...values.keys()].sort((a, b) => (values[a] ?? 0) - (values[b] ?? 0));
  const inOrder = new Float64Array(size * size);
  for (const [to, from] of order.entries()) inOrder.set(combined.subarray(from * size, (from + 1) * size), to * size);
  return { values: pick(values, order), vectors: await product(inOrder, rotated(rows), size) };
}

const pick = (from: Float64Array, places: readonly number[]) => Float64Array.from(places, (k) => from[k] ?? 0);

interface Sorted {
  readonly size: number;
  /** Ascending. */
  readonly values: Float64Array;
  /** Of norm 1: what of each vector lies along u. */
  readonly z: Float64Array;
  /** `[size, size]`: the vectors of both. */
  readonly rows: Float64Array;
}

function sortedOf(first: Eigenpairs, second: Eigenpairs, sign: number): Sorted {
  const [m, n] = [first.values.length, second.values.length];
  const size = m + n;
  const all = Float64Array.of(...first.values, ...second.values);
  const order = [...all.keys()].sort((a, b) => (all[a] ?? 0) - (all[b] ?? 0));
  const [z, rows] = [new Float64Array(size), new Float64Array(size * size)];
  for (const [to, from] of order.entries()) {
    const second0 = (from - m) * n;
    z[to] =
      (from < m ? (first.vectors[(from + 1) * m - 1] ?? 0) : sign * (second.vectors[second0] ?? 0)) * Math.SQRT1_2;
    if (from < m) rows.set(first.vectors.subarray(from * m, (from + 1) * m), to * size);
    else rows.set(second.vectors.subarray(second0, second0 + n), to * size + m);
  }
  return { size, values: pick(all, order), z, rows };
}

/** A vector, and the one that it is exchanged with in part. */
interface Rotation {
  readonly left: number;
  readonly right: number;
  readonly cosine: number;
  readonly sine: number;
}

/**
 * Vectors that have next to nothing along u stay as they are; of two of nearly equal values one is rotated out of u (Dongarra
 * and Sorensen 1987, "A fully parallel algorithm for the symmetric eigenvalue problem"; LAPACK's dlaed2). z is changed.
 */
function deflated({ values: given, z, size }: Sorted, rho: number) {
  const values = given.slice();
  const largest = (each: Float64Array) => each.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const tolerance = 8 * Number.EPSILON * Math.max(largest(values), largest(z));
  const kept: number[] = [];
  const rotations: Rotation[] = [];
  for (let right = 0; right < size; right++) {
    if (rho * Math.abs(z[right] ?? 0) <= tolerance) continue;
    const left = kept.at(-1);
    const rotation = left === undefined ? null : rotationOf(values, z, left, right, tolerance);
    if (rotation) {
      rotations.push(rotation);
      kept.pop();
    }
    kept.push(right);
  }
  const rotated = (rows: Float64Array) => {
    for (const each of rotations) rotate(rows, size, each);
    return rows;
  };
  return { kept, values, rotated };
}

/** Null where the two are to be told apart. */
function rotationOf(
  values: Float64Array,
  z: Float64Array,
  left: number,
  right: number,
  tolerance: number,
): Rotation | null {
  const along = Math.hypot(z[left] ?? 0, z[right] ?? 0);
  const cosine = (z[right] ?? 0) / along;
  const sine = -(z[left] ?? 0) / along;
  const [low, high] = [values[left] ?? 0, values[right] ?? 0];
  if (Math.abs((high - low) * cosine * sine) > tolerance) return null;
  z[right] = along;
  z[left] = 0;
  values[left] = low * cosine * cosine + high * sine * sine;
  values[right] = low * sine * sine + high * cosine * cosine;
  return { left, right, cosine, sine };
}

function rotate(rows: Float64Array, size: number, { left, right, cosine, sine }: Rotation): void {
  const [a, b] = [left * size, right * size];
  for (let k = 0; k < size; k++) {
    const first = rows[a + k] ?? 0;
    const second = rows[b + k] ?? 0;
    rows[a + k] = cosine * first + sine * second;
    rows[b + k] = cosine * second - sine * first;
  }
}
