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
  if (of === "fisher") {
    const { moments } = await checkpoint.all({ moments: want.moments() }, train);
    return space.join(moments.secondMoment);
  }
  if (of === "ggn") {
    const { diagonal } = await checkpoint.all({ diagonal: want.ggnDiagonal({ mean: true }) }, train);
    return space.join(diagonal);
  }
  const sum = new Float64Array(space.size);
  let samples = 0;
  for await (const { results, from, to } of checkpoint.stream({ diagonal: want.hessianDiagonal() }, train)) {
    const rows = space.rows(results.diagonal, to - from);
    for (let k = 0; k < rows.length; k++) sum[k % space.size] = (sum[k % space.size] ?? 0) + (rows[k] ?? 0);
    samples += to - from;
  }
  return sum.map((each) => each / Math.max(1, samples));
}
