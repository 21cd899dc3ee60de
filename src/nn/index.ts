export type { Random } from "../tensor/random.js";
export * from "./activations.js";
export { type AttentionOptions, multiHeadAttention } from "./attention.js";
export { dropout } from "./dropout.js";
export {
  type EmbeddingOptions,
  embedding,
  positional,
  type TableOptions,
  type TiedOptions,
  tied,
} from "./embedding.js";
export {
  filled,
  normal,
  ones,
  type ParameterSpec,
  startingAt,
  uniform,
  xavierUniform,
  zeros,
} from "./initial-values.js";
export {
  type ConvOptions,
  type ConvTransposeOptions,
  conv1d,
  conv2d,
  conv3d,
  convTranspose1d,
  convTranspose2d,
  convTranspose3d,
  type LinearOptions,
  linear,
  prelu,
} from "./layers.js";
export { type InputSpec, type ModelOptions, model, type TraceOptions, trace } from "./model.js";
export {
  type Bound,
  initialise,
  type Layer,
  type Module,
  type ModuleParts,
  module,
  residual,
  type SideInput,
  sequential,
} from "./module.js";
export { groupNorm, instanceNorm, layerNorm, type NormOptions, rmsNorm } from "./norms.js";
export * from "./pooling.js";
export {
  type GruOptions,
  gru,
  type Lstm,
  lstm,
  type Recurrent,
  type RecurrentOptions,
  type RnnOptions,
  rnn,
} from "./recurrent.js";
export { type EncoderLayerOptions, transformerEncoderLayer } from "./transformer.js";
export type { AxisSizes } from "./window.js";
