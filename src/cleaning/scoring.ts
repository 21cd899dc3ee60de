/** Scores every sample of a data set: runs each part of the work in turn. */

import { checkNumber, checkWhole, invalidArgument, kindOf } from "../arguments.js";
import type { Objective } from "../compile/objective.js";
import type { Model } from "../graph/model.js";
import { withParameters } from "../graph/with-parameters.js";
import { type Batch, type Dataset, isBatch } from "../program/given-data.js";
import { runningOf } from "../program/options.js";
import { trainingData } from "../train/setup.js";
import { predictionsOf } from "./by-class.js";
import { type Followed, follow, type Parameters } from "./following.js";
import {
  finiteOnly,
  isZero,
  lossFeatures,
  normalised,
  outputFeatures,
  type ProjectedGradients,
} from "./gradient-features.js";
import { type LabelScores, labelScores } from "./label-scores.js";
import { type Neighbours, nearestOf } from "./nearest.js";
import { preparedPieces, type Read, readOnce, withoutTarget } from "./reading.js";
import { Ridge } from "./ridge.js";
import { farAbove, median } from "./scales.js";
import { isKnown, type Targets } from "./targets.js";
import { checkTraining, type TrainedHere, trainHere } from "./training-here.js";
import type { FindIssuesOptions, IssueMeasures, Issues } from "./types.js";
import { varianceOfGradients } from "./variance-of-gradients.js";

/** Scores, and the model that they are of. */
export interface Judged {
  readonly issues: Issues;
  /** With the parameters of the last checkpoint, or of the training. */
  readonly model: Model;
}

/** As `findIssues`, for an objective; its own settings count, not those of the options. */
export async function issuesOf(objective: Objective, data: Dataset, options: FindIssuesOptions): Promise<Judged> {
  checkGiven(data, options);
  const { allowNotFinite = false, onStage = () => {} } = options;
  options.signal?.throwIfAborted();
  onStage("reading");
  const read = await readOnce(objective, data, allowNotFinite);
  if (read.samples < 2)
    throw invalidArgument(`findIssues compares samples, but there are ${read.samples}; give at least two.`);
  const trained = await trainedHere(objective, data, read, options);
  const checkpoints = trained?.checkpoints ?? completed(objective.model, options.checkpoints);
  const last = { ...objective, model: withParameters(objective.model, checkpoints[checkpoints.length - 1] ?? {}) };
  const running = runningOf(options);
  onStage("losses and norms");
  const followed = await follow(last, data, read.targets, checkpoints, {
    allowNotFinite,
    ...(options.onNotFinite ? { onNotFinite: options.onNotFinite } : {}),
    ...running,
  });
  const pieces = preparedPieces(objective, data, allowNotFinite);
  const vog = await varianceOfGradients(last, pieces, read.targets, checkpoints);
  onStage("gradients");
  const projecting = { dims: options.dims ?? 512, allowNotFinite, ...running };
  const gradients = finiteOnly(await lossFeatures(last, data, projecting));
  const selfInfluence = influenceOnItself(await Ridge.of(gradients), options.damping);
  const features = normalised(await outputFeatures(last, options, withoutTarget(data), projecting));
  options.signal?.throwIfAborted();
  onStage("neighbours");
  const near = await nearestOf(features, options.neighbours ?? 10, oddOnes(followed));
  options.signal?.throwIfAborted();
  const labels = labelScores(
    read.targets,
    followed.losses,
    await Ridge.of(features, (n) => isKnown(read.targets, n)),
    trained?.outOfSample,
    followed.scores,
  );
  const issues = assembled(read, followed, features, near, labels, {
    selfInfluence,
    ...vog,
    ...(trained?.outOfSample
      ? { outOfSampleLoss: trained.outOfSample.losses, outOfSampleMargin: trained.outOfSample.margins }
      : {}),
  });
  return { issues, model: last.model };
}

/** Throws INVALID_ARGUMENT. */
function checkGiven(
  data: Dataset,
  { dims, neighbours, damping, checkpoints, training }: FindIssuesOptions,
): asserts data is Batch | string {
  if (typeof data !== "string" && !isBatch(data))
    throw invalidArgument(
      "findIssues reads the data several times, but an iterable can be read only once; give all samples by name, or the path of a file.",
    );
  checkWhole("The number of dims of findIssues", dims, 1);
  checkWhole("The number of neighbours of findIssues", neighbours, 1);
  checkNumber("The damping of findIssues", damping, { above: 0 });
  if (checkpoints !== undefined && !Array.isArray(checkpoints))
    throw invalidArgument(
      `The checkpoints of findIssues must be an array of parameters by name, not ${kindOf(checkpoints)}.`,
    );
  if (training !== undefined) checkTraining(training);
  if (checkpoints && training)
    throw invalidArgument("findIssues takes checkpoints, or makes its own by training; leave out one of the two.");
  if (checkpoints?.length === 0) throw invalidArgument("The list of checkpoints is empty; give some, or leave it out.");
}

async function trainedHere(
  objective: Objective,
  data: Batch | string,
  { targets }: Read,
  { training, onStage, ...options }: FindIssuesOptions,
): Promise<TrainedHere | undefined> {
  if (!training) return undefined;
  onStage?.("training");
  const opened = await trainingData(objective, data, { made: [], allowNotFinite: false, inPlace: true });
  try {
    return await trainHere({ objective, data: opened, running: runningOf(options) }, targets, training);
  } finally {
    await opened.release();
  }
}

/** Checkpoints, completed by the parameters that they leave out. Throws MISSING_TENSOR, SHAPE_MISMATCH. */
function completed(model: Model, checkpoints: FindIssuesOptions["checkpoints"]): readonly Parameters[] {
  return checkpoints?.map((own) => withParameters(model, own).parameters) ?? [model.parameters];
}

/**
 * g' (F + d I)^-1 g for projected gradients g, where F is the empirical Fisher matrix, the mean of g g' over the
 * samples.
 * @param damping d; a tenth of the mean eigenvalue of F unless given
 */
function influenceOnItself(gradients: Ridge, damping = 0.1 * gradients.meanEigenvalue): Float32Array {
  const { samples } = gradients;
  if (damping === 0) return new Float32Array(samples);
  return Float32Array.from(gradients.leverages(samples * damping), (leverage) => samples * leverage);
}

function assembled(
  { samples, targets, sameAs }: Read,
  followed: Followed,
  features: ProjectedGradients,
  near: Neighbours,
  labels: LabelScores,
  others: Pick<IssueMeasures, "selfInfluence"> & Readonly<Record<string, Float32Array>>,
): Issues {
  const { scores: classScores, losses: loss, norms: norm, ...means } = followed;
  const odd = new Set(oddOnes(followed));
  const neighbourDistance = meanDistances(near, samples).map((each, n) => (odd.has(n) ? Number.NaN : each));
  const agreement = agreementOf(near, targets);
  const unless = (scores: Float32Array, score: (n: number) => number) =>
    scores.map((each, n) => (odd.has(n) ? score(n) : each));
  return {
    samples,
    scores: {
      label: unless(labels.score, (n) => (targets.kind === "values" && !isKnown(targets, n) ? 1 : 0)),
      duplicate: copies(near, sameAs, features),
      outlier: farAbove(neighbourDistance),
      uninformative: unless(uninformative(followed.grand, targets), () => 0),
    },
    measures: {
      loss,
      norm,
      ...means,
      ...others,
      ...(labels.margin ? { margin: labels.margin } : {}),
      ...(agreement ? { neighbourAgreement: agreement } : {}),
      neighbourDistance,
    },
    labelsBy: labels.by,
    ...classesOf(targets, labels, classScores),
    nearest: Int32Array.from({ length: samples }, (_, n) => near.indices[n * near.count] ?? -1),
    sameAs,
  };
}

/** Samples whose loss or gradient is not finite: the others can say nothing about them except that they are odd. */
function oddOnes({ losses, norms }: Followed): number[] {
  return [...losses.keys()].filter((n) => !(Number.isFinite(losses[n]) && Number.isFinite(norms[n])));
}

function classesOf(targets: Targets, { suggested }: LabelScores, scores: Float32Array | undefined) {
  if (targets.kind !== "classes" || !scores || !suggested) return {};
  const { classes, labels } = targets;
  return { labels, predictions: predictionsOf(scores, classes), suggested };
}

function meanDistances({ count, distances }: Neighbours, samples: number): Float32Array {
  return Float32Array.from(
    { length: samples },
    (_, n) => distances.subarray(n * count, (n + 1) * count).reduce((sum, each) => sum + each, 0) / Math.max(1, count),
  );
}

/** The share, of the neighbours that have labels, with the sample's own one; NaN if it has none, or none of them has. */
function agreementOf({ count, indices }: Neighbours, targets: Targets): Float32Array | undefined {
  if (targets.kind !== "classes") return undefined;
  const { labels } = targets;
  return Float32Array.from(labels, (label, n) => {
    const others = indices.subarray(n * count, (n + 1) * count).filter((other) => isKnown(targets, other));
    return isKnown(targets, n) ? others.filter((other) => labels[other] === label).length / others.length : Number.NaN;
  });
}

/**
 * How much nearer than usual the nearest neighbour is: 1 if inputs are the same, 0 from the median distance on. Samples
 * whose features are zeros all look alike, so only their inputs are compared.
 */
function copies({ count, distances }: Neighbours, sameAs: Int32Array, features: ProjectedGradients): Float32Array {
  const nearest = Float32Array.from(sameAs, (_, n) => distances[n * count] ?? Number.POSITIVE_INFINITY);
  const usual = median(nearest.filter((distance, n) => sameAs[n] === -1 && distance > 0));
  return nearest.map((distance, n) => {
    if (sameAs[n] !== -1) return 1;
    return usual > 0 && Number.isFinite(distance) && !isZero(features, n) ? Math.max(0, 1 - distance / usual) : 0;
  });
}

/** e^(-|g| / mean |g|): near 1 if the gradient is much shorter than that of samples with labels. */
function uninformative(grand: Float32Array, targets: Targets): Float32Array {
  const finite = grand.filter((norm, n) => Number.isFinite(norm) && isKnown(targets, n));
  const mean = finite.reduce((sum, norm) => sum + norm, 0) / Math.max(1, finite.length);
  return grand.map((norm) => (mean > 0 ? Math.exp(-norm / mean) : 1));
}
