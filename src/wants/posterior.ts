/** Wants that Laplace approximations are made from; not public. */
import { gaussNewtonMatrix, type Independent, outputCovariance, variancesOf } from "../curvature/posterior.js";
import type { Value } from "../graph/value.js";
import { type FloatTensor, float, type Want } from "./wanted.js";

/** The mean of the generalised Gauss-Newton matrices, over all parameters in order, `[P, P]`. */
export function ggnMatrix(): Want<FloatTensor> {
  return {
    name: "ggnMatrix",
    requirements: { factors: true },
    joining: "mean",
    emit: ({ differentiable }) => ({ matrix: gaussNewtonMatrix(differentiable) }),
    read: (returned) => float(returned, "matrix"),
  };
}

/** Outputs that are linear in parameters with a Gaussian distribution. */
export interface Predicted {
  readonly output: FloatTensor;
  readonly covariance: FloatTensor;
  readonly chances: FloatTensor | null;
}

/**
 * @param parts the distribution of the parameters
 * @param chances what an output and its variances say about the probability of a target
 */
export function predictions(
  parts: readonly Independent[],
  chances: ((output: Value, variances: Value) => Value) | null,
): Want<Predicted> {
  return {
    name: "predictions",
    requirements: { factors: true },
    emit: ({ differentiable }) => {
      const { output } = differentiable;
      const covariance = outputCovariance(differentiable, parts);
      const likely = chances?.(output, variancesOf(covariance, output));
      return { output, covariance, ...(likely ? { chances: likely } : {}) };
    },
    read: (returned) => ({
      output: float(returned, "output"),
      covariance: float(returned, "covariance"),
      chances: returned.chances ? float(returned, "chances") : null,
    }),
  };
}
