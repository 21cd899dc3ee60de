/** Options and results of training, private or not. */

import type { ObjectiveOptions } from "../compile/objective.js";
import type { Model } from "../graph/model.js";
import type { Observer } from "../inspect/observe.js";
import type { ModelOptions } from "../nn/model.js";
import type { Accountant } from "../privacy/index.js";
import type { GaussianMechanism } from "../privacy/mechanism.js";
import type { Data } from "../tensor/data.js";
import type { DiagnoseOptions } from "./diagnosed.js";
import type { Optimizer, Parameters } from "./optimizer.js";
import type { StepWorkers, TrainingJob } from "./step-workers.js";

/** All the data, as a program's `run` takes it: the model's inputs by name, and `target` if the loss has one. */
export type TrainingSet = Readonly<Record<string, Data>>;

/** How the batches of the steps are drawn. */
export type Sampling =
  /**
   * Each sample is in a step's batch with probability batchSize / samples, independently. Batch sizes vary, and a batch
   * may be empty.
   */
  | "poisson"
  /**
   * Each epoch is a new order of all samples, cut into batches. For privacy, an epoch counts as one step without
   * sampling, and data sets are neighbours if a sample in one is replaced by nothing in the other.
   */
  | "shuffled"
  /** Each step draws `batchSize` different samples. */
  | "uniform";

/** Options of every training. */
export interface StepOptions<S> extends ObjectiveOptions, ModelOptions {
  /** How parameters follow gradients: `sgd`, `adam`, `adamW`, or one of your own. */
  readonly optimizer: Optimizer<S>;
  /** Samples per step; on average for Poisson sampling. */
  readonly batchSize: number;
  /**
   * The number of samples that go through the model at once. Their sums are added up, so it changes memory but not
   * results. Default: the batch.
   */
  readonly microbatchSize?: number;
  /**
   * Makes the model's inputs that are not in the dataset, for each microbatch: the seeds of a dropout. What it makes
   * for a sample must depend only on the step and that sample. It is also called for no samples. Default: none.
   * @param step counted from 0
   * @param samples the samples' numbers in the data set
   */
  readonly inputs?: (step: number, samples: Uint32Array) => Readonly<Record<string, Data>>;
  /** Threads that the runtime may use. Default: all cores. */
  readonly threads?: number;
  /** Observes the step's program, as the same option of `perSample`. Default: what PERGRAD_DEBUG sets. */
  readonly observe?: Observer;
  /**
   * The data is copied at the call, so you may overwrite its arrays at once. `true` saves the copy; the arrays must then not
   * change until the training ends. Default false.
   */
  readonly inPlace?: boolean;
}

/** The length of a training: exactly one of the two. */
export type Length =
  | { readonly steps: number; readonly epochs?: undefined }
  | {
      /** Times that each sample is used, on average: ceil(epochs * samples / batchSize) steps. */
      readonly epochs: number;
      readonly steps?: undefined;
    };

/** How each sample's gradient is clipped. */
export interface ClippingOptions {
  /**
   * The largest norm of a sample's whole gradient; or, as a record, of its part in each parameter or, with
   * `groups`, in each group. Longer gradients are clipped.
   */
  readonly maxNorm: number | Readonly<Record<string, number>>;
  /**
   * Parameters (names or globs) that are clipped together, by group names of your own; each parameter is in one group.
   * Default: no groups.
   */
  readonly groups?: Readonly<Record<string, readonly string[]>>;
  /**
   * Automatic clipping (Bu et al. 2022): gradients are scaled by maxNorm / (norm + gamma), whether they are
   * longer than the norm or not. Default: only longer ones are scaled.
   */
  readonly automatic?: {
    /** Above 0. Smaller values scale more of the small gradients up. */
    readonly gamma: number;
  };
  /** The norm starts at `maxNorm` and follows a quantile of the gradient norms. Default: it stays fixed. */
  readonly adaptive?: AdaptiveOptions;
}

/** Adaptive clipping: Andrew et al. 2021, "Differentially private learning with adaptive clipping". */
export interface AdaptiveOptions {
  /** The share of gradients that are not clipped. Default 0.5. */
  readonly targetQuantile?: number;
  /** The rate of the norm's geometric steps. Default 0.2. */
  readonly learningRate?: number;
  /** Standard deviation of the noise on the number of gradients within the norm. Default batchSize / 20, as in the paper. */
  readonly countNoise?: number;
}

/** Workers that compute the parts of a private step's batch: `localWorkers({ count: 2 })`, `rayWorkers(...)`. */
export interface TrainingWorkers {
  /** Called once, before the first step. */
  begin(job: TrainingJob): Promise<StepWorkers>;
}

/** Options of `PrivateTrainer.create`. */
export interface PrivateStepOptions<S> extends StepOptions<S>, ClippingOptions {
  /**
   * Standard deviation of the noise on the sum of clipped gradients, divided by the sum's sensitivity. With
   * adaptive clipping, that of its two releases combined.
   */
  readonly noiseMultiplier: number;
  /** The probability with which the guarantee may fail: well below 1 / samples. */
  readonly delta: number;
  /** The accountant that computes epsilon; see `epsilon`. Not "gdp", which may underestimate it. Default "pld". */
  readonly accountant?: Exclude<Accountant, "gdp">;
  /** Default "poisson". "uniform" is refused, because there is no accountant for it. */
  readonly sampling?: Sampling;
  /**
   * For experiments only: this number determines noise and batches, so that a run can be repeated. Anyone who
   * knows or guesses it can remove the noise, so the run is NOT PRIVATE, and every result says so. For a module, it
   * also determines the initial parameters. Default: none.
   */
  readonly seed?: number;
  /** Resumes from this state. Default: starts from the model's parameters. */
  readonly from?: TrainerState<S>;
  /**
   * Called with what a step spends, and awaited, before any result of the step is released. If it fails, the step
   * releases nothing. Use it to keep a ledger that survives a crash. Default: none.
   */
  readonly record?: (spent: GaussianMechanism) => void | Promise<void>;
  /**
   * Workers that compute the clipped sums of parts of each step's batch. This process draws the batch, writes the ledger and adds
   * the noise, so a worker that dies costs no privacy: its part is computed again, from the samples already drawn. Default: this
   * process computes all parts.
   */
  readonly cluster?: TrainingWorkers;
}

/**
 * A trainer's whole state, as plain values: the content of a checkpoint. A trainer that starts from it, with the
 * same options, continues as the first would have (bit for bit if it is seeded).
 */
export interface TrainerState<S> {
  /** Steps taken. */
  readonly steps: number;
  /** The trained parameters alone. */
  readonly parameters: Parameters;
  /** The optimizer's own state. */
  readonly optimizer: S;
  /**
   * All that has been spent, in order. After a crash it may hold more steps than were taken. Steps of
   * ordinary training are in it without noise: training that resumes from there has an infinite epsilon.
   */
  readonly ledger: readonly GaussianMechanism[];
  /** Steps whose cost was recorded. If more than were taken, a crash lost some, and their batches may be used again. */
  readonly recorded: number;
  /** The norm that adaptive clipping has arrived at; null without it. */
  readonly maxNorm: number | null;
  /** The seed of the epochs' orders in shuffled sampling, below 2^32. It need not be secret. */
  readonly order: number;
  /** The seed; null if the noise comes from a cryptographic generator, which has no state to keep. */
  readonly seed: number | null;
}

/**
 * What happened in one step. In private training, everything here but `epsilon` comes from the data without noise:
 * only those who may see the data should see it, and the guarantee does not cover it.
 */
export interface StepResult {
  /** Counted from 1. */
  readonly step: number;
  /** Samples drawn; 0 is possible by Poisson sampling. */
  readonly samples: number;
  /** The mean loss of the batch, before the step; NaN for an empty batch, or if all its samples are dropped. */
  readonly loss: number;
  /** The share of labels that have the output's largest score, before the step; null if there are no labels. */
  readonly accuracy: number | null;
  /** Wall-clock time. */
  readonly seconds: number;
}

/** What happened in one private step. */
export interface PrivateStepResult extends StepResult {
  /** False if the generator is seeded or a step so far had no noise: then nothing here is private. */
  readonly private: boolean;
  /** Epsilon so far, this step included, at the trainer's delta. Computed when read, in a few milliseconds. */
  readonly epsilon: number;
  /** The number of samples whose gradients were clipped; with automatic clipping, of those with longer gradients than the norm. */
  readonly clipped: number;
  /** The number of samples whose gradients were not finite; they count as zero. */
  readonly dropped: number;
  /** Their indices in the dataset, from 0. */
  readonly droppedSamples: readonly number[];
  /** The clip norm of this step, of the whole gradient or all groups together: the sensitivity of the sum. */
  readonly sensitivity: number;
}

/** How much noise: its multiplier, or the epsilon that all steps together may reach. */
export type Noise =
  | { readonly noiseMultiplier: number; readonly targetEpsilon?: undefined }
  | { readonly targetEpsilon: number; readonly noiseMultiplier?: undefined };

export interface TrainEvents<R extends StepResult> {
  /** Called after each step, and awaited. */
  readonly onStep?: (result: R, progress: { readonly steps: number }) => void | Promise<void>;
  /** Ends the training after the current step. */
  readonly signal?: AbortSignal;
}

/** Where and how often a training saves its state to disk. */
export interface CheckpointOptions {
  /**
   * Holds the last checkpoint (parameters, the optimizer's state, the state of batches and accounting) and, for private
   * training, the ledger of everything spent, which is written before a step's result is released. Created if it does
   * not exist. It is as private as the model. Only one process uses it at a time.
   */
  readonly folder: string;
  /**
   * The number of steps between two checkpoints. One more is written when the training ends, early or not. Default 100.
   */
  readonly every?: number;
  /**
   * Whether to resume the run in the folder, with the same options; what was spent after the last checkpoint stays
   * spent. `true`: there must be a run; `false`: there must be none. Default: resumes a run if there is one, and
   * begins one if not.
   */
  readonly resume?: boolean;
}

export interface Kept {
  readonly checkpoint?: CheckpointOptions;
}

/** Options of `Trainer.create`. */
export interface PlainStepOptions<S> extends StepOptions<S> {
  /** Default "shuffled". */
  readonly sampling?: Sampling;
  /** The seed of the batches. Default 0. */
  readonly seed?: number;
  /** Computes diagnostics of the steps: of the batch's gradients, and of the step's effect. Default: none. */
  readonly diagnose?: DiagnoseOptions;
  /** Resumes from this state. Default: starts from the model's parameters. */
  readonly from?: TrainerState<S>;
}

/** Options of `train`. */
export type TrainOptions<S> = PlainStepOptions<S> & Length & TrainEvents<StepResult> & Kept;

/** Options of `trainPrivately`. */
export type PrivateTrainOptions<S> = Omit<PrivateStepOptions<S>, "noiseMultiplier"> &
  Length &
  Noise &
  TrainEvents<PrivateStepResult> &
  Kept;

/** The result of `train`. */
export interface Trained<S> {
  /** The model with its new parameters. */
  readonly model: Model;
  /** The state from which a later training can resume. */
  readonly state: TrainerState<S>;
}

/** The result of `trainPrivately`. */
export interface PrivatelyTrained<S> extends Trained<S> {
  /** False if the generator was seeded or epsilon is infinite. */
  readonly private: boolean;
  /** The guarantee, or its absence, in one sentence; a second one warns if delta is not below 1 / samples. */
  readonly guarantee: string;
  /** The epsilon of all that was spent, at `delta`; infinite without noise. */
  readonly epsilon: number;
  /** The probability with which the guarantee may fail. */
  readonly delta: number;
  /**
   * The standard deviation of the noise divided by the sensitivity of the sum: as given, or as found for
   * `targetEpsilon`.
   */
  readonly noiseMultiplier: number;
  /** The probability that a sample is in a step's batch. */
  readonly samplingRate: number;
}
