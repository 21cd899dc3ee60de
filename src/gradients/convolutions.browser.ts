/**
 * The factored gradients of convolution kernels, for a page: they are loaded with the first program that needs them.
 */
import { missing } from "../missing.js";

export const convolutionFactor = missing(async () => (await import("./convolution.js")).convolutionFactor);
