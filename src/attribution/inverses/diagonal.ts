/** The inverse of the matrix's diagonal. */

import { invalidArgument } from "../../arguments.js";
import type { Dataset } from "../../program/given-data.js";
import { option, sentence } from "../../sentence.js";
import type { CurvatureKind } from "../../solvers/curvature.js";
import type { OverData } from "../../solvers/kronecker-parts.js";
import { want } from "../../wants/want.js";
import type { Checkpoint } from "../checkpoint.js";
import { type Apply, rowByRow } from "./inverse.js";

export async function diagonalInverse(
  checkpoint: Checkpoint,
  train: Dataset,
  damping: number,
  of: CurvatureKind,
): Promise<Apply> {
  return byDiagonal(await meanDiagonal(checkpoint, train, of), damping, of);
}

/** Division by a diagonal plus the damping. Throws INVALID_ARGUMENT unless all of it is positive. */
export function byDiagonal(diagonal: Float64Array, damping: number, of: CurvatureKind): Apply {
  const count = diagonal.filter((value) => !(value + damping > 0)).length;
  if (count > 0)
    throw invalidArgument(
      sentence`The diagonal of the ${of} plus the damping ${damping} is not positive at ${count} of ${diagonal.length} numbers; give a larger ${option("damping")}.`,
    );
  return rowByRow(diagonal.length, async (row) => row.map((value, k) => value / ((diagonal[k] ?? 0) + damping)));
}

/** The diagonal of the mean over a data set, for which only sums are wanted. */
export async function diagonalBy(over: OverData, { objective, space }: Checkpoint, of: "fisher" | "ggn") {
  if (of === "fisher") {
    const { moments } = await over(objective, { moments: want.moments() });
    return space.join(moments.secondMoment);
  }
  const { diagonal } = await over(objective, { diagonal: want.ggnDiagonal({ mean: true }) });
  return space.join(diagonal);
}

/** The diagonal of the mean over all samples. */
async function meanDiagonal(checkpoint: Checkpoint, train: Dataset, of: CurvatureKind): Promise<Float64Array> {
  const { space } = checkpoint;
  if (of !== "hessian") return diagonalBy((_, wants) => checkpoint.all(wants, train), checkpoint, of);
  const sum = new Float64Array(space.size);
  let samples = 0;
  for await (const { results, from, to } of checkpoint.stream({ diagonal: want.hessianDiagonal() }, train)) {
    const rows = space.rows(results.diagonal, to - from);
    for (let k = 0; k < rows.length; k++) sum[k % space.size] = (sum[k % space.size] ?? 0) + (rows[k] ?? 0);
    samples += to - from;
  }
  return sum.map((each) => each / Math.max(1, samples));
}
