/** What a user may want to know about the per-sample gradients of a batch. Each want types its own result. */
import { PergradError } from "../errors.js";
import type { Value } from "../graph/value.js";
import { build } from "../ops/registry.js";
import type { Tensor } from "../tensor.js";
import { cross } from "./cross.js";
import { cosine, dot, gram } from "./inner-products.js";
import { project } from "./projection.js";
import { reduce } from "./reduction.js";
import { moments, noiseScale } from "./statistics.js";
import { type ByParameter, each, type FloatTensor, float, totalNorm, under, type Want, type Wanted } from "./wanted.js";

export type { ByParameter, FloatTensor, ResultOf, Results, Returned, Want, Wanted, Wants } from "./wanted.js";

export interface Norms {
  /** 2-norm of each sample's whole gradient, `[N]`. */
  readonly total: FloatTensor;
  /** 2-norm of each sample's gradient of each parameter, `[N]`. */
  readonly parameters: ByParameter;
}

export interface ClippedSum {
  /** The sum over samples of each sample's gradient times min(1, maxNorm / its norm), by parameter, `[...shape]`. */
  readonly sum: ByParameter;
  /** 2-norm of each sample's whole gradient before clipping, `[N]`. */
  readonly norms: FloatTensor;
}

export interface ClippedSumOptions {
  /** The largest norm of a sample's whole gradient, or of its part in each parameter. Above 0. */
  readonly maxNorm: number | Readonly<Record<string, number>>;
}

/** min(1, maxNorm / norm), `[N]`; 1 where the norm is 0. */
function clipFactor(norm: Value, maxNorm: number): Value {
  const limit = build.scalar(maxNorm, norm);
  return build.div(limit, build.op("Max", [norm, limit]));
}

function checkMaxNorm(maxNorm: number, whose: string): void {
  if (!(maxNorm > 0) || !Number.isFinite(maxNorm)) {
    throw new PergradError("INVALID_ARGUMENT", `maxNorm${whose} is ${maxNorm}; it must be a finite number above 0.`);
  }
}

/**
 * Each sample's own gradients: by parameter, `[N, ...shape]`. With `storage: "float16"` they take half the memory:
 * they are computed in float32 and then rounded to 11 significant bits; beyond 65504 they become infinite, and below
 * 6e-5 they lose bits. `toFloat32` reads them.
 */
function gradients(options?: { readonly storage?: "float32" }): Want<ByParameter>;
function gradients(options: { readonly storage: "float16" }): Want<Readonly<Record<string, Tensor<"float16">>>>;
function gradients({
  storage = "float32",
}: {
  readonly storage?: "float32" | "float16";
} = {}): Want<Readonly<Record<string, Tensor<"float32" | "float16">>>> {
  return {
    name: "gradients",
    demands: { gradients: true },
    ...(storage === "float16" ? { storage } : {}),
    emit: ({ plan }) => each(plan.parameters, (parameter) => plan.gradient(parameter)),
    read: (returned) => (storage === "float16" ? (returned as Record<string, Tensor<"float16">>) : under(returned, "")),
  };
}

/** The 2-norms of each sample's gradient, exactly: of the whole, and of each parameter's part. */
function norms(): Want<Norms> {
  return {
    name: "norms",
    demands: { norms: true },
    emit: (wanted) => ({
      total: totalNorm(wanted),
      ...Object.fromEntries(
        wanted.plan.parameters.map((parameter) => [`of/${parameter}`, build.sqrt(wanted.plan.squaredNorm(parameter))]),
      ),
    }),
    read: (returned) => ({ total: float(returned, "total"), parameters: under(returned, "of/") }),
  };
}

/**
 * The sum over the batch of gradients clipped to `maxNorm`: what private training adds noise to. A number
 * limits the norm of a sample's whole gradient; a record limits each parameter's part by its own number,
 * and must name all of them.
 * Throws INVALID_ARGUMENT, MISSING_TENSOR.
 */
function clippedSum({ maxNorm }: ClippedSumOptions): Want<ClippedSum> {
  if (typeof maxNorm === "number") checkMaxNorm(maxNorm, "");
  else for (const [parameter, limit] of Object.entries(maxNorm)) checkMaxNorm(limit, ` of "${parameter}"`);
  const factors = (wanted: Wanted): ((parameter: string) => Value) => {
    if (typeof maxNorm === "number") {
      const factor = clipFactor(totalNorm(wanted), maxNorm);
      return () => factor;
    }
    return (parameter) => {
      const limit = maxNorm[parameter];
      if (limit === undefined)
        throw new PergradError("MISSING_TENSOR", `maxNorm has no limit for the parameter "${parameter}".`);
      return clipFactor(build.sqrt(wanted.plan.squaredNorm(parameter)), limit);
    };
  };
  return {
    name: "clippedSum",
    demands: { norms: true, sums: 1 },
    emit: (wanted) => {
      const factor = factors(wanted);
      const sums = wanted.plan.parameters.map((parameter) => [
        `sum/${parameter}`,
        wanted.plan.weightedSum(parameter, factor(parameter)),
      ]);
      return { norms: totalNorm(wanted), ...Object.fromEntries(sums) };
    },
    read: (returned) => ({ sum: under(returned, "sum/"), norms: float(returned, "norms") }),
  };
}

/** The sum over the batch of the gradients, by parameter, `[...shape]`. */
function sum(): Want<ByParameter> {
  return {
    name: "sum",
    demands: { sums: 1 },
    emit: ({ plan }) => each(plan.parameters, (parameter) => plan.weightedSum(parameter, null)),
    read: (returned) => under(returned, ""),
  };
}

/** The mean over the batch of the gradients: the ordinary mini-batch gradient, by parameter, `[...shape]`. Zeros for an empty batch. */
function mean(): Want<ByParameter> {
  return {
    ...sum(),
    name: "mean",
    read: (returned, samples) => {
      const sums = under(returned, "");
      const scale = samples === 0 ? 0 : 1 / samples;
      for (const { data } of Object.values(sums))
        for (let i = 0; i < data.length; i++) data[i] = (data[i] as number) * scale;
      return sums;
    },
  };
}

/** Each sample's loss, `[N]`. */
function losses(): Want<FloatTensor> {
  return {
    name: "losses",
    demands: {},
    emit: (wanted) => ({ losses: wanted.losses }),
    read: (returned) => float(returned, "losses"),
  };
}

/** The model's own outputs, by name. */
function outputs(): Want<Readonly<Record<string, Tensor>>> {
  return {
    name: "outputs",
    demands: {},
    emit: (wanted) => ({ ...wanted.outputs }),
    read: (returned) => returned,
  };
}

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
} as const;
