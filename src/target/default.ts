/** The target that programs are compiled for where nobody asks for another. */
export { onnxruntime as defaultTarget } from "./onnxruntime/index.js";
