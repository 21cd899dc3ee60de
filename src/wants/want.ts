/** The wants: what a program can compute from a batch's per-sample gradients. */
import { clippedSum } from "./clipping.js";
import { cross } from "./cross.js";
import { fisherProduct, ggnDiagonal, ggnProduct, hessianDiagonal, hvp, jacobian, ntk, trace } from "./curvature.js";
import { gradients } from "./gradients.js";
import { cosine, dot, gram } from "./inner-products.js";
import { kroneckerFactors } from "./kronecker.js";
import { losses, mean, norms, outputs, sum } from "./plain.js";
import { project } from "./projection.js";
import { reduce } from "./reduction.js";
import { moments, noiseScale } from "./statistics.js";

export type { ClippedSum, ClippedSumOptions } from "./clipping.js";
export type * from "./wanted.js";

/** What a program can compute from each sample's gradients. */
export const want = {
  gradients,
  norms,
  clippedSum,
  sum,
  mean,
  losses,
  outputs,
  moments,
  noiseScale,
  dot,
  gram,
  cosine,
  cross,
  project,
  reduce,
  hvp,
  ggnProduct,
  fisherProduct,
  ggnDiagonal,
  hessianDiagonal,
  trace,
  jacobian,
  ntk,
  kroneckerFactors,
} as const;
