/** The wants that only ask the plan one question. */
import { sampleCount } from "../gradients/factored.js";
import { build } from "../ops/registry.js";
import type { Tensor } from "../tensor/tensor.js";
import { type ByParameter, each, type FloatTensor, float, type Norms, totalNorm, under, type Want } from "./wanted.js";

/** The 2-norms of each sample's gradient, exactly: of the whole gradient, and of each parameter's part. */
export function norms(): Want<Norms> {
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

/** The sum of the gradients over the batch, by parameter, `[...shape]`. */
export function sum(): Want<ByParameter> {
  return {
    name: "sum",
    requirements: { sum: 1, plainSum: true },
    emit: ({ plan }) => each(plan.parameters, (parameter) => plan.weightedSum(parameter, null)),
    read: (returned) => under(returned, ""),
  };
}

/**
 * The mean of the gradients over the batch: the ordinary mini-batch gradient, by parameter, `[...shape]`. Zeros for an
 * empty batch.
 */
export function mean(): Want<ByParameter> {
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
export function losses(): Want<FloatTensor> {
  return {
    name: "losses",
    holds: "losses",
    requirements: {},
    emit: (wanted) => ({ losses: wanted.losses }),
    read: (returned) => float(returned, "losses"),
  };
}

/** The model's own outputs, by name. */
export function outputs(): Want<Readonly<Record<string, Tensor>>> {
  return {
    name: "outputs",
    holds: "outputs",
    requirements: {},
    emit: (wanted) => ({ ...wanted.outputs }),
    read: (returned) => returned,
  };
}
