/** Cholesky's decomposition solves what it is made of, for every size, and says where there is none. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { Cholesky } from "../../src/solvers/cholesky.js";

const drawn = fc.integer({ min: 1, max: 14 }).chain((size) =>
  fc.record({
    size: fc.constant(size),
    root: fc.array(fc.integer({ min: -5, max: 5 }), { minLength: size * size, maxLength: size * size }),
    right: fc.array(fc.integer({ min: -5, max: 5 }), { minLength: size, maxLength: size }),
    added: fc.integer({ min: 1, max: 4 }),
  }),
);

it("solves, halves and measures a damped matrix", () => {
  fc.assert(
    fc.property(drawn, ({ size, root, right, added }) => {
      const at = (row: number, column: number) =>
        [...Array(size).keys()].reduce(
          (sum, k) => sum + (root[row * size + k] ?? 0) * (root[column * size + k] ?? 0),
          row === column ? added : 0,
        );
      const matrix = Float64Array.from({ length: size * size }, (_, k) => {
        const [row, column] = [Math.floor(k / size), k % size];
        return at(row, column) - (row === column ? added : 0);
      });
      const solver = Cholesky.of(matrix, size, added);
      const solution = solver?.solve(Float64Array.from(right)) ?? new Float64Array(0);
      for (let row = 0; row < size; row++)
        expect(solution.reduce((sum, x, column) => sum + at(row, column) * x, 0)).toBeCloseTo(right[row] ?? 0, 6);
      const half = solver?.half(Float64Array.from(right)) ?? new Float64Array(0);
      const squares = half.reduce((sum, x) => sum + x * x, 0);
      expect(squares).toBeCloseTo(
        solution.reduce((sum, x, k) => sum + x * (right[k] ?? 0), 0),
        6,
      );
      expect(Number.isFinite(solver?.logDeterminant)).toBe(true);
    }),
  );
});

it("has none of a matrix with an eigenvalue below 0", () => {
  expect(Cholesky.of(Float64Array.of(1, 2, 2, 1), 2)).toBe(null);
  expect(Cholesky.of(Float64Array.of(1, 2, 2, 1), 2, 1.5)).not.toBe(null);
  const diagonal = Cholesky.of(Float64Array.of(4, 0, 0, 9), 2);
  expect(diagonal?.logDeterminant).toBeCloseTo(Math.log(36), 12);
});
