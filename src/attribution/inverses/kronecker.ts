/** The inverse by KFAC and EK-FAC: layer by layer, in the eigenvectors of two factors. */
import type { Dataset } from "../../program/dataset.js";
import type { CurvatureKind } from "../../solvers/curvature.js";
import type { Checkpoint } from "../checkpoint.js";
import type { Apply } from "./inverse.js";

/** @param corrected whether eigenvalues are those that the curvature has in that basis: EK-FAC (George et al. 2018) */
export async function kroneckerInverse(
  checkpoint: Checkpoint,
  train: Dataset,
  damping: number,
  { of, corrected }: { readonly of: CurvatureKind; readonly corrected: boolean },
): Promise<Apply> {
  const { space } = checkpoint;
  const factors = await checkpoint.kronecker(train, of === "ggn" ? "type2" : "empirical", corrected);
  return async (rows) => space.rows(await factors.solveEach(space.apart(rows), { damping }), rows.length / space.size);
}
