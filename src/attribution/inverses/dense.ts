/** The inverse of a whole matrix of all parameters: for small models. */

import { PergradError } from "../../errors.js";
import { option, sentence } from "../../sentence.js";
import { Cholesky } from "../../solvers/cholesky.js";
import type { Curvature, CurvatureKind } from "../../solvers/curvature.js";
import type { Checkpoint } from "../checkpoint.js";
import { type Apply, rowByRow } from "./inverse.js";

/** The matrix takes P x P numbers, and a product for each column. */
const mostParameters = 4096;

/** @param curvature the curvature whose columns are computed, with one product each */
export async function denseInverse(
  checkpoint: Checkpoint,
  curvature: Curvature,
  damping: number,
  of: CurvatureKind,
): Promise<Apply> {
  const { size } = checkpoint.space;
  if (size > mostParameters)
    throw new PergradError(
      "INVALID_ARGUMENT",
      `The inverse "exact" would hold a matrix of ${size} x ${size} numbers, but takes at most ${mostParameters} parameters; use "gram", which is exact too, or "ekfac", or select parameters.`,
    );
  const matrix = await matrixOf(curvature, size);
  const solver = Cholesky.of(matrix, size, damping);
  if (!solver)
    throw new PergradError(
      "INVALID_ARGUMENT",
      sentence`The ${of} plus the damping ${damping} is not positive definite; give a larger ${option("damping")}${of === "hessian" ? sentence`, or ${option("of", "ggn")}` : ""}.`,
    );
  return rowByRow(size, async (row) => solver.solve(row));
}

/** All columns, made symmetric. */
async function matrixOf(curvature: Curvature, size: number): Promise<Float64Array> {
  const matrix = new Float64Array(size * size);
  const unit = new Float64Array(size);
  for (let column = 0; column < size; column++) {
    unit[column] = 1;
    matrix.set(await curvature.multiply(unit), column * size);
    unit[column] = 0;
  }
  for (let row = 0; row < size; row++)
    for (let column = 0; column < row; column++) {
      const mean = ((matrix[row * size + column] ?? 0) + (matrix[column * size + row] ?? 0)) / 2;
      matrix[row * size + column] = mean;
      matrix[column * size + row] = mean;
    }
  return matrix;
}
