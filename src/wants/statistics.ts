/** Wants that describe the distribution of a batch's gradients. */
import { sampleCount } from "../gradients/factored.js";
import type { Value } from "../graph/value.js";
import { build } from "../ops/registry.js";
import type { Plan } from "../plan/planner.js";
import { type ByParameter, type FloatTensor, float, totalNorm, under, type Want } from "./wanted.js";

/** The result of `want.moments`: by parameter, `[...shape]` each, over the samples of the batch. */
export interface Moments {
  /** Zeros for an empty batch. */
  readonly mean: ByParameter;
  /** The mean of the squares; zeros for an empty batch. */
  readonly secondMoment: ByParameter;
  /** Unbiased, and therefore NaN for fewer than two samples; never below 0. */
  readonly variance: ByParameter;
}

function mapped({ dtype, dims, data }: FloatTensor, f: (value: number, i: number) => number): FloatTensor {
  return { dtype, dims, data: data.map(f) };
}

function mapAll(of: ByParameter, f: (tensor: FloatTensor, name: string) => FloatTensor): ByParameter {
  return Object.fromEntries(Object.entries(of).map(([name, tensor]) => [name, f(tensor, name)]));
}

/**
 * Mean, second moment and variance of each element of the gradients over the batch, by parameter, `[...shape]` each.
 * The variance is computed from deviations from the mean, not from a difference of sums, so it is accurate even if the
 * gradients of a batch are nearly alike. A program joins its own microbatches in float64. If you join the results of a
 * saved program for parts of a batch yourself, the variance between the parts is a difference of float32 sums: below
 * about 1e-6 of the squared mean it is only rounding.
 */
export function moments(): Want<Moments> {
  return {
    name: "moments",
    requirements: { sum: 1, plainSum: true, squares: 1 },
    emit: ({ plan, losses }) => ({
      parts: build.scalar(1, losses),
      ...Object.fromEntries(plan.parameters.flatMap((name) => Object.entries(emitMoments(plan, name)))),
    }),
    joinedAs: (tensor) => {
      if (tensor === "parts") return { kind: "shared" };
      return tensor.startsWith("within/") ? { kind: "deviations", sum: tensor.replace("within/", "sum/") } : undefined;
    },
    read: (returned, samples) => {
      const count = Math.max(1, samples);
      const single = float(returned, "parts").data[0] === 1;
      const [sums, between] = [under(returned, "sum/"), under(returned, "between/")];
      const by = (f: (within: number, sum: number, between: number) => number) =>
        mapAll(under(returned, "within/"), (tensor, name) => {
          const [sum, other] = [sums[name]?.data, between[name]?.data];
          return mapped(tensor, (within, i) => f(within, sum?.[i] ?? Number.NaN, other?.[i] ?? Number.NaN));
        });
      const squares = (within: number, sum: number, other: number) =>
        single ? within : Math.max(0, within + (other - (sum * sum) / count));
      return {
        mean: by((_, sum) => sum / count),
        secondMoment: by((within, sum, other) => (within + (single ? (sum * sum) / count : other)) / count),
        variance: by((...found) => (samples < 2 ? Number.NaN : squares(...found) / (samples - 1))),
      };
    },
  };
}

/**
 * Values that add up over the microbatches of a batch: the sum of the gradients, the sum of the squared deviations from
 * their part's mean, and n times the squares of the parts' means (Chan et al. 1983, "Algorithms for computing the
 * sample variance").
 */
function emitMoments(plan: Plan, name: string): Record<string, Value> {
  const sum = plan.weightedSum(name, null);
  const between = build.div(build.square(sum), sampleCount(build));
  return { [`sum/${name}`]: sum, [`within/${name}`]: plan.sumOfSquares(name), [`between/${name}`]: between };
}

/** The result of `want.noiseScale`: unbiased estimates from one batch; NaN for fewer than two samples. */
export interface NoiseScale {
  /** Squared norm of the true gradient. For a noisy batch the estimate may be negative. */
  readonly signal: number;
  /** Variance of one sample's gradient, summed over all elements (the trace of its covariance). */
  readonly noise: number;
  /** noise / signal: the batch size at which the two are equal. */
  readonly scale: number;
  /** signal / noise, for one sample's gradient. */
  readonly signalToNoise: number;
}

const squaredNorm = (data: Float32Array) => data.reduce((total, x) => total + x * x, 0);

/**
 * The gradient noise scale: McCandlish et al. 2018, "An Empirical Model of Large-Batch Training", appendix A, for
 * batches of 1 and of N. Their estimate is from |G_1|^2 and |G_N|^2; here both are computed from the same samples.
 */
export function noiseScale(): Want<NoiseScale> {
  return {
    name: "noiseScale",
    norms: "norms",
    addedUp: ["norms"],
    requirements: { norm: 1, sum: 1, plainSum: true },
    emit: (wanted) => ({
      norms: totalNorm(wanted),
      ...Object.fromEntries(wanted.plan.parameters.map((name) => [`sum/${name}`, wanted.plan.weightedSum(name, null)])),
    }),
    read: (returned, samples) => {
      const one = squaredNorm(float(returned, "norms").data) / samples;
      const sums = Object.values(under(returned, "sum/"));
      const all = sums.reduce((total, { data }) => total + squaredNorm(data), 0) / samples ** 2;
      const [signal, noise] =
        samples < 2
          ? [Number.NaN, Number.NaN]
          : // Of equal gradients rounding decides the sign of the difference, which is never below 0.
            [(samples * all - one) / (samples - 1), (Math.max(0, one - all) * samples) / (samples - 1)];
      return { signal, noise, scale: noise / signal, signalToNoise: signal / noise };
    },
  };
}
