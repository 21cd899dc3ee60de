/** The factored gradients of convolutions' kernels, as a page has them: loaded with the first program that needs them. */
import { missing } from "../missing.js";

export const convolutionFactor = missing(async () => (await import("./convolution.js")).convolutionFactor);
