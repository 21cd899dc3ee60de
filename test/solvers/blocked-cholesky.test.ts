/** The decomposition in blocks is that row by row, whatever the size, and tells which matrices have none. */
import { describe, expect, it } from "vitest";
import { BlockedCholesky } from "../../src/solvers/blocked-cholesky.js";
import { Cholesky } from "../../src/solvers/cholesky.js";
import { random } from "../../src/tensor/random.js";

/** Of low rank: the inner products of `size` vectors of 40 numbers. */
function gram(size: number): Float64Array {
  const rows = random(size).normals(size * 40, 1);
  const found = new Float64Array(size * size);
  for (let i = 0; i < size; i++)
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let k = 0; k < 40; k++) sum += (rows[i * 40 + k] ?? 0) * (rows[j * 40 + k] ?? 0);
      found[i * size + j] = sum;
    }
  return found;
}

describe("Cholesky in blocks", () => {
  it.each([1, 255, 512, 513, 700, 768])("of %i rows", async (size) => {
    const matrix = gram(size);
    const expected = Cholesky.of(matrix.slice(), size, 0.3);
    const found = await BlockedCholesky.of(matrix.slice(), size, { added: 0.3, threads: 1 });
    if (!expected || !found) throw new Error("it was not decomposed");
    const rows = Float64Array.from(random(3).normals(3 * size, 1));
    const solved = expected.solve(rows.slice(0, size));
    const own = found.whole.solve(rows.slice(0, size));
    for (const [k, value] of solved.entries()) expect(own[k]).toBeCloseTo(value, 8);
    const halves = rows.slice();
    await found.halves(halves);
    for (let m = 0; m < 3; m++)
      for (const [k, value] of expected.half(rows.slice(m * size, (m + 1) * size)).entries())
        expect(halves[m * size + k]).toBeCloseTo(value, 8);
    expect(found.whole.logDeterminant).toBeCloseTo(expected.logDeterminant, 6);
    await found.release();
  });

  it.each([100, 600])("there is none of a matrix of %i rows that is not positive definite", async (size) => {
    const matrix = gram(size);
    matrix[size * size - 1] = -1;
    expect(await BlockedCholesky.of(matrix, size, { added: 0.5 })).toBeNull();
    expect(await BlockedCholesky.of(new Float64Array(size * size).fill(Number.NaN), size)).toBeNull();
  });
});
