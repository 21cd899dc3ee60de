/** Checks the norms to which gradients may be clipped. */
import { PergradError } from "../errors.js";
import { option, sentence } from "../sentence.js";

/** The range of norms to clip to: outside it, float32 cannot hold their squares. */
export const leastNorm = 1e-15;
export const largestNorm = 1e15;

/** Throws INVALID_ARGUMENT. */
export function checkMaxNorm(maxNorm: number, whose = ""): void {
  if (!(maxNorm >= leastNorm && maxNorm <= largestNorm)) {
    throw new PergradError(
      "INVALID_ARGUMENT",
      sentence`${option("maxNorm")}${whose} is ${maxNorm}; it must be a finite number above 0, from ${leastNorm} to ${largestNorm}.`,
    );
  }
}
