/** Options and results of `findIssues`. */
import type { ObjectiveOptions } from "../compile/objective.js";
import type { ModelOptions } from "../nn/model.js";
import type { NotFiniteOptions } from "../program/not-finite.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Optimizer } from "../train/optimizer.js";

/** How `findIssues` trains the model: once on all samples, and once for each fold on the others. */
export interface CleaningTraining {
  /** Makes the optimizer of one training: `(steps) => adam({ learningRate: 1e-3 })`. */
  readonly optimizer: (steps: number) => Optimizer<object>;
  /** The number of passes over the data. The parameters after each pass are a checkpoint. */
  readonly epochs: number;
  /** Samples per step. */
  readonly batchSize: number;
  /**
   * The number of parts of the data, from 2 up; each is predicted by a model that was trained on the others. Default 5.
   */
  readonly folds?: number;
}

/** Options of `findIssues`. */
export interface FindIssuesOptions extends ObjectiveOptions, ModelOptions {
  /**
   * Parameters at several times of a training, by name, in its order: used by the measures that follow a training
   * (`el2n`, `grand`, `aum`, `forgetting`, `vog`). The last take the place of the model's own. Default: only the
   * model's own.
   */
  readonly checkpoints?: readonly Readonly<Record<string, Tensor<"float32">>>[];
  /**
   * Trains the model, starting from its current values, and adds predictions of models that did not see a sample
   * (cross-validation). Default: the model is used as it is.
   */
  readonly training?: CleaningTraining;
  /** The number of dimensions that each sample's gradient is projected to. Default 512. */
  readonly dims?: number;
  /** The number of neighbours of each sample. Default 10. */
  readonly neighbours?: number;
  /**
   * The damping of `selfInfluence`: the number added to the diagonal of the empirical Fisher matrix. Default: a tenth
   * of its mean eigenvalue.
   */
  readonly damping?: number;
  /** Threads that the runtime may use. Default: all cores. */
  readonly threads?: number;
  /** Ends all work before the next batch, with the signal's reason as the error. Default: no signal. */
  readonly signal?: AbortSignal;
  /** Compute even if the data holds NaN or infinity. Default false. */
  readonly allowNotFinite?: boolean;
  /**
   * Called once with the samples whose loss or gradient is not finite, at any checkpoint, if there are any. Default: a
   * process warning.
   */
  readonly onNotFinite?: NotFiniteOptions["onNotFinite"];
  /** Called with the name of each part of the work when it begins. Default: no call. */
  readonly onStage?: (stage: string) => void;
}

/** Scores from 0 (nothing unusual) to 1, `[N]` each. */
export interface IssueScores {
  /**
   * A wrong label. Above 0.5, the other samples predict another class (or, for numbers, a value far from the target). A
   * ridge regression predicts each sample's target from the gradients and targets of all others; see docs/cleaning.md.
   */
  readonly label: Float32Array;
  /** A copy: 1 if another sample has the same inputs, near 1 if one has nearly the same. */
  readonly duplicate: Float32Array;
  /** Unlike all others: far from its neighbours in gradient space. */
  readonly outlier: Float32Array;
  /** Teaches nothing (any more): its gradient is much shorter than that of other samples. */
  readonly uninformative: Float32Array;
}

/** Measures of each sample, `[N]` each, under their names in the literature; docs/cleaning.md defines them. */
export interface IssueMeasures {
  /** The loss, at the last checkpoint. */
  readonly loss: Float32Array;
  /** The norm of the gradient, at the last checkpoint. */
  readonly norm: Float32Array;
  /** The norm of the gradient, averaged over the checkpoints (GraNd). */
  readonly grand: Float32Array;
  /** g' (F + d I)^-1 g, where F is the empirical Fisher matrix and d the damping. */
  readonly selfInfluence: Float32Array;
  /** The mean distance to the nearest neighbours in gradient space, from 0 to 2. */
  readonly neighbourDistance: Float32Array;
  /** |softmax(o) - onehot(y)|, averaged over the checkpoints; for classes. */
  readonly el2n?: Float32Array;
  /** The score of the label minus the largest other one, averaged over the checkpoints; for classes. */
  readonly aum?: Float32Array;
  /** How much more the other samples support the label than another class that some sample has; for classes. */
  readonly margin?: Float32Array;
  /** How often it is right at one checkpoint and wrong at the next; for classes and several checkpoints. */
  readonly forgetting?: Float32Array;
  /**
   * The standard deviation, over the checkpoints, of the gradient of the label's score in the inputs, averaged over
   * their elements.
   */
  readonly vog?: Float32Array;
  /** The same with variances. */
  readonly vogVariance?: Float32Array;
  /**
   * The share of the neighbours with the same label, among those that have one; NaN if there are none, or if the
   * sample's own label is ignored; for classes.
   */
  readonly neighbourAgreement?: Float32Array;
  /** Log-probability of the label minus the largest other one, by a model that did not see the sample. */
  readonly outOfSampleMargin?: Float32Array;
  /** -log of the label's probability, by a model that did not see the sample. */
  readonly outOfSampleLoss?: Float32Array;
  readonly [name: string]: Float32Array | undefined;
}

/** The result of `findIssues`. */
export interface Issues {
  /** N, the number of samples. */
  readonly samples: number;
  /** From 0 to 1. */
  readonly scores: IssueScores;
  /** In their own units. */
  readonly measures: IssueMeasures;
  /**
   * The source of `scores.label`: predictions from the other samples, or the loss alone if the targets cannot be
   * predicted.
   */
  readonly labelsBy: "neighbours" | "neighbours and cross-validation" | "loss";
  /** For classes: each sample's label, -1 if it is ignored. */
  readonly labels?: Int32Array;
  /** For classes: the model's own prediction, -1 if its scores are NaN. */
  readonly predictions?: Int32Array;
  /**
   * For classes: the class that the other samples predict, one that some sample has, or the label itself unless its score
   * is above 0.5. -1 if the label is ignored and the others tell nothing about it.
   */
  readonly suggested?: Int32Array;
  /** The nearest sample in gradient space, -1 if there is no other. */
  readonly nearest: Int32Array;
  /** The first other sample with exactly the same inputs, -1 if there is none. */
  readonly sameAs: Int32Array;
}
