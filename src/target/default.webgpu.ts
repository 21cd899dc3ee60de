/** The target of `pergrad/webgpu`. */
export { webgpu as defaultTarget } from "./webgpu/index.js";
