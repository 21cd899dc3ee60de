/** Systems with a symmetric positive definite matrix that is held, in float64 (Cholesky's decomposition, a row at a time). */

/** The lower triangle L of a matrix L L'. */
export class Cholesky {
  private constructor(
    readonly size: number,
    /** Row by row; what is above the diagonal is of no meaning. */
    private readonly lower: Float64Array,
  ) {}

  /**
   * Takes the matrix's array `[size, size]` over. Null where it is not positive definite.
   * @param added to the diagonal
   */
  static of(matrix: Float64Array, size: number, added = 0): Cholesky | null {
    for (let row = 0; row < size; row++) {
      const own = row * size;
      for (let column = 0; column <= row; column++) {
        const other = column * size;
        let left = matrix[own + column] ?? 0;
        if (column === row) left += added;
        for (let k = 0; k < column; k++) left -= (matrix[own + k] ?? 0) * (matrix[other + k] ?? 0);
        if (column < row) matrix[own + column] = left / (matrix[other + column] ?? 0);
        else if (left > 0) matrix[own + row] = Math.sqrt(left);
        else return null;
      }
    }
    return new Cholesky(size, matrix);
  }

  /** L^-1 of a vector, in its place. */
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

  /** The solution for a right side, in its place. */
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
