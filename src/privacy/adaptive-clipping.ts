/**
 * Clipping to a quantile of the gradients' norms, which is found privately during training: Andrew et al. 2021,
 * "Differentially private learning with adaptive clipping", algorithm 1.
 */
import { PergradError } from "../errors.js";
import { withNoise } from "./noise.js";
import type { RandomBits } from "./random-bits.js";

export interface AdaptiveClipping {
  readonly targetQuantile: number;
  readonly learningRate: number;
  /** Standard deviation of the noise on the number of gradients within the norm. */
  readonly countNoise: number;
}

/** Throws INVALID_ARGUMENT. */
export function checkAdaptive({ targetQuantile, learningRate, countNoise }: AdaptiveClipping): void {
  const need = (name: string, value: number, holds: boolean, range: string) => {
    if (!holds) throw new PergradError("INVALID_ARGUMENT", `${name} is ${value}; it must be ${range}.`);
  };
  need("targetQuantile", targetQuantile, targetQuantile >= 0 && targetQuantile <= 1, "from 0 to 1");
  need("learningRate", learningRate, learningRate > 0 && Number.isFinite(learningRate), "a finite number above 0");
  need("countNoise", countNoise, countNoise > 0 && Number.isFinite(countNoise), "a finite number above 0");
}

/**
 * The noise multiplier of the gradients' sum for which the sum and the noisy count together amount to
 * `noiseMultiplier`: (z^-2 - (2 countNoise)^-2)^(-1/2), theorem 1 of the paper. (1/2 is subtracted from each count, so
 * a sample moves it by at most 1/2.) Throws INVALID_ARGUMENT if the count alone would spend more.
 */
export function gradientNoiseMultiplier(noiseMultiplier: number, { countNoise }: AdaptiveClipping): number {
  if (noiseMultiplier === 0) return 0;
  const left = noiseMultiplier ** -2 - (2 * countNoise) ** -2;
  if (left > 0) return left ** -0.5;
  throw new PergradError(
    "INVALID_ARGUMENT",
    `countNoise is ${countNoise}; it must be above half the noise multiplier ${noiseMultiplier}, or the count alone spends more than this noise allows.`,
  );
}

/** The sensitivity of the count, to which each sample contributes 1/2 or -1/2. */
const countSensitivity = 0.5;
/** Keeps the norm a finite number whatever the noise. */
const norms = { least: 1e-12, most: 1e12 };

/**
 * The next step's norm.
 * @param within samples whose gradients are within the norm
 * @param beyond samples whose gradients are beyond it, or not finite
 * @param batchSize samples per step, on average
 */
export function nextNorm(
  maxNorm: number,
  adaptive: AdaptiveClipping,
  step: { readonly within: number; readonly beyond: number; readonly batchSize: number; readonly bits: RandomBits },
): number {
  const { targetQuantile, learningRate, countNoise } = adaptive;
  const noisy = withNoise(new Map([["count", Float64Array.of((step.within - step.beyond) / 2)]]), {
    sensitivity: countSensitivity,
    noiseMultiplier: countNoise / countSensitivity,
    scale: 1 / step.batchSize,
    bits: step.bits,
  });
  const share = (noisy.get("count")?.[0] ?? 0) + 0.5;
  const next = maxNorm * Math.exp(-learningRate * (share - targetQuantile));
  return Math.min(norms.most, Math.max(norms.least, next));
}
