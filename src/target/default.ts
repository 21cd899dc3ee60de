/** The target for which programs are compiled unless another is requested. */
export { onnxruntime as defaultTarget } from "./onnxruntime/index.js";
