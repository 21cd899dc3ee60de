/** The interface of a loss: a traced function of an output and a target that returns one number per sample. */
import { PergradError } from "../errors.js";
import { type Dim, type Shape, sameShape, showShape } from "../graph/dim.js";
import { type DType, isFloat, type Tensor } from "../tensor/tensor.js";
import { where } from "../trace/functions.js";
import { specOf } from "../trace/shape.js";
import { Traced } from "../trace/traced.js";

/** dtype and shape of an output or a target. The sample axis is the first. */
export interface TensorType {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** The target as the data has it: its first dimension is the number of samples, and may be a number. */
export interface GivenTarget {
  readonly dtype?: DType;
  readonly shape: Shape;
}

/**
 * A loss: one number per sample, from an output and a target. `losses` has the common ones; `losses.custom` makes one.
 */
export interface Loss {
  /** Its name in messages: "cross_entropy". */
  readonly name: string;
  /** The output that the loss uses. Default: the first. */
  readonly output?: string;
  /**
   * The type of the target for an output: that of the given target, else the one that the output suggests. Null: there
   * is no target. Throws SHAPE_MISMATCH or DTYPE_MISMATCH if they do not fit.
   */
  target(output: TensorType, given?: GivenTarget): TensorType | null;
  /** One number per sample: [N]. */
  apply(output: Traced, target: Traced | null): Traced;
  /** Remarks on choices, if shapes allow several. */
  notes?(output: TensorType, given?: GivenTarget): readonly string[];
  /** Checks the data of a target. Throws LABEL_OUT_OF_RANGE, SHAPE_MISMATCH or DTYPE_MISMATCH. */
  validate?(target: Tensor, output: Shape): void;
  /**
   * The labels allowed, if the target holds class labels: 0..classes-1, and the one that is ignored. Saved programs
   * record them, for other readers to check.
   */
  labels?(output: Shape, target: Shape): ClassLabels;
  /**
   * The number by which the sum of a sample's own terms is divided to give its loss: labels, or elements. Default 1.
   */
  terms?(output: Shape, target: Shape | null): number;
  /**
   * The second derivative L of the loss in the output, by a square root R with L = R R'. "elementwise": L is diagonal
   * and not negative. A function returns R times a vector of the output's shape. Default: none is known.
   */
  readonly root?: "elementwise" | TimesVector;
  /**
   * The axis of the output for whose last elements the root's columns are 0, so that they need not be computed.
   * Default: none.
   */
  readonly zeroColumns?: (output: Shape, target: Shape | undefined) => number;
  /**
   * The second derivative of the loss in the output times a vector, in fewer steps than differentiating twice. Default:
   * the loss is differentiated twice.
   */
  readonly second?: TimesVector;
  /**
   * The distribution of the target whose negative log-likelihood is the loss, up to a factor. Default: none is known.
   */
  readonly likelihood?: Likelihood;
}

/** The class labels allowed, and the axis of the output that they index. */
export interface ClassLabels {
  readonly axis: number;
  readonly classes: number;
  readonly ignored: number | undefined;
}

/**
 * Distributions of targets, and what an output says about the probability of a target (of the given shape), in the
 * output's shape.
 */
export type Likelihood =
  | { readonly kind: "categorical" | "bernoulli"; chances(output: Traced, target: Shape | null): Traced }
  | { readonly kind: "gaussian" };

/** A matrix of each sample times a vector `[N, ...]`, of an output, a target and the vector. */
export type TimesVector = (output: Traced, target: Traced | null, vector: Traced) => Traced;

/** A loss of one's own: from outputs and targets, sample axis first, to [N]. */
export type LossFunction = (output: Traced, target: Traced) => Traced;

/** The samples of an output: its first dimension. */
export function samplesOf(loss: string, { shape }: Pick<TensorType, "shape">): Dim {
  const samples = shape[0];
  if (samples !== undefined) return samples;
  throw new PergradError(
    "SHAPE_MISMATCH",
    `${loss}: the output is a single number for the whole batch; return one per sample instead.`,
  );
}

/** The given shape with the output's samples in front. */
export function besideOutput(loss: string, output: TensorType, given: GivenTarget): Dim[] {
  const samples = samplesOf(loss, output);
  if (given.shape.length > 0) return [samples, ...given.shape.slice(1)];
  throw new PergradError("SHAPE_MISMATCH", `${loss}: the target is a single number; give one entry per sample.`);
}

/** The target, which the loss cannot do without. */
export function requireTarget(loss: string, target: Traced | null): Traced {
  if (target) return target;
  throw new PergradError(
    "MISSING_TENSOR",
    `${loss} needs a target; give its shape and dtype, or use a loss that needs none.`,
  );
}

/** Axes 1, 2, ...: all but the samples'. */
function elementAxes({ rank }: Traced): number[] {
  return Array.from({ length: Math.max(rank - 1, 0) }, (_, axis) => axis + 1);
}

/** The mean over each sample's own elements; 0 if it has none. */
export function meanPerSample(elements: Traced): Traced {
  const empty = elements.value.shape.slice(1).includes(0);
  return empty ? elements.sum(elementAxes(elements)) : elements.mean(elementAxes(elements));
}

/** Labels, and which of them count. */
export interface CountedLabels {
  /** Undefined if all count. */
  readonly counted: Traced | undefined;
  /** The labels, with 0 in place of those that do not count: an ignored label may be no class at all. */
  readonly safe: Traced;
}

/** @param ignored the label that does not count; undefined if all do */
export function countedLabels(labels: Traced, ignored: number | undefined): CountedLabels {
  if (ignored === undefined) return { counted: undefined, safe: labels };
  const counted = labels.notEqual(ignored);
  return { counted, safe: where(counted, labels, 0) };
}

/**
 * The mean over those elements where `counted` holds, or over all if it is undefined; if there are none, the mean and its
 * gradient are 0.
 */
export function meanWhere(counted: Traced | undefined, elements: Traced): Traced {
  if (!counted) return meanPerSample(elements);
  const axes = elementAxes(elements);
  const kept = where(counted, elements, 0);
  const number = counted.cast(elements.dtype).sum(axes).maximum(1);
  return kept.sum(axes).div(number);
}

/** Throws where a loss is not one floating-point number per sample. */
export function requirePerSample(loss: string, output: Traced, result: Traced): Traced {
  if (!(result instanceof Traced)) {
    throw new PergradError(
      "INVALID_ARGUMENT",
      `${loss}: the loss function did not return a traced tensor; return one number per sample.`,
    );
  }
  const want = [samplesOf(loss, output.value)];
  if (!sameShape(result.value.shape, want)) {
    const [have, need] = [result.value.shape, want].map(showShape);
    throw new PergradError(
      "SHAPE_MISMATCH",
      `${loss}: a loss gives one number per sample, ${need}, not ${have}; average over each sample's own elements.`,
    );
  }
  if (!isFloat(result.dtype)) {
    throw new PergradError(
      "DTYPE_MISMATCH",
      `${loss}: a loss must be a floating-point number, not ${result.dtype}; cast it.`,
    );
  }
  return result;
}

/** `x` in the shape of `like`. */
export function reshapeLike(x: Traced, like: Traced): Traced {
  return x.reshape(like.value.shape.map(specOf));
}
