/** Class labels: the axis of the output that they index, and checks of their range. */

import { PergradError } from "../errors.js";
import { type Dim, isBatch, type Shape, sameShape, showShape } from "../graph/dim.js";
import { nth } from "../present.js";
import { option, sentence, type Words } from "../sentence.js";
import { type DType, sizeOf, type Tensor } from "../tensor/tensor.js";
import { axisOf } from "../trace/shape.js";
import { besideOutput, type ClassLabels, type GivenTarget, samplesOf, type TensorType } from "./loss.js";

const labelTypes: ReadonlySet<DType> = new Set(["int64", "int32", "int16", "int8", "uint32", "uint16", "uint8"]);

function requireLabels(loss: string, dtype: DType): void {
  if (labelTypes.has(dtype)) return;
  throw new PergradError(
    "DTYPE_MISMATCH",
    `${loss}: the target holds class labels and must be int64, but is ${dtype}; convert it.`,
  );
}

/**
 * A DTYPE_MISMATCH error for a target that holds a number for each class. @param needed what the target should hold
 * instead
 */
export function byClass(target: string, needed: string): PergradError {
  return new PergradError(
    "DTYPE_MISMATCH",
    `${target}, a number for each class (one-hot rows, or probabilities), but ${needed}; give the index of the largest number (argmax), or, for probabilities, a loss of your own (losses.custom).`,
  );
}

function refuseByClass(loss: string, { dtype, shape }: TensorType, output: Shape): void {
  if (!sameShape(shape, output)) return;
  throw byClass(
    `${loss}: the target is ${dtype} ${showShape(shape)}, as the output is`,
    "the loss needs class labels, int64, in the output's shape without the axis of classes",
  );
}

function without(shape: Shape, axis: number): Dim[] {
  return shape.filter((_, k) => k !== axis);
}

/** Whether labels of shape `target` fit the classes along `axis`; the numbers of samples may differ. */
function fits(output: Shape, axis: number, target: Shape): boolean {
  return sameShape(without(output, axis).slice(1), target.slice(1)) && target.length === output.length - 1;
}

/**
 * The class axis, from the axis chosen for the loss and, if it is known, the target's shape: as in PyTorch, axis 1 if
 * it fits, else the first axis that does. Without a target's shape, the last of three axes.
 */
export function classAxisOf(loss: string, output: Shape, chosenAxis: number | undefined, target?: Shape): number {
  samplesOf(loss, { shape: output });
  const rank = output.length;
  if (rank < 2) {
    throw new PergradError(
      "SHAPE_MISMATCH",
      `${loss}: the output ${showShape(output)} has no axis of classes; it needs [N, classes].`,
    );
  }
  if (
    chosenAxis !== undefined &&
    axisOf(chosenAxis, rank, sentence`${loss}: the class axis (${option("classAxis")})`) === 0
  ) {
    throw new PergradError(
      "INVALID_ARGUMENT",
      sentence`${loss}: the class axis ${chosenAxis} (${option("classAxis")}) is the sample axis; give the axis of the classes.`,
    );
  }
  const axis = chosenAxis === undefined ? undefined : axisOf(chosenAxis, rank, loss);
  const shape = target ?? without(output, axis ?? (rank === 3 ? 2 : 1));
  const found = (axis === undefined ? axesOfClasses(rank) : [axis]).find((each) => fits(output, each, shape));
  if (found !== undefined) return found;
  throw new PergradError(
    "SHAPE_MISMATCH",
    `${loss}: labels ${showShape(shape)} do not fit the output ${showShape(output)}; ` +
      `they need its shape without the axis of classes, as in ${showShape(without(output, axis ?? rank - 1))}.`,
  );
}

/** 1, 2, ..., rank - 1. */
function axesOfClasses(rank: number): number[] {
  return Array.from({ length: Math.max(0, rank - 1) }, (_, k) => k + 1);
}

/** Remarks if the shapes leave the class axis ambiguous. */
export function notesOnClassAxis(
  loss: string,
  output: Shape,
  chosenAxis: number | undefined,
  target: Shape | undefined,
): string[] {
  if (chosenAxis !== undefined || output.length < 3) return [];
  const axis = classAxisOf(loss, output, chosenAxis, target);
  const labels = without(output, axis);
  const otherwise = "classAxis (--class-axis) says otherwise";
  const fitting = axesOfClasses(output.length).filter((each) => fits(output, each, labels));
  if (fitting.length > 1) {
    return [
      `${loss}: labels ${showShape(labels)} fit the output ${showShape(output)} with the classes along axis ${fitting.join(" or ")}; axis ${axis} is taken, as in PyTorch; ${otherwise}.`,
    ];
  }
  if (target) return [];
  return [
    `${loss}: the shape of the labels is not given, so the classes of the output ${showShape(output)} are assumed to lie along axis ${axis}, with labels ${showShape(labels)}; ${otherwise}.`,
  ];
}

/** The labels' dtype and shape. */
export function labelType(
  loss: string,
  output: TensorType,
  chosenAxis: number | undefined,
  given?: GivenTarget,
): TensorType {
  if (!given) return { dtype: "int64", shape: without(output.shape, classAxisOf(loss, output.shape, chosenAxis)) };
  const { dtype = "int64" } = given;
  const shape = besideOutput(loss, output, given);
  refuseByClass(loss, { dtype, shape }, output.shape);
  requireLabels(loss, dtype);
  classAxisOf(loss, output.shape, chosenAxis, shape);
  return { dtype, shape };
}

/** How to leave out samples that have no class. */
function advice(label: number, ignoreIndex: number | undefined): Words {
  if (ignoreIndex !== undefined)
    return sentence`correct it, or mark it by ${ignoreIndex}, the label that is ignored (${option("ignoreIndex")})`;
  return sentence`if it marks what does not count, say so with ${option("ignoreIndex", label)}`;
}

interface LabelOptions {
  readonly classAxis?: number | undefined;
  readonly ignoreIndex?: number | undefined;
}

/** The labels allowed in a target of this shape. Throws SHAPE_MISMATCH. */
export function labelsOf(
  loss: string,
  output: Shape,
  target: Shape,
  { classAxis, ignoreIndex }: LabelOptions,
): ClassLabels {
  const axis = classAxisOf(loss, output, classAxis, target);
  const classes = nth(output, axis);
  if (isBatch(classes))
    throw new PergradError(
      "SHAPE_MISMATCH",
      sentence`${loss}: the number of classes grows with the batch; give ${option("classAxis")}.`,
    );
  return { axis, classes, ignored: ignoreIndex };
}

/** Throws LABEL_OUT_OF_RANGE for a label that is neither a class nor ignored. */
export function validateLabels(loss: string, target: Tensor, output: Shape, options: LabelOptions): void {
  requireLabels(loss, target.dtype);
  const { classes, ignored: ignoreIndex } = labelsOf(loss, output, target.dims, options);
  const perSample = sizeOf(target.dims.slice(1));
  target.data.forEach((element: number | bigint, position: number) => {
    const label = Number(element);
    if ((label >= 0 && label < classes) || label === ignoreIndex) return;
    const where = perSample === 1 ? "" : `, element ${position % perSample}`;
    const range = classes === 0 ? "no class, since there are none" : `outside 0..${classes - 1}`;
    throw new PergradError(
      "LABEL_OUT_OF_RANGE",
      sentence`${loss}: the label ${element} of sample ${Math.floor(position / perSample)}${where} is ${range}; ${advice(label, ignoreIndex)}.`,
    );
  });
}

/** Each label as a number; -1 for one that does not count: the ignored one, and what is no class. */
export function labelsThatCount(
  labels: ArrayLike<number | bigint>,
  { classes, ignored }: { readonly classes: number; readonly ignored: number | undefined },
): Int32Array {
  const counts = (label: number) => label >= 0 && label < classes && label !== ignored;
  return Int32Array.from(labels, (label) => (counts(Number(label)) ? Number(label) : -1));
}
