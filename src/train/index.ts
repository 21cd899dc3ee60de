export { type AdamOptions, type AdamState, adam, adamW } from "./adam.js";
export { type AveragingState, averageOf, averaging } from "./average.js";
export { type Batch, type BatchOptions, miniBatches, permutation, pick } from "./batches.js";
export type { DiagnoseOptions, StepDiagnostics } from "./diagnosed.js";
export { type LocalWorkersOptions, localWorkers } from "./local-workers.js";
export type { LearningRate, Optimizer, Parameters, Stepped } from "./optimizer.js";
export { PrivateTrainer } from "./private-trainer.js";
export { type RayWorkersOptions, rayWorkers } from "./ray-workers.js";
export { schedules } from "./schedules.js";
export { type SgdOptions, type SgdState, sgd } from "./sgd.js";
export { TrainingStopped } from "./stopped.js";
export { guarantee, train, trainPrivately } from "./train.js";
export { Trainer } from "./trainer.js";
export type {
  AdaptiveOptions,
  CheckpointOptions,
  ClippingOptions,
  Length,
  Noise,
  PlainStepOptions,
  PrivatelyTrained,
  PrivateStepOptions,
  PrivateStepResult,
  PrivateTrainOptions,
  Sampling,
  StepOptions,
  StepResult,
  TrainEvents,
  Trained,
  TrainerState,
  TrainingSet,
  TrainingWorkers,
  TrainOptions,
} from "./types.js";
