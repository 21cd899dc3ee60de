/** What spends a privacy budget. */

/** The sum of clipped gradients of a Poisson sample, with Gaussian noise: so many times. */
export interface GaussianMechanism {
  readonly kind: "gaussian";
  /** Standard deviation of the noise, divided by the sensitivity. */
  readonly noiseMultiplier: number;
  /** Probability that a sample takes part; 1: not subsampled. */
  readonly samplingRate: number;
  readonly steps: number;
}
