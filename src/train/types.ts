/** What training takes and what it tells, private or not. */

import type { ObjectiveOptions } from "../compile/objective.js";
import type { Model } from "../graph/model.js";
import type { Observer } from "../inspect/observe.js";
import type { ModelOptions } from "../nn/model.js";
import type { Accountant } from "../privacy/index.js";
import type { GaussianMechanism } from "../privacy/mechanism.js";
import type { Data } from "../tensor/data.js";
import type { Optimizer, Parameters } from "./optimizer.js";

/** All the data, as a program's `run` takes it: the model's inputs by name, and `target` where the loss has one. */
export type TrainingSet = Readonly<Record<string, Data>>;

/** How the batches of the steps are drawn. */
export type Sampling =
  /** Each sample is in a step's batch with probability batchSize / samples, independently: batches vary, and may be empty. */
  | "poisson"
  /**
   * Each epoch is a new order of all samples, cut into batches. Privately each epoch counts as one step without
   * sampling, and neighbouring data sets are those where a sample is replaced by nothing, in its place.
   */
  | "shuffled"
  /** Each step draws `batchSize` different samples. */
  | "uniform";

/** Options of every training. */
export interface StepOptions<S> extends ObjectiveOptions, ModelOptions {
  /** How parameters follow gradients: `sgd`, `adam`, `adamW`, or one of your own. */
  readonly optimizer: Optimizer<S>;
  /** Samples per step; by Poisson sampling, on average. */
  readonly batchSize: number;
  /** Samples that go through the model at once; their sums are added up, so it changes memory and not results. Default: the batch. */
  readonly microbatchSize?: number;
  /**
   * What the model takes besides the data set, made anew for each microbatch: the seeds of a dropout. What it makes
   * for a sample is a function of the step and of that sample, not of the others; it is asked for none, too.
   * @param step counted from 0
   * @param samples the samples' numbers in the data set
   */
  readonly inputs?: (step: number, samples: Uint32Array) => Readonly<Record<string, Data>>;
  /** Threads that the runtime may use. Default: all cores. */
  readonly threads?: number;
  /** Is told of the step's program; see the same option of `perSample`. Default: as PERGRAD_DEBUG asks. */
  readonly observe?: Observer;
  /**
   * The data is copied at the call, so that its arrays may be filled anew at once. `true` saves the copy, and they must
   * then stay as they are until the training ends. Default false.
   */
  readonly inPlace?: boolean;
}

/** How long: exactly one of the two. */
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
   * `groups`, in each group. What is beyond is clipped.
   */
  readonly maxNorm: number | Readonly<Record<string, number>>;
  /** Parameters (names or globs) that are clipped together, under names of your own; each parameter is in one group. */
  readonly groups?: Readonly<Record<string, readonly string[]>>;
  /**
   * Automatic clipping (Bu et al. 2022): gradients are scaled by maxNorm / (norm + gamma), whether they are
   * beyond the norm or not.
   */
  readonly automatic?: { readonly gamma: number };
  /** `maxNorm` is where the norm starts; it follows a quantile of the gradients' norms. */
  readonly adaptive?: AdaptiveOptions;
}

/** Adaptive clipping: Andrew et al. 2021, "Differentially private learning with adaptive clipping". */
export interface AdaptiveOptions {
  /** The share of gradients that are to stay as they are. Default 0.5. */
  readonly targetQuantile?: number;
  /** The rate of the norm's geometric steps. Default 0.2. */
  readonly learningRate?: number;
  /** Standard deviation of the noise on the number of gradients within the norm. Default batchSize / 20, as in the paper. */
  readonly countNoise?: number;
}

/** Options of `PrivateTrainer.create`. */
export interface PrivateStepOptions<S> extends StepOptions<S>, ClippingOptions {
  /**
   * Standard deviation of the noise on the sum of clipped gradients, divided by the sum's sensitivity. With
   * adaptive clipping, what both of its releases amount to together.
   */
  readonly noiseMultiplier: number;
  /** The probability that is left out of the guarantee: well below 1 / samples. */
  readonly delta: number;
  /** What epsilon is computed by; see `epsilon`. Not by "gdp", which may give too little. Default "pld". */
  readonly accountant?: Exclude<Accountant, "gdp">;
  /** Default "poisson"; "uniform" is refused, since there is no accounting for it. */
  readonly sampling?: Sampling;
  /**
   * For experiments only: noise and batches are a function of this number, so that a run can be repeated. Whoever
   * knows or guesses it can take the noise away, so the run is NOT PRIVATE, and every result says so. Of a module, it
   * is also what the first parameters are drawn from.
   */
  readonly seed?: number;
  /** Goes on from here, and not from the model's own parameters. */
  readonly from?: TrainerState<S>;
  /**
   * Is told what a step spends before any result of the step is released, and awaited: where it fails, the step
   * gives nothing. What keeps a ledger that survives a crash.
   */
  readonly record?: (spent: GaussianMechanism) => void | Promise<void>;
}

/**
 * A trainer's whole state, as plain values: what a checkpoint holds. A trainer that starts from it, with the
 * same options, goes on as the first would have (bit for bit, where it is seeded).
 */
export interface TrainerState<S> {
  /** Steps taken. */
  readonly steps: number;
  /** The trained parameters alone. */
  readonly parameters: Parameters;
  /** The optimizer's own state. */
  readonly optimizer: S;
  /**
   * All that has been spent, in order. At a restart after a crash it may hold more steps than were taken. Steps of
   * ordinary training stand in it without noise: what goes on from there has an infinite epsilon.
   */
  readonly ledger: readonly GaussianMechanism[];
  /** Steps whose cost was recorded. More than were taken: some were lost in a crash, and their batches may be used again. */
  readonly recorded: number;
  /** The norm that adaptive clipping has arrived at; null without it. */
  readonly maxNorm: number | null;
  /** Of shuffled sampling: what the orders of the epochs are a function of, below 2^32. They need not be secret. */
  readonly order: number;
  /** Null: the noise came from a cryptographic generator, which has no state to keep. */
  readonly seed: number | null;
}

/**
 * What happened in one step. Of a private trainer, everything here but `epsilon` looks at the data without noise:
 * it is for the eyes of those who may see the data, and is not covered by the guarantee.
 */
export interface StepResult {
  /** Counted from 1. */
  readonly step: number;
  /** Samples drawn; 0 is possible by Poisson sampling. */
  readonly samples: number;
  /** Mean over the batch, before the step; NaN for an empty batch. */
  readonly loss: number;
  /** Share of the labels that the output's largest score meets, before the step; null where there are no labels. */
  readonly accuracy: number | null;
  /** Wall-clock time. */
  readonly seconds: number;
}

/** What happened in one private step. */
export interface PrivateStepResult extends StepResult {
  /** False where the generator is seeded, or a step so far had no noise: then nothing here is private. */
  readonly private: boolean;
  /** Spent so far, this step included, at the trainer's delta. Computed when it is read, in some milliseconds. */
  readonly epsilon: number;
  /** Samples whose gradients were clipped; by automatic clipping, those beyond the norm. */
  readonly clipped: number;
  /** Samples whose gradients were not finite, and count as zero. */
  readonly dropped: number;
  /** Their numbers in the data set. */
  readonly droppedSamples: readonly number[];
  /** The norm of this step's clipping, of the whole gradient or the groups together: the sum's sensitivity. */
  readonly sensitivity: number;
}

/** How much noise: its multiplier, or the epsilon that all steps together are to arrive at. */
export type Noise =
  | { readonly noiseMultiplier: number; readonly targetEpsilon?: undefined }
  | { readonly targetEpsilon: number; readonly noiseMultiplier?: undefined };

export interface TrainEvents<R extends StepResult> {
  /** After each step, awaited. */
  readonly onStep?: (result: R, progress: { readonly steps: number }) => void | Promise<void>;
  /** Ends the training after the step that is under way. */
  readonly signal?: AbortSignal;
}

/** A training whose state is kept on the disk. */
export interface CheckpointOptions {
  /**
   * Holds the last checkpoint (parameters, the optimizer's state, where the batches and the accounting stand) and, of
   * private training, the ledger of all that was spent, which is written before a step's result is released. Made where
   * it does not exist. It is as private as the model. One process uses it at a time.
   */
  readonly folder: string;
  /** Steps between two checkpoints. One more is written when the training ends, early or not. Default 100. */
  readonly every?: number;
  /**
   * Whether the run in the folder goes on, with the same options; what was spent after the last checkpoint stays
   * spent. `true`: there must be a run; `false`: there must be none. Default: it goes on where there is one, and
   * begins where there is none.
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
  /** Of the batches. Default 0. */
  readonly seed?: number;
  /** Goes on from here, and not from the model's own parameters. */
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

/** What `train` gives. */
export interface Trained<S> {
  /** The model with its new parameters. */
  readonly model: Model;
  /** What a later training can go on from. */
  readonly state: TrainerState<S>;
}

/** What `trainPrivately` gives. */
export interface PrivatelyTrained<S> extends Trained<S> {
  /** False where the generator was seeded, or epsilon is infinite. */
  readonly private: boolean;
  /** The guarantee, or its absence, in a sentence; another warns where delta is not below 1 / samples. */
  readonly guarantee: string;
  /** What was spent in all, at `delta`; infinite without noise. */
  readonly epsilon: number;
  /** The probability that the guarantee leaves out. */
  readonly delta: number;
  /** Standard deviation of the noise over the sensitivity of the sum: as given, or as found for `targetEpsilon`. */
  readonly noiseMultiplier: number;
  /** Probability of each sample to be in a step's batch. */
  readonly samplingRate: number;
}
