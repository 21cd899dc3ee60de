/** Options and results of `findIssues`. */
import type { ObjectiveOptions } from "../compile/objective.js";
import type { ModelOptions } from "../nn/model.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Optimizer } from "../train/optimizer.js";

/** How `findIssues` trains the model: once on all samples, and once for each fold on the others. */
export interface CleaningTraining {
  /** Makes the optimizer of one training: `(steps) => adam({ learningRate: 1e-3 })`. */
  readonly optimizer: (steps: number) => Optimizer<object>;
  /** Passes over the data. The parameters after each are a checkpoint. */
  readonly epochs: number;
  /** Samples per step. */
  readonly batchSize: number;
  /** Parts of the data, each predicted by a model that was trained on the others: from 2 up. Default 5. */
  readonly folds?: number;
}

/** Options of `findIssues`. */
export interface FindIssuesOptions extends ObjectiveOptions, ModelOptions {
  /**
   * Parameters at several times of a training, by name: those measures that follow a training (`el2n`, `grand`, `aum`,
   * `forgetting`, `vog`) look at all of them. Default: the model's own alone.
   */
  readonly checkpoints?: readonly Readonly<Record<string, Tensor<"float32">>>[];
  /**
   * Trains the model here, from the values that it has, and adds predictions of models that did not see a sample
   * (cross-validation). Default: the model is taken as it is.
   */
  readonly training?: CleaningTraining;
  /** Numbers that each sample's gradient is projected to. Default 512. */
  readonly dims?: number;
  /** Neighbours of each sample. Default 10. */
  readonly neighbours?: number;
  /** Of `selfInfluence`: added to the diagonal of the empirical Fisher matrix. Default: a tenth of its mean eigenvalue. */
  readonly damping?: number;
  /** Threads that the runtime may use. Default: all cores. */
  readonly threads?: number;
  /** Ends all work before the next batch, with the signal's reason as the error. Default: no signal. */
  readonly signal?: AbortSignal;
  /** Compute even where the data holds NaN or infinity. Default false. */
  readonly allowNotFinite?: boolean;
  /** Called with the name of each part of the work as it begins. Default: no call. */
  readonly onStage?: (stage: string) => void;
}

/** Scores from 0 (nothing to see) to 1, `[N]` each. */
export interface IssueScores {
  /**
   * A wrong label. Above 0.5: the other samples say another class (or, of numbers, a value far from the target).
   * The samples' gradients predict the targets by ridge regression, each sample's by all others; see docs/cleaning.md.
   */
  readonly label: Float32Array;
  /** A copy: 1 where another sample has the same inputs, near 1 where one has nearly the same. */
  readonly duplicate: Float32Array;
  /** Unlike all others: far from its neighbours in gradient space. */
  readonly outlier: Float32Array;
  /** Teaches nothing (any more): its gradient is much shorter than those of others. */
  readonly uninformative: Float32Array;
}

/** Measures of each sample, `[N]` each, under the names of the literature; docs/cleaning.md defines them. */
export interface IssueMeasures {
  /** The loss, at the last checkpoint. */
  readonly loss: Float32Array;
  /** The norm of the gradient, at the last checkpoint. */
  readonly norm: Float32Array;
  /** The norm of the gradient, mean over the checkpoints (GraNd). */
  readonly grand: Float32Array;
  /** g' (F + d I)^-1 g, with F the empirical Fisher matrix and d the damping. */
  readonly selfInfluence: Float32Array;
  /** The mean distance to the nearest neighbours in gradient space, from 0 to 2. */
  readonly neighbourDistance: Float32Array;
  /** |softmax(o) - onehot(y)|, mean over the checkpoints; of classes. */
  readonly el2n?: Float32Array;
  /** The score of the label minus the largest other one, mean over the checkpoints; of classes. */
  readonly aum?: Float32Array;
  /** How much more the other samples speak for the label than for another class; of classes. */
  readonly margin?: Float32Array;
  /** How often it is right at one checkpoint and wrong at the next; of classes and several checkpoints. */
  readonly forgetting?: Float32Array;
  /** Standard deviation over the checkpoints of the gradient of the label's score in the inputs, mean over their elements. */
  readonly vog?: Float32Array;
  /** The same of variances. */
  readonly vogVariance?: Float32Array;
  /** The share of the neighbours with the same label; of classes. */
  readonly neighbourAgreement?: Float32Array;
  /** Log-probability of the label minus the largest other one, by a model that did not see the sample. */
  readonly outOfSampleMargin?: Float32Array;
  /** -log of the label's probability, by a model that did not see the sample. */
  readonly outOfSampleLoss?: Float32Array;
  readonly [name: string]: Float32Array | undefined;
}

/** What `findIssues` gives. */
export interface Issues {
  /** N, the number of samples. */
  readonly samples: number;
  /** From 0 to 1. */
  readonly scores: IssueScores;
  /** In units of their own. */
  readonly measures: IssueMeasures;
  /** What `scores.label` was made of: predictions of the others, or the loss alone where the targets are none that can be predicted. */
  readonly labelsBy: "neighbours" | "neighbours and cross-validation" | "loss";
  /** Of classes: each sample's label, -1 where it is ignored. */
  readonly labels?: Int32Array;
  /** Of classes: what the model itself says. */
  readonly predictions?: Int32Array;
  /** Of classes: the class that the other samples speak for; the label itself where its score is below 0.5. */
  readonly suggested?: Int32Array;
  /** The sample that is nearest in gradient space, -1 where there is no other. */
  readonly nearest: Int32Array;
  /** The first sample with exactly the same inputs, -1 where no other has. */
  readonly sameAs: Int32Array;
}
