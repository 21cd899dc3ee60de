import type { GaussianMechanism } from "../../src/privacy/index.js";

export function gaussian(noiseMultiplier: number, samplingRate: number, steps: number): GaussianMechanism {
  return { kind: "gaussian", noiseMultiplier, samplingRate, steps };
}
