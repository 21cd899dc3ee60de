/** The matrix product of the float64 reference. */

/** A row-major matrix within an array: it begins at index `at`, and its rows are `stride` apart. */
export interface Matrix64 {
  readonly data: Float64Array;
  readonly at: number;
  readonly stride: number;
}

/**
 * Adds the product of `a` [rows, inner] and `b` [inner, columns] to `sum` [rows, columns]. It takes two rows of the sum
 * and four of `b` at a time, as many as fit into registers, so that each number loaded is used two or four times.
 */
export function addProduct64(
  sum: Matrix64,
  a: Matrix64,
  b: Matrix64,
  [rows, inner, columns]: readonly [number, number, number],
): void {
  let m = 0;
  for (; m + 1 < rows; m += 2) {
    let k = 0;
    for (; k + 3 < inner; k += 4) addTwoByFour(sum, a, b, m, k, columns);
    for (; k < inner; k++) for (const row of [m, m + 1]) addRow(sum, a, b, row, k, columns);
  }
  if (m === rows) return;
  let k = 0;
  for (; k + 3 < inner; k += 4) addFour(sum, a, b, m, k, columns);
  for (; k < inner; k++) addRow(sum, a, b, m, k, columns);
}

/** Adds row k of `b`, times a[m, k], to row m of the sum. */
function addRow(sum: Matrix64, a: Matrix64, b: Matrix64, m: number, k: number, columns: number): void {
  const [out, from, factor] = [sum.data, b.data, a.data[a.at + m * a.stride + k] as number];
  const [to, first] = [sum.at + m * sum.stride, b.at + k * b.stride];
  for (let p = 0; p < columns; p++) out[to + p] = (out[to + p] as number) + factor * (from[first + p] as number);
}

function addFour(sum: Matrix64, a: Matrix64, b: Matrix64, m: number, k: number, columns: number): void {
  const [out, from, left] = [sum.data, b.data, a.data];
  const [to, row] = [sum.at + m * sum.stride, a.at + m * a.stride + k];
  const first = b.at + k * b.stride;
  const [second, third, fourth] = [first + b.stride, first + 2 * b.stride, first + 3 * b.stride];
  const [x0, x1] = [left[row] as number, left[row + 1] as number];
  const [x2, x3] = [left[row + 2] as number, left[row + 3] as number];
  for (let p = 0; p < columns; p++) {
    out[to + p] =
      (out[to + p] as number) +
      (x0 * (from[first + p] as number) + x1 * (from[second + p] as number)) +
      (x2 * (from[third + p] as number) + x3 * (from[fourth + p] as number));
  }
}

function addTwoByFour(sum: Matrix64, a: Matrix64, b: Matrix64, m: number, k: number, columns: number): void {
  const [out, from, left] = [sum.data, b.data, a.data];
  const to = sum.at + m * sum.stride;
  const next = to + sum.stride;
  const row = a.at + m * a.stride + k;
  const below = row + a.stride;
  const first = b.at + k * b.stride;
  const [second, third, fourth] = [first + b.stride, first + 2 * b.stride, first + 3 * b.stride];
  const [x0, x1] = [left[row] as number, left[row + 1] as number];
  const [x2, x3] = [left[row + 2] as number, left[row + 3] as number];
  const [y0, y1] = [left[below] as number, left[below + 1] as number];
  const [y2, y3] = [left[below + 2] as number, left[below + 3] as number];
  for (let p = 0; p < columns; p++) {
    // One at a time: destructuring arrays is not free in a loop as hot as this one.
    const b0 = from[first + p] as number;
    const b1 = from[second + p] as number;
    const b2 = from[third + p] as number;
    const b3 = from[fourth + p] as number;
    out[to + p] = (out[to + p] as number) + (x0 * b0 + x1 * b1) + (x2 * b2 + x3 * b3);
    out[next + p] = (out[next + p] as number) + (y0 * b0 + y1 * b1) + (y2 * b2 + y3 * b3);
  }
}
