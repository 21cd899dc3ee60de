/** The inverse of the matrix's diagonal alone. */
import type { Dataset } from "../../program/dataset.js";
import type { CurvatureKind } from "../../solvers/curvature.js";
import { want } from "../../wants/want.js";
import type { Checkpoint } from "../checkpoint.js";
import { type Apply, rowByRow } from "./inverse.js";

export async function diagonalInverse(
  checkpoint: Checkpoint,
  train: Dataset,
  damping: number,
  of: CurvatureKind,
): Promise<Apply> {
  const diagonal = await meanDiagonal(checkpoint, train, of);
  return rowByRow(checkpoint.space.size, async (row) => row.map((value, k) => value / ((diagonal[k] ?? 0) + damping)));
}

/** The diagonal of the mean over all samples. */
async function meanDiagonal(checkpoint: Checkpoint, train: Dataset, of: CurvatureKind): Promise<Float64Array> {
  const { space } = checkpoint;
  const sum = new Float64Array(space.size);
  let samples = 0;
  const add = (rows: Float32Array, count: number, f: (x: number) => number) => {
    for (let k = 0; k < rows.length; k++) sum[k % space.size] = (sum[k % space.size] ?? 0) + f(rows[k] ?? 0);
    samples += count;
  };
  if (of === "fisher") {
    for await (const { rows, from, to } of checkpoint.rows(train)) add(rows, to - from, (x) => x * x);
  } else {
    const wanted = { diagonal: of === "ggn" ? want.ggnDiagonal() : want.hessianDiagonal() };
    for await (const { results, from, to } of checkpoint.stream(wanted, train))
      add(space.rows(results.diagonal, to - from), to - from, (x) => x);
  }
  return sum.map((each) => each / Math.max(1, samples));
}
