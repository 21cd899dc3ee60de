/** The factored gradients of convolution kernels. */
export { convolutionFactor } from "./convolution.js";
