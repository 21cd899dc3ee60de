/** The factored gradients of convolutions' kernels. */
export { convolutionFactor } from "./convolution.js";
