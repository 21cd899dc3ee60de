export * as attribution from "./attribution/index.js";
export { hvp, jacobian, jvp, vjp } from "./autodiff/derivatives.js";
export { type EnsembleOptions, ensemble, perSampleParameters } from "./autodiff/ensemble.js";
export { grad } from "./autodiff/grad.js";
export { type CheckedParameter, type CheckOptions, type CheckResult, check } from "./check/check.js";
export { findIssues } from "./cleaning/find-issues.js";
export type { CleaningTraining, FindIssuesOptions, IssueMeasures, IssueScores, Issues } from "./cleaning/types.js";
export type { Attributed, AttributeOptions } from "./cluster/attribution/types.js";
export { type Cluster, cluster, ray } from "./cluster/cluster.js";
export type { RayAddress } from "./cluster/ray/address.js";
export type { ClusterProgress, GivenToMap, JobOptions, MapOptions, Mapped, MappedProgram } from "./cluster/types.js";
export { type ErrorCode, PergradError } from "./errors.js";
export type { DimSpec } from "./graph/dim.js";
export type { Model } from "./graph/model.js";
export type { Rewritten } from "./graph/rewritten.js";
export type { Graph } from "./graph/value.js";
export { withParameters } from "./graph/with-parameters.js";
export type { CompileProgress, Observer, Stage, StageName } from "./inspect/observe.js";
export { type PrintOptions, printGraph } from "./inspect/print-graph.js";
export type { Profile, ProfiledNode, ProfiledSum } from "./inspect/profile.js";
export { type LoggedRewrite, RewriteLog } from "./inspect/rewrite-log.js";
export { type SavedStage, StageFolder } from "./inspect/stage-folder.js";
export { readTensors, writeTensors } from "./io/read-write.js";
export type { LossName } from "./nn/as-loss.js";
export * as nn from "./nn/index.js";
export { type Loss, type LossFunction, losses } from "./nn/losses.js";
export type { FixedValue } from "./onnx/read/batch/fixed-inputs.js";
export type { FileContent, LoadOptions } from "./onnx/read/load-options.js";
export { saveModel } from "./onnx/write/save.js";
export { loadOperators } from "./ops/registry.js";
export type { Strategy } from "./plan/strategy.js";
export { type ReplaceBatchNormOptions, replaceBatchNorm } from "./privacy/batch-norm.js";
export * as privacy from "./privacy/index.js";
export { type PrivacyFinding, validate } from "./privacy/validate.js";
export type { Compiled } from "./program/compiled.js";
export type { ExpressionOptions, NotFiniteResult, NotFiniteResults } from "./program/expression-results.js";
export { compile } from "./program/expressions.js";
export type { Batch, Dataset } from "./program/given-data.js";
export { type LoadModelOptions, loadModel } from "./program/load-model.js";
export type { MemoryOptions } from "./program/microbatches.js";
export type { NotFinite, NotFiniteOptions, NotFiniteSample } from "./program/not-finite.js";
export { openProgram } from "./program/open-program.js";
export type { ProgramOptions, RunOptions } from "./program/options.js";
export type { OtherBatch } from "./program/others.js";
export { perSample } from "./program/per-sample.js";
export { type PredictOptions, predict } from "./program/predict.js";
export type { Program } from "./program/program.js";
export type { RunnableProgram } from "./program/runnable.js";
export type { OpenOptions, SavedProgram } from "./program/saved-program.js";
export type { Chunk, Progress, StreamOptions } from "./program/stream.js";
export { writeReport } from "./report/report.js";
export { type TrainingPage, type TrainingPageOptions, trainingPage } from "./report/training-page.js";
export type { ReportOptions, Show } from "./report/types.js";
export {
  type Curvature,
  type CurvatureKind,
  type CurvatureOptions,
  curvature,
  type EigenvalueOptions,
  type Eigenvalues,
  type Solution,
  type SolveOptions,
  type Spectrum,
  type SpectrumOptions,
  type TraceEstimateOptions,
} from "./solvers/curvature.js";
export { type Diagnostics, type DiagnosticsOptions, diagnostics } from "./solvers/diagnostics.js";
export {
  type DampingOptions,
  type KroneckerBlock,
  type KroneckerCurvature,
  kroneckerCurvature,
} from "./solvers/kronecker.js";
export type { KroneckerOptions } from "./solvers/kronecker-parts.js";
export { type Laplace, type LaplaceOptions, laplace, type Prediction } from "./solvers/laplace.js";
export type { EstimatedTrace } from "./solvers/traces.js";
export { type Workers, type WorkersOptions, workers } from "./target/onnxruntime/workers.js";
export type { Data } from "./tensor/data.js";
export { toFloat32 } from "./tensor/float16.js";
export type { ScaledTensor } from "./tensor/scaled.js";
export { type DType, type Tensor, tensor } from "./tensor/tensor.js";
export { einsum } from "./trace/einsum.js";
export { concat, constant, expand, input, parameter, stack, Traced, where } from "./trace/index.js";
export { type TracedModel, traced } from "./trace/model.js";
export {
  type AdamOptions,
  type AdaptiveOptions,
  adam,
  adamW,
  averageOf,
  averaging,
  type CheckpointOptions,
  type ClippingOptions,
  type DiagnoseOptions,
  type LearningRate,
  type LocalWorkersOptions,
  localWorkers,
  type Optimizer,
  type Parameters,
  type PlainStepOptions,
  type PrivatelyTrained,
  type PrivateStepOptions,
  type PrivateStepResult,
  PrivateTrainer,
  type PrivateTrainOptions,
  type RayWorkersOptions,
  rayWorkers,
  type Sampling,
  type SgdOptions,
  type StepDiagnostics,
  type StepOptions,
  type StepResult,
  schedules,
  sgd,
  type Trained,
  Trainer,
  type TrainerState,
  type TrainingSet,
  TrainingStopped,
  type TrainingWorkers,
  type TrainOptions,
  train,
  trainPrivately,
} from "./train/index.js";
export type {
  EstimateOptions,
  FisherOptions,
  Giving,
  ProductOptions,
  TraceOptions,
  Traces,
} from "./wants/curvature.js";
export type { Dots } from "./wants/inner-products.js";
export type { KroneckerFactors, KroneckerFactorsOptions, KroneckerPair } from "./wants/kronecker.js";
export type { ProjectedBy, ProjectOptions } from "./wants/projection.js";
export type { Reduced, ReducedBatch, ReduceResultOptions, Reduction } from "./wants/reduction.js";
export type { Moments, NoiseScale } from "./wants/statistics.js";
export {
  type ByParameter,
  type ClippedSum,
  type ClippedSumOptions,
  type FloatTensor,
  type Norms,
  type ResultOf,
  type Results,
  type Want,
  type Wants,
  want,
} from "./wants/want.js";
