/** Symmetric matrices as tridiagonal ones, by reflections (Householder 1958; Golub and Van Loan, "Matrix computations", 8.3). */

/** A = Q T Q', where Q is the product of the reflections I - scale v v', the last first. */
export interface Tridiagonal {
  readonly size: number;
  readonly diagonal: Float64Array;
  /** Element k lies beside the diagonal in row k; the first is 0. */
  readonly beside: Float64Array;
  /** `[size, size]`: row k holds v of the reflection k, of k elements. */
  readonly reflections: Float64Array;
  /** For each reflection; 0 if it changes nothing. */
  readonly scales: Float64Array;
}

/**
 * @param matrix `[size, size]`, whose lower triangle is read, and written over
 *
 * Rows are taken from the last up. What a reflection changes is subtracted when the next one is multiplied with the matrix,
 * so that each element is read once for both.
 */
export function tridiagonal(matrix: Float64Array, size: number): Tridiagonal {
  const [diagonal, beside, scales] = [new Float64Array(size), new Float64Array(size), new Float64Array(size)];
  const reflections = new Float64Array(size * size);
  let pending: Change | null = null;
  for (let row = size - 1; row >= 0; row--) {
    const own = matrix.subarray(row * size, row * size + row + 1);
    if (pending) subtractRow(own, row, pending);
    diagonal[row] = own[row] ?? 0;
    if (row === 0) break;
    const vector = reflections.subarray(row * size, row * size + row);
    vector.set(own.subarray(0, row));
    const [scale, last] = reflected(vector);
    scales[row] = scale;
    beside[row] = last;
    const product: Float64Array = changedProduct(matrix, size, row, pending, vector);
    pending = scale === 0 ? null : { v: vector, w: changeBeside(product, vector, scale) };
  }
  return { size, diagonal, beside, reflections, scales };
}

/** v w' + w v', to be subtracted. */
interface Change {
  readonly v: Float64Array;
  readonly w: Float64Array;
}

function subtractRow(own: Float64Array, row: number, { v, w }: Change): void {
  const [ownV, ownW] = [v[row] ?? 0, w[row] ?? 0];
  for (let k = 0; k <= row; k++) own[k] = (own[k] ?? 0) - ownV * (w[k] ?? 0) - ownW * (v[k] ?? 0);
}

/** Makes the vector that of the reflection which leaves of it only the last element. */
function reflected(vector: Float64Array): [scale: number, last: number] {
  const end = vector.length - 1;
  const alpha = vector[end] ?? 0;
  let most = 0;
  for (let k = 0; k < end; k++) most = Math.max(most, Math.abs(vector[k] ?? 0));
  if (most === 0) return [0, alpha];
  most = Math.max(most, Math.abs(alpha));
  let squares = 0;
  for (const each of vector) squares += (each / most) ** 2;
  const beta = -Math.sign(alpha || 1) * most * Math.sqrt(squares);
  const divisor = alpha - beta;
  for (let k = 0; k < end; k++) vector[k] = (vector[k] ?? 0) / divisor;
  vector[end] = 1;
  return [(beta - alpha) / beta, beta];
}

/** The leading rows and columns, less what is pending, times a vector. */
function changedProduct(
  matrix: Float64Array,
  size: number,
  count: number,
  pending: Change | null,
  vector: Float64Array,
): Float64Array {
  const zeros = new Float64Array(count);
  const { v, w } = pending ?? { v: zeros, w: zeros };
  const product = new Float64Array(count);
  // Two rows at a time, which share what is read beside them.
  let row = 0;
  for (; row + 1 < count; row += 2) {
    const [v0, w0, u0] = [v[row] ?? 0, w[row] ?? 0, vector[row] ?? 0];
    const [v1, w1, u1] = [v[row + 1] ?? 0, w[row + 1] ?? 0, vector[row + 1] ?? 0];
    const [at0, at1] = [row * size, (row + 1) * size];
    let sum0 = 0;
    let sum1 = 0;
    for (let k = 0; k < row; k++) {
      const vk = v[k] ?? 0;
      const wk = w[k] ?? 0;
      const uk = vector[k] ?? 0;
      const value0 = (matrix[at0 + k] ?? 0) - v0 * wk - w0 * vk;
      const value1 = (matrix[at1 + k] ?? 0) - v1 * wk - w1 * vk;
      matrix[at0 + k] = value0;
      matrix[at1 + k] = value1;
      sum0 += value0 * uk;
      sum1 += value1 * uk;
      product[k] = (product[k] ?? 0) + value0 * u0 + value1 * u1;
    }
    const first = (matrix[at0 + row] ?? 0) - 2 * v0 * w0;
    const between = (matrix[at1 + row] ?? 0) - v1 * w0 - w1 * v0;
    const second = (matrix[at1 + row + 1] ?? 0) - 2 * v1 * w1;
    matrix[at0 + row] = first;
    matrix[at1 + row] = between;
    matrix[at1 + row + 1] = second;
    product[row] = sum0 + first * u0 + between * u1;
    product[row + 1] = sum1 + between * u0 + second * u1;
  }
  if (row < count) {
    const own = matrix.subarray(row * size, row * size + row + 1);
    subtractRow(own, row, { v, w });
    let sum = 0;
    for (let k = 0; k < row; k++) {
      sum += (own[k] ?? 0) * (vector[k] ?? 0);
      product[k] = (product[k] ?? 0) + (own[k] ?? 0) * (vector[row] ?? 0);
    }
    product[row] = sum + (own[row] ?? 0) * (vector[row] ?? 0);
  }
  return product;
}

/** w of what a reflection changes: with p = scale A v it is p - (scale/2 p.v) v. Takes the product's array over. */
function changeBeside(product: Float64Array, vector: Float64Array, scale: number): Float64Array {
  let along = 0;
  for (let k = 0; k < product.length; k++) along += (product[k] ?? 0) * (vector[k] ?? 0);
  const less = (scale * scale * along) / 2;
  for (let k = 0; k < product.length; k++) product[k] = scale * (product[k] ?? 0) - less * (vector[k] ?? 0);
  return product;
}
