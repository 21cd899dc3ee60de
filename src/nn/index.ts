export * from "./activations.js";
export {
  type ConvOptions,
  type ConvTransposeOptions,
  conv1d,
  conv2d,
  conv3d,
  convTranspose1d,
  convTranspose2d,
  convTranspose3d,
  embedding,
  type LinearOptions,
  linear,
  prelu,
} from "./layers.js";
export { type InputSpec, type ModelOptions, model, type TraceOptions, trace } from "./model.js";
export { type Bound, initialise, type Module, module, type Parts, residual, sequential } from "./module.js";
export { groupNorm, instanceNorm, layerNorm, type NormOptions } from "./norms.js";
export * from "./pooling.js";
export { filled, normal, ones, type ParameterSpec, type Random, startingAt, uniform, zeros } from "./random.js";
export type { Sizes } from "./window.js";
