/** Losses. Each is, per sample, the mean over that sample's own elements. */

import { checkOptions, type OptionNames } from "../arguments.js";
import { PergradError } from "../errors.js";
import { elementsOf, factorOf, type Shape, sameDim, showShape } from "../graph/dim.js";
import { remembering } from "../graph/making.js";
import { nodeOf } from "../graph/value.js";
import { elementFactor } from "../ops/build.js";
import { definitionOf } from "../ops/registry.js";
import { nth } from "../present.js";
import { isFloat } from "../tensor/tensor.js";
import { constant, where } from "../trace/functions.js";
import { invalid } from "../trace/shape.js";
import { Traced } from "../trace/traced.js";
import { classAxisOf, labelsOf, labelType, notesOnClassAxis, validateLabels } from "./labels.js";
import {
  besideOutput,
  countedLabels,
  type GivenTarget,
  type Loss,
  type LossFunction,
  meanPerSample,
  meanWhere,
  requirePerSample,
  requireTarget,
  reshapeLike,
  samplesOf,
  type TensorType,
  type TimesVector,
} from "./loss.js";

export interface NllOptions {
  /** Elements with this label do not count. */
  readonly ignoreIndex?: number;
  /**
   * The axis of the classes; negative: from the end. Default: the one whose removal leaves the labels' shape; axis 1 (as in
   * PyTorch) or else the first, where several do; the last of three where the labels' shape is not given.
   */
  readonly classAxis?: number;
  /** A factor for each class. The mean is over the elements' number, not over their weights. */
  readonly weights?: readonly number[];
}

export interface CrossEntropyOptions extends NllOptions {
  /** The part of each label that is spread evenly over all classes. */
  readonly labelSmoothing?: number;
}

const nllOptions: OptionNames<NllOptions> = { ignoreIndex: true, classAxis: true, weights: true };

/** The negative log-likelihood of the labels, by the log-probabilities that `logarithm` makes of the output. */
function likelihood(
  name: string,
  { ignoreIndex, classAxis, weights, labelSmoothing = 0 }: CrossEntropyOptions,
  logarithm: (output: Traced, axis: number) => Traced,
): Loss & Pick<Required<Loss>, "terms"> {
  if (!(typeof labelSmoothing === "number" && labelSmoothing >= 0 && labelSmoothing <= 1))
    throw invalid(`${name}: labelSmoothing must be from 0 to 1, not ${labelSmoothing}.`);
  if (ignoreIndex !== undefined && !Number.isSafeInteger(ignoreIndex))
    throw invalid(`${name}: ignoreIndex must be a whole number, not ${ignoreIndex}.`);
  return {
    name,
    target: (output, given) => labelType(name, output, classAxis, given),
    notes: ({ shape }, given) =>
      notesOnClassAxis(name, shape, classAxis, given && besideOutput(name, { dtype: "int64", shape }, given)),
    validate: (target, output) => validateLabels(name, target, output, { classAxis, ignoreIndex }),
    labels: (output, target) => labelsOf(name, output, target, { classAxis, ignoreIndex }),
    terms: (output, target) => {
      const axis = classAxisOf(name, output, classAxis, target ?? undefined);
      return elementFactor(output.slice(1)) / factorOf(nth(output, axis));
    },
    apply: (output, target) => {
      const labels = requireTarget(name, target).cast("int64");
      const axis = classAxisOf(name, output.value.shape, classAxis, labels.value.shape);
      requireWeights(name, weights, output, axis);
      const { counted, safe } = countedLabels(labels, ignoreIndex);
      const elements = smoothed(logarithm(output, axis), safe, axis, weights, labelSmoothing);
      return meanWhere(counted, elements);
    },
  };
}

function requireWeights(name: string, weights: readonly number[] | undefined, output: Traced, axis: number): void {
  const classes = output.value.shape[axis];
  if (weights && weights.length !== classes) {
    throw invalid(
      `${name}: ${weights.length} class weights are given, but the output ${showShape(output.value.shape)} has ${classes} classes; give one weight per class.`,
    );
  }
}

/** (1 - s) times the label's own loss, plus s times the mean of all classes'. */
function smoothed(
  logs: Traced,
  labels: Traced,
  axis: number,
  weights: readonly number[] | undefined,
  s: number,
): Traced {
  const factors = weights && constant(weights).cast(logs.dtype);
  const likely = logs.gatherElements(labels.unsqueeze(axis), axis).squeeze(axis);
  const own = (factors ? likely.mul(factors.gather(labels)) : likely).neg();
  if (s === 0) return own;
  const spread = factors ? logs.mul(factors.reshape(columnAt(axis, logs.rank))) : logs;
  return own.mul(1 - s).sub(spread.mean(axis).mul(s));
}

/** [-1, 1, 1]: a vector along `axis`, to be broadcast. */
function columnAt(axis: number, rank: number): number[] {
  return Array.from({ length: rank - axis }, (_, k) => (k === 0 ? -1 : 1));
}

/**
 * The cross entropy of int64 labels and logits `[N, C, ...]`: the negative logarithm of the label's softmax, as a mean over
 * each sample's labels, `[N]`.
 * @throws PergradError INVALID_ARGUMENT: an option is out of range.
 * @throws PergradError SHAPE_MISMATCH, DTYPE_MISMATCH or LABEL_OUT_OF_RANGE, when used: the labels do not fit the output.
 */
export function crossEntropy(options: CrossEntropyOptions = {}): Loss {
  checkOptions("losses.crossEntropy(options)", options, { ...nllOptions, labelSmoothing: true });
  const loss = likelihood("cross_entropy", options, (output, axis) => output.logSoftmax(axis));
  const chances = (output: Traced, target: Shape | null) =>
    output.softmax(classAxisOf("cross_entropy", output.value.shape, options.classAxis, target ?? undefined));
  const all: Loss = {
    ...loss,
    root: softmaxRoot(options),
    zeroColumns: (output, target) => classAxisOf("cross_entropy", output, options.classAxis, target),
    second: softmaxSecond(options),
    likelihood: { kind: "categorical", chances },
  };
  return remembering(all, "crossEntropy", [options]);
}

/**
 * Of each label the second derivative is m (diag(p) - p p'), p being the softmax and m the label's weight, over the number
 * of labels.
 */
function softmaxSecond(options: CrossEntropyOptions): TimesVector {
  return (output, target, vector) => {
    const { p, axis, over } = softmaxOf(options, output, target);
    const centred = (value: Traced) => value.sub(p.mul(value).sum(axis, { keepDims: true }));
    // Of a likely class the vector's element is nearly the mean: what rounding leaves is taken away once more.
    return over(p.mul(centred(centred(vector))), (factor) => factor);
  };
}

/**
 * The second derivative is the square of R = sqrt(m) (diag(sqrt(p)) - p sqrt(p)'), also after any reflection of R. As R
 * sqrt(p) is 0, the reflection that exchanges sqrt(p) and the last axis, up to sign, makes the last column 0 (Householder
 * 1958).
 */
function softmaxRoot(options: CrossEntropyOptions): TimesVector {
  return (output, target, vector) => {
    const axis = classAxisOf("cross_entropy", output.value.shape, options.classAxis, target?.value.shape);
    const root = output.softmax(axis).sqrt();
    const classes = factorOf(nth(output.value.shape, axis));
    const isLast = constant([...Array(classes).keys()].map((k) => (k === classes - 1 ? 1 : 0)));
    const normal = root.add(isLast.cast(root.dtype).reshape(columnAt(axis, root.rank)));
    const along = vector.mul(normal).sum(axis, { keepDims: true });
    const half = root.slice(axis, classes - 1, classes).add(1);
    const turned = vector.sub(normal.mul(along.div(half)));
    const { p, over } = softmaxOf(options, output, target);
    const scaled = turned.mul(p.sqrt());
    return over(scaled.sub(p.mul(scaled.sum(axis, { keepDims: true }))), (factor) => factor.sqrt());
  };
}

interface SoftmaxOfLabels {
  readonly p: Traced;
  readonly axis: number;
  /** A product times what is made of each label's weight over the number of labels; 0 for labels that do not count. */
  over(product: Traced, of: (factor: Traced) => Traced): Traced;
}

function softmaxOf(
  { ignoreIndex, classAxis, weights, labelSmoothing: s = 0 }: CrossEntropyOptions,
  output: Traced,
  target: Traced | null,
): SoftmaxOfLabels {
  const labels = requireTarget("cross_entropy", target).cast("int64");
  const axis = classAxisOf("cross_entropy", output.value.shape, classAxis, labels.value.shape);
  const { counted, safe } = countedLabels(labels, ignoreIndex);
  const own = labelWeights(safe, weights, s);
  const ones = labels.mul(0).add(1).cast(output.dtype);
  const weighted = own ? ones.mul(own.cast(output.dtype)) : ones;
  const elements = labels.rank === 1 ? undefined : labels.value.shape.slice(1).map((_, k) => k + 1);
  const number = (counted ? where(counted, ones, 0) : ones).sum(elements ?? [], { keepDims: true }).maximum(1);
  return {
    p: output.softmax(axis),
    axis,
    over: (product, of) => {
      const found = product.mul(of(weighted.div(number)).unsqueeze(axis));
      return counted ? where(counted.unsqueeze(axis), found, 0) : found;
    },
  };
}

/** The weight of each label, spread as smoothing does; undefined where all are 1. */
function labelWeights(labels: Traced, weights: readonly number[] | undefined, s: number): Traced | undefined {
  if (!weights) return undefined;
  const mean = weights.reduce((sum, weight) => sum + weight, 0) / weights.length;
  return constant(weights)
    .gather(labels)
    .mul(1 - s)
    .add(s * mean);
}

/**
 * The negative log-likelihood: as `crossEntropy`, of log-probabilities.
 * @throws PergradError INVALID_ARGUMENT: an option is out of range.
 * @throws PergradError SHAPE_MISMATCH, DTYPE_MISMATCH or LABEL_OUT_OF_RANGE, when used: the labels do not fit the output.
 */
export function nll(options: NllOptions = {}): Loss {
  checkOptions("losses.nll(options)", options, nllOptions);
  return remembering<Loss>(
    likelihood("nll", options, (output) => output),
    "nll",
    [options],
  );
}

/** A loss that compares each element of the output with one of the target. */
function elementwise(name: string, compare: (output: Traced, target: Traced) => Traced): Loss {
  return {
    name,
    target: (output, given = output) => {
      requireFloat(name, output);
      const shape = besideOutput(name, output, given);
      requireSameElements(name, output.shape, shape);
      return { dtype: given.dtype ?? output.dtype, shape };
    },
    validate: (target, output) => requireSameElements(name, output, target.dims),
    terms: (output) => elementFactor(output.slice(1)),
    root: "elementwise",
    apply: (output, target) => {
      requireFloat(name, output);
      const given = requireTarget(name, target);
      requireSameElements(name, output.value.shape, given.value.shape);
      return meanPerSample(compare(output, reshapeLike(given.cast(output.dtype), output)));
    },
  };
}

function requireFloat(name: string, { dtype }: Pick<TensorType, "dtype">): void {
  if (!isFloat(dtype))
    throw new PergradError(
      "DTYPE_MISMATCH",
      `${name}: the output is ${dtype}, not a floating-point tensor; cast it to float32.`,
    );
}

/** [N] goes with [N, 1], and [N, 12] with [N, 3, 4]: what counts is each sample's number of elements. */
function requireSameElements(name: string, output: Shape, target: Shape): void {
  const [own, other] = [output, target].map((shape) => elementsOf(shape.slice(1)));
  if (own !== undefined && other !== undefined && sameDim(own, other) && target.length > 0) return;
  throw new PergradError(
    "SHAPE_MISMATCH",
    `${name}: the target ${showShape(target)} does not have the elements of the output ${showShape(output)}; give it as many, or use cross_entropy for class labels.`,
  );
}

/** The mean squared difference. */
export const mse = (): Loss => {
  const loss = elementwise("mse", (output, target) => output.sub(target).square());
  return remembering({ ...loss, likelihood: { kind: "gaussian" } }, "mse", []);
};

/** The mean absolute difference. */
export const l1 = (): Loss =>
  remembering(
    elementwise("l1", (output, target) => output.sub(target).abs()),
    "l1",
    [],
  );

/**
 * Quadratic below `beta`, then linear with slope 1.
 * @throws PergradError INVALID_ARGUMENT: `beta` is negative.
 */
export function smoothL1({ beta = 1 }: { readonly beta?: number } = {}): Loss {
  if (!(beta >= 0)) throw invalid(`smooth_l1: beta must not be negative, but is ${beta}.`);
  const loss =
    beta === 0
      ? { ...l1(), name: "smooth_l1" }
      : elementwise("smooth_l1", (output, target) => rounded(output.sub(target), beta).div(beta));
  return remembering(loss, "smoothL1", [{ beta }]);
}

/**
 * Quadratic below `delta`, then linear with slope `delta`.
 * @throws PergradError INVALID_ARGUMENT: `delta` is not above 0.
 */
export function huber({ delta = 1 }: { readonly delta?: number } = {}): Loss {
  if (!(delta > 0)) throw invalid(`huber: delta must be positive, but is ${delta}.`);
  const loss = elementwise("huber", (output, target) => rounded(output.sub(target), delta));
  return remembering(loss, "huber", [{ delta }]);
}

/** x^2 / 2 below the corner, then corner * (|x| - corner / 2). */
function rounded(x: Traced, corner: number): Traced {
  const size = x.abs();
  return where(size.less(corner), x.square().mul(0.5), size.sub(corner / 2).mul(corner));
}

/**
 * Binary cross entropy of probabilities; logarithms are limited to -100. Of an output that is a sigmoid it is computed
 * of the logits behind it, where a probability near 0 or 1 keeps its digits.
 */
export const bce = (): Loss => remembering(elementwise("bce", ofProbabilities), "bce", []);

function ofProbabilities(output: Traced, target: Traced): Traced {
  const logits = logitsBehind(output);
  if (logits) return logistic(logits.clip(-100, 100), target);
  const complement = output.neg().add(1);
  const [yes, no] = [target.mul(limitedLog(output)), target.neg().add(1).mul(limitedLog(complement))];
  return yes.add(no).neg();
}

/** What a sigmoid is taken of, in the output's shape; null where the output is none. */
function logitsBehind(output: Traced): Traced | null {
  const node = nodeOf(output.value);
  const [x, ...others] = node?.inputs ?? [];
  if (!node || !x || node.domain !== "") return null;
  if (node.op === "Sigmoid") return new Traced(x, output.scope);
  const logits = definitionOf(node)?.view ? logitsBehind(new Traced(x, output.scope)) : null;
  const places = others.flatMap((other) => (other ? [new Traced(other)] : []));
  return logits?.onnx(node.op, places, node.attributes) ?? null;
}

/** The smallest normal float32: below it, 1/p would overflow. */
const smallest = 2 ** -126;

function limitedLog(p: Traced): Traced {
  const positive = p.greaterOrEqual(smallest);
  return where(positive, where(positive, p, 1).log(), -100);
}

/** Binary cross entropy of logits, which neither overflows nor cancels. */
export const bceWithLogits = (): Loss => {
  const chances = (output: Traced) => output.sigmoid();
  const loss = { ...elementwise("bce_with_logits", logistic), likelihood: { kind: "bernoulli", chances } } as const;
  return remembering(loss, "bceWithLogits", []);
};

/**
 * -t log(sigmoid(x)) - (1 - t) log(1 - sigmoid(x)) = ([x > 0] - t) x + log(1 + exp(-|x|)). With t = 0 or 1 the first
 * term is 0 where x is on the right side, so that neither the loss nor its derivative cancels there. -|x| is stated as
 * a product, whose derivative at 0 is the right one.
 */
function logistic(x: Traced, target: Traced): Traced {
  const positive = x.greater(0).cast(x.dtype);
  const negative = x.mul(positive.mul(-2).add(1));
  return x.mul(positive.sub(target)).add(negative.softplus());
}

/**
 * An output of the model that is the loss already: [N], or [N, ...], then averaged.
 * @throws PergradError SHAPE_MISMATCH or DTYPE_MISMATCH, when used: the output has no sample axis, or is no floating-point tensor.
 */
export function output(name?: string): Loss {
  const label = name === undefined ? "output" : `output "${name}"`;
  const loss: Loss = {
    name: label,
    ...(name === undefined ? {} : { output: name }),
    target: (type) => {
      samplesOf(label, type);
      requireFloat(label, type);
      return null;
    },
    apply: (traced) => {
      samplesOf(label, traced.value);
      requireFloat(label, traced);
      return meanPerSample(traced);
    },
  };
  return remembering(loss, "output", [name]);
}

export interface CustomOptions {
  readonly name?: string;
  /** The target of an output; Default: as the data has it, or else as the output. */
  readonly target?: (output: TensorType, given?: GivenTarget) => TensorType;
}

/** Any traced function of an output and a target, sample axis first, to [N]. */
export function custom(compare: LossFunction, { name = "custom loss", target }: CustomOptions = {}): Loss {
  return {
    name,
    target:
      target ??
      ((type, given = type) => ({ dtype: given.dtype ?? type.dtype, shape: besideOutput(name, type, given) })),
    apply: (traced, given) => requirePerSample(name, traced, compare(traced, requireTarget(name, given))),
  };
}

/** What makes losses. */
export const losses = { crossEntropy, nll, mse, l1, smoothL1, huber, bce, bceWithLogits, output, custom } as const;

export type { GivenTarget, Loss, LossFunction, TensorType } from "./loss.js";
