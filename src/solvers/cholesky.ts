/**
 * Systems with a symmetric positive definite matrix in memory, in float64 (the Cholesky decomposition, one row at a
 * time).
 */

/** The lower triangle L of a matrix L L'. */
export class Cholesky {
  private constructor(
    readonly size: number,
    /** Row by row; elements above the diagonal are meaningless. */
    private readonly lower: Float64Array,
  ) {}

  /**
   * Takes over the matrix's array `[size, size]`. Null if it is not positive definite.
   * @param added the number added to the diagonal
   */
  static of(matrix: Float64Array, size: number, added = 0): Cholesky | null {
    for (let row = 0; row < size; row++) {
      const own = row * size;
      let column = 0;
      for (; column + 4 <= row; column += 4) eliminateFour(matrix, size, own, column);
      for (; column < row; column++)
        matrix[own + column] = left(matrix, own, column * size, column) / (matrix[column * size + column] ?? 0);
      const pivot = left(matrix, own, own, row) + added;
      if (!(pivot > 0)) return null;
      matrix[own + row] = Math.sqrt(pivot);
    }
    return new Cholesky(size, matrix);
  }

  /** A decomposition made elsewhere. @param lower `[size, size]`; elements above the diagonal mean nothing */
  static given(lower: Float64Array, size: number): Cholesky {
    return new Cholesky(size, lower);
  }

  /** L^-1 of a vector, in place. */
  half(vector: Float64Array): Float64Array {
    const { size, lower } = this;
    for (let row = 0; row < size; row++) {
      const own = row * size;
      let left = vector[row] ?? 0;
      for (let k = 0; k < row; k++) left -= (lower[own + k] ?? 0) * (vector[k] ?? 0);
      vector[row] = left / (lower[own + row] ?? 0);
    }
    return vector;
  }

  /** The solution for a right side, in place. */
  solve(vector: Float64Array): Float64Array {
    const { size, lower } = this;
    this.half(vector);
    for (let row = size - 1; row >= 0; row--) {
      const own = row * size;
      const value = (vector[row] ?? 0) / (lower[own + row] ?? 0);
      vector[row] = value;
      for (let k = 0; k < row; k++) vector[k] = (vector[k] ?? 0) - value * (lower[own + k] ?? 0);
    }
    return vector;
  }

  /** The logarithm of the determinant. */
  get logDeterminant(): number {
    let sum = 0;
    for (let row = 0; row < this.size; row++) sum += Math.log(this.lower[row * this.size + row] ?? 0);
    return 2 * sum;
  }
}

/** The element of a row minus its inner product, up to there, with another row. */
function left(matrix: Float64Array, own: number, other: number, column: number): number {
  let sum = matrix[own + column] ?? 0;
  for (let k = 0; k < column; k++) sum -= (matrix[own + k] ?? 0) * (matrix[other + k] ?? 0);
  return sum;
}

/** The same for four columns at once, so that each element of the row is read once: two to three times as fast. */
function eliminateFour(matrix: Float64Array, size: number, own: number, column: number): void {
  const [a, b, c, d] = [column * size, (column + 1) * size, (column + 2) * size, (column + 3) * size];
  const at = own + column;
  let first = matrix[at] ?? 0;
  let second = matrix[at + 1] ?? 0;
  let third = matrix[at + 2] ?? 0;
  let fourth = matrix[at + 3] ?? 0;
  for (let k = 0; k < column; k++) {
    const x = matrix[own + k] ?? 0;
    first -= x * (matrix[a + k] ?? 0);
    second -= x * (matrix[b + k] ?? 0);
    third -= x * (matrix[c + k] ?? 0);
    fourth -= x * (matrix[d + k] ?? 0);
  }
  first /= matrix[a + column] ?? 0;
  second = (second - first * (matrix[b + column] ?? 0)) / (matrix[b + column + 1] ?? 0);
  third = third - first * (matrix[c + column] ?? 0) - second * (matrix[c + column + 1] ?? 0);
  third /= matrix[c + column + 2] ?? 0;
  fourth = fourth - first * (matrix[d + column] ?? 0) - second * (matrix[d + column + 1] ?? 0);
  fourth = (fourth - third * (matrix[d + column + 2] ?? 0)) / (matrix[d + column + 3] ?? 0);
  matrix[at] = first;
  matrix[at + 1] = second;
  matrix[at + 2] = third;
  matrix[at + 3] = fourth;
}
