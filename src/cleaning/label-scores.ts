/** How likely each label is wrong, judged by the other samples. */
import { largestBut, marginOf } from "./by-class.js";
import type { Ridge } from "./ridge.js";
import { farAbove, logistic } from "./scales.js";
import { columnsOf, isKnown, type Targets } from "./targets.js";
import type { OutOfSample } from "./training-here.js";
import type { Issues } from "./types.js";

export interface LabelScores {
  /** `[N]`, from 0 to 1. */
  readonly score: Float32Array;
  readonly by: Issues["labelsBy"];
  /** For classes: how much more the other samples support the label than any other class. */
  readonly margin?: Float32Array;
  /** For classes. */
  readonly suggested?: Int32Array;
}

/** A margin of regressed classes is mostly between -1 and 1; times this number it acts as a logit. */
const steepness = 6;

export function labelScores(
  targets: Targets,
  losses: Float32Array,
  ridge: Ridge,
  outOfSample: OutOfSample | undefined,
  scores?: Float32Array,
): LabelScores {
  if (targets.kind === "none") {
    const known = losses.map((loss, n) => (isKnown(targets, n) ? loss : Number.NaN));
    return { score: farAbove(known).map((score, n) => (isKnown(targets, n) ? score : 0)), by: "loss" };
  }
  const { columns, values } = columnsOf(targets);
  const { predictions } = ridge.leaveOneOut(values, columns);
  if (targets.kind === "values") {
    if (targets.binary) return { score: wrongBits(values, predictions, columns), by: "neighbours" };
    const errors = errorsOf(values, predictions, columns).map((error, n) => (isKnown(targets, n) ? error : Number.NaN));
    return { score: farAbove(errors), by: "neighbours" };
  }
  const { labels } = targets;
  const had = classesHad(labels, columns);
  const rows = (n: number) => predictions.subarray(n * columns, (n + 1) * columns);
  const margin = Float32Array.from(labels, (label, n) => supportOf(rows(n), label, had));
  const modelMargins = Float32Array.from(labels, (label, n) => modelMargin(scores, columns, n, label));
  const trust = trustInModel(labels, margin, modelMargins);
  const score = margin.map((each, n) => {
    if ((labels[n] ?? 0) < 0) return 0;
    const others = logistic(-steepness * each);
    // The margin of log-probabilities is already a logit.
    if (outOfSample) return (others + logistic(-(outOfSample.margins[n] ?? 0))) / 2;
    return (others + trust * logistic(-(modelMargins[n] ?? 0))) / (1 + trust);
  });
  const suggested = labels.map((label, n) => {
    const all = combined(rows(n), outOfSample?.probabilities.subarray(n * columns, (n + 1) * columns));
    const other = largestBut(all, label, had);
    if (label < 0) return tells(all) ? other : -1;
    return (score[n] ?? 0) > 0.5 && other >= 0 ? other : label;
  });
  return { score, by: outOfSample ? "neighbours and cross-validation" : "neighbours", margin, suggested };
}

/** Whether predictions say anything: all zeros come from a sample that is like no other with a label. */
function tells(predictions: Float32Array): boolean {
  return predictions.some((each) => each !== 0) && !predictions.some(Number.isNaN);
}

/** Whether some sample has the class: nothing is known about the others, so their predictions are all 0. */
function classesHad(labels: Int32Array, classes: number): readonly boolean[] {
  const found = new Set(labels);
  return Array.from({ length: classes }, (_, k) => found.has(k));
}

/**
 * The prediction for the label minus the largest other one, among the classes that some sample has. If they all have
 * the same one, nothing speaks for another: the prediction itself, at least 0.
 */
function supportOf(predictions: Float32Array, label: number, had: readonly boolean[]): number {
  if (label < 0) return 0;
  const [own, other] = [predictions[label] ?? 0, largestBut(predictions, label, had)];
  return other < 0 ? Math.max(0, own) : own - (predictions[other] ?? 0);
}

/** From the model's own scores `[N, C]`; 0 if there are none. */
function modelMargin(scores: Float32Array | undefined, classes: number, n: number, label: number): number {
  return scores ? marginOf(scores.subarray(n * classes, (n + 1) * classes), label) : 0;
}

/**
 * The weight of the model's own score, from 0 to 1. A model that is right about the labels more often than the other
 * samples are has learned some by heart, wrong ones included: the weight is 1 if it is right as often as they are, and
 * 0 if it is always right.
 */
function trustInModel(labels: Int32Array, others: Float32Array, model: Float32Array): number {
  const labelled = labels.filter((label) => label >= 0).length;
  const share = (margins: Float32Array) =>
    margins.filter((margin, n) => (labels[n] ?? -1) >= 0 && margin > 0).length / Math.max(1, labelled);
  const [byOthers, byModel] = [share(others), share(model)];
  return Math.max(0, Math.min(1, 1 - (byModel - byOthers) / Math.max(1e-6, 1 - byOthers)));
}

function combined(regressed: Float32Array, probabilities: Float32Array | undefined): Float32Array {
  return probabilities ? regressed.map((each, k) => each + (probabilities[k] ?? 0)) : regressed;
}

/** For several labels that are 0 or 1: the score of the one most likely wrong. */
function wrongBits(values: Float32Array, predictions: Float32Array, columns: number): Float32Array {
  return Float32Array.from({ length: values.length / columns }, (_, n) => {
    let worst = Number.POSITIVE_INFINITY;
    for (let i = n * columns; i < (n + 1) * columns; i++) {
      const sign = 2 * (values[i] ?? 0) - 1;
      worst = Math.min(worst, sign * (2 * (predictions[i] ?? 0) - 1));
    }
    return logistic((-steepness / 2) * worst);
  });
}

/** For numbers: how far off each prediction is. */
function errorsOf(values: Float32Array, predictions: Float32Array, columns: number): Float64Array {
  return Float64Array.from({ length: values.length / columns }, (_, n) => {
    let sum = 0;
    for (let i = n * columns; i < (n + 1) * columns; i++) sum += ((values[i] ?? 0) - (predictions[i] ?? 0)) ** 2;
    return Math.sqrt(sum / columns);
  });
}
