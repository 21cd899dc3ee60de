/** What is wanted of the distribution of a batch's gradients. */
import { type ByParameter, type FloatTensor, float, totalNorm, under, type Want } from "./wanted.js";

/** By parameter, `[...shape]` each, over the samples of the batch. */
export interface Moments {
  /** Zeros for an empty batch. */
  readonly mean: ByParameter;
  /** The mean of the squares; zeros for an empty batch. */
  readonly secondMoment: ByParameter;
  /** Unbiased, so that it is NaN for fewer than two samples; never below 0. */
  readonly variance: ByParameter;
}

function mapped({ dtype, dims, data }: FloatTensor, f: (value: number, i: number) => number): FloatTensor {
  return { dtype, dims, data: data.map(f) };
}

function mapAll(of: ByParameter, f: (tensor: FloatTensor, name: string) => FloatTensor): ByParameter {
  return Object.fromEntries(Object.entries(of).map(([name, tensor]) => [name, f(tensor, name)]));
}

/**
 * Mean, second moment and variance of each element of the gradients over the batch. The variance is the
 * difference of sums in float32: where it is below about 1e-6 of the squared mean, rounding is all there is.
 */
export function moments(): Want<Moments> {
  return {
    name: "moments",
    demands: { sums: 1, squares: true },
    emit: ({ plan }) => ({
      ...Object.fromEntries(plan.parameters.map((name) => [`sum/${name}`, plan.weightedSum(name, null)])),
      ...Object.fromEntries(plan.parameters.map((name) => [`squares/${name}`, plan.sumOfSquares(name)])),
    }),
    read: (returned, samples) => {
      const [sums, squares] = [under(returned, "sum/"), under(returned, "squares/")];
      const count = Math.max(1, samples);
      const average = (of: ByParameter) => mapAll(of, (tensor) => mapped(tensor, (x) => x / count));
      const variance = mapAll(squares, (tensor, name) => {
        const sum = sums[name]?.data ?? new Float32Array();
        const of = (square: number, i: number) => (square - ((sum[i] ?? 0) * (sum[i] ?? 0)) / count) / (samples - 1);
        return mapped(tensor, (x, i) => (samples < 2 ? Number.NaN : Math.max(0, of(x, i))));
      });
      return { mean: average(sums), secondMoment: average(squares), variance };
    },
  };
}

/** Estimates without bias from one batch; NaN for fewer than two samples. */
export interface NoiseScale {
  /** Squared norm of the true gradient. Of a noisy batch the estimate may come out below 0. */
  readonly signal: number;
  /** Variance of one sample's gradient, summed over all elements (the trace of its covariance). */
  readonly noise: number;
  /** noise / signal: the batch size at which both weigh the same. */
  readonly scale: number;
  /** signal / noise, of one sample's gradient. */
  readonly signalToNoise: number;
}

const squaredNorm = (data: Float32Array) => data.reduce((total, x) => total + x * x, 0);

/**
 * The gradient noise scale: McCandlish et al. 2018, "An Empirical Model of Large-Batch Training", appendix A,
 * with batches of 1 and of N: they estimate from |G_1|^2 and |G_N|^2, which here are of the same samples.
 */
export function noiseScale(): Want<NoiseScale> {
  return {
    name: "noiseScale",
    demands: { norms: true, sums: 1 },
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
          : [(samples * all - one) / (samples - 1), ((one - all) * samples) / (samples - 1)];
      return { signal, noise, scale: noise / signal, signalToNoise: signal / noise };
    },
  };
}
