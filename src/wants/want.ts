/** The wants: what a program can compute of a batch's per-sample gradients. Each determines the type of its result. */
import { sampleCount } from "../gradients/factored.js";
import { build } from "../ops/registry.js";
import type { Tensor } from "../tensor/tensor.js";
import { clippedSum } from "./clipping.js";
import { cross } from "./cross.js";
import { fisherProduct, ggnDiagonal, ggnProduct, hessianDiagonal, hvp, jacobian, ntk, trace } from "./curvature.js";
import { gradients } from "./gradients.js";
import { cosine, dot, gram } from "./inner-products.js";
import { kroneckerFactors } from "./kronecker.js";
import { project } from "./projection.js";
import { reduce } from "./reduction.js";
import { moments, noiseScale } from "./statistics.js";
import { type ByParameter, each, type FloatTensor, float, totalNorm, under, type Want } from "./wanted.js";

export type { ClippedSum, ClippedSumOptions } from "./clipping.js";
export type { ByParameter, FloatTensor, ResultOf, Results, Returned, Want, WantContext, Wants } from "./wanted.js";

/** What `want.norms` gives. */
export interface Norms {
  /** 2-norm of each sample's whole gradient, `[N]`. */
  readonly total: FloatTensor;
  /** 2-norm of each sample's gradient of each parameter, `[N]`. */
  readonly parameters: ByParameter;
}

/** The 2-norms of each sample's gradient, exactly: of the whole, and of each parameter's part. */
function norms(): Want<Norms> {
  return {
    name: "norms",
    requirements: { norm: 1 },
    norms: "total",
    emit: (wanted) => ({
      total: totalNorm(wanted),
      ...Object.fromEntries(
        wanted.plan.parameters.map((parameter) => [`of/${parameter}`, build.sqrt(wanted.plan.squaredNorm(parameter))]),
      ),
    }),
    read: (returned) => ({ total: float(returned, "total"), parameters: under(returned, "of/") }),
  };
}

/** The sum over the batch of the gradients, by parameter, `[...shape]`. */
function sum(): Want<ByParameter> {
  return {
    name: "sum",
    requirements: { sum: 1, plainSum: true },
    emit: ({ plan }) => each(plan.parameters, (parameter) => plan.weightedSum(parameter, null)),
    read: (returned) => under(returned, ""),
  };
}

/** The mean over the batch of the gradients: the ordinary mini-batch gradient, by parameter, `[...shape]`. Zeros for an empty batch. */
function mean(): Want<ByParameter> {
  return {
    ...sum(),
    name: "mean",
    requirements: { sum: 1 },
    joining: "mean",
    emit: ({ plan, losses }) => {
      const weight = build.div(build.scalar(1, losses), sampleCount(build));
      return each(plan.parameters, (parameter) => plan.scaledSum(parameter, weight));
    },
  };
}

/** Each sample's loss, `[N]`. */
function losses(): Want<FloatTensor> {
  return {
    name: "losses",
    requirements: {},
    emit: (wanted) => ({ losses: wanted.losses }),
    read: (returned) => float(returned, "losses"),
  };
}

/** The model's own outputs, by name. */
function outputs(): Want<Readonly<Record<string, Tensor>>> {
  return {
    name: "outputs",
    requirements: {},
    emit: (wanted) => ({ ...wanted.outputs }),
    read: (returned) => returned,
  };
}

/** What a program can compute of each sample's gradients. */
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
