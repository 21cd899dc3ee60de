export { type Batch, type BatchOptions, miniBatches, permutation, pick } from "./batches.js";
export {
  type AdamOptions,
  type AdamState,
  adam,
  type LearningRate,
  type Optimiser,
  type Parameters,
  type SgdOptions,
  type SgdState,
  type Stepped,
  sgd,
} from "./optimiser.js";
