/** Eigenvectors of symmetric matrices: A V = V diag(values), V orthogonal; and the same values as a decomposition in one go. */
import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import { describe, expect, it } from "vitest";
import { sideOf } from "../../src/solvers/eigenvectors.js";
import { random } from "../../src/tensor/random.js";

type Element = (row: number, column: number) => number;

function symmetric(size: number, element: Element): Float32Array {
  const data = new Float32Array(size * size);
  for (let row = 0; row < size; row++)
    for (let column = 0; column <= row; column++) {
      data[row * size + column] = element(row, column);
      data[column * size + row] = element(row, column);
    }
  return data;
}

/** The second moments of so many random vectors. */
function moments(size: number, vectors: number): Float32Array {
  const drawn = random(size + vectors).normals(size * vectors, 1);
  const at = (vector: number, k: number) => drawn[vector * size + k] ?? 0;
  return symmetric(size, (row, column) => {
    let sum = 0;
    for (let vector = 0; vector < vectors; vector++) sum += at(vector, row) * at(vector, column);
    return sum / vectors;
  });
}

const matrices: Readonly<Record<string, Float32Array>> = {
  "random moments of 128": moments(128, 500),
  "random moments of 201": moments(201, 700),
  "of low rank": moments(150, 7),
  "nearly the identity": symmetric(140, (row, column) => (row === column ? 1 : 1e-7 * Math.sin(row * column))),
  "the identity": symmetric(130, (row, column) => (row === column ? 1 : 0)),
  "two values alone": symmetric(131, (row, column) => (row === column ? 2 : 1)),
  "graded over twenty decades": symmetric(
    160,
    (row, column) => 10 ** (-(row + column) / 16) * (row === column ? 2 : 1),
  ),
  "tridiagonal with pairs of values (Wilkinson 1965)": symmetric(141, (row, column) =>
    row === column ? Math.abs(row - 70) : row === column + 1 ? 1 : 0,
  ),
  "tridiagonal in two parts": symmetric(150, (row, column) =>
    row === column ? 2 : row === column + 1 && row !== 75 ? -1 : 0,
  ),
  "with rows of zeros": symmetric(200, (row, column) =>
    row % 3 && column % 3 ? Math.cos(row * column) + (row === column ? 40 : 0) : 0,
  ),
  "no elements but zeros": new Float32Array(129 * 129),
};

describe.each(Object.keys(matrices))("%s", (name) => {
  it("has orthogonal eigenvectors of the right values", async () => {
    const data = matrices[name] as Float32Array;
    const size = Math.sqrt(data.length);
    const { values, vectors } = await sideOf({ dtype: "float32", dims: [size, size], data });
    const rows = Array.from({ length: size }, (_, row) => Array.from(data.subarray(row * size, (row + 1) * size)));
    const whole = new Matrix(rows);
    const found = new Matrix(
      Array.from({ length: size }, (_, k) => Array.from((vectors as Float64Array).subarray(k * size, (k + 1) * size))),
    );
    const expected = new EigenvalueDecomposition(whole, { assumeSymmetric: true }).realEigenvalues;
    const scale = Math.max(1e-300, ...expected.map(Math.abs));
    const unclamped = whole.mmul(found);
    const own = found.transpose().mmul(unclamped);
    const orthogonal = found.transpose().mmul(found);
    let [off, askew] = [0, 0];
    for (let row = 0; row < size; row++)
      for (let column = 0; column < size; column++) {
        if (row !== column) off = Math.max(off, Math.abs(own.get(row, column)));
        askew = Math.max(askew, Math.abs(orthogonal.get(row, column) - (row === column ? 1 : 0)));
      }
    expect(off / scale).toBeLessThan(1e-13);
    expect(askew).toBeLessThan(1e-13);
    const sorted = [...values].sort((a, b) => a - b);
    const clamped = expected.map((value) => Math.max(0, value)).sort((a, b) => a - b);
    sorted.forEach((value, k) => {
      expect(Math.abs(value - (clamped[k] ?? 0)) / scale).toBeLessThan(1e-13);
    });
  });
});
