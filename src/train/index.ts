export { type AdamOptions, type AdamState, adam, adamW } from "./adam.js";
export { type AveragingState, averageOf, averaging } from "./average.js";
export { type Batch, type BatchOptions, miniBatches, permutation, pick } from "./batches.js";
export type { LearningRate, Optimiser, Parameters, Stepped } from "./optimiser.js";
export { schedules } from "./schedules.js";
export { type SgdOptions, type SgdState, sgd } from "./sgd.js";
