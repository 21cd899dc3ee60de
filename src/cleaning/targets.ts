/** The targets of a data set: classes, numbers, or anything else. */
import type { Objective } from "../compile/objective.js";
import { isBatch } from "../graph/dim.js";
import { labelsThatCount } from "../nn/labels.js";
import { elementsIn, isFloat, sizeOf, type Tensor } from "../tensor/tensor.js";

/** Targets as numbers that can be predicted. */
export type Targets =
  | { readonly kind: "classes"; readonly classes: number; readonly labels: Int32Array }
  /** `values` are `[N, columns]`; `binary`: each of them is 0 or 1. */
  | { readonly kind: "values"; readonly columns: number; readonly values: Float32Array; readonly binary: boolean }
  | { readonly kind: "none" };

export type TargetKind = Targets["kind"];

/** The most numbers per sample that are predicted. */
const mostColumns = 4096;

export function targetKind({ expected, output, loss }: Objective): TargetKind {
  const target = expected.get("target")?.value;
  if (!target) return "none";
  const [, classes] = output.shape;
  if (!isFloat(target.dtype)) {
    const labels = target.shape.length === 1 && output.shape.length === 2;
    return labels && classes !== undefined && !isBatch(classes) && classes > 1 && !loss.name.startsWith("bce")
      ? "classes"
      : "none";
  }
  const columns = target.shape.slice(1);
  return columns.every((dim): dim is number => !isBatch(dim)) && sizeOf(columns) <= mostColumns && sizeOf(columns) > 0
    ? "values"
    : "none";
}

/** @param target of all samples; undefined if the loss has none */
export function targetsOf(objective: Objective, target: Tensor | undefined): Targets {
  const kind = targetKind(objective);
  if (kind === "none" || !target) return { kind: "none" };
  const given = elementsIn(target);
  if (kind === "values") {
    const values = Float32Array.from(given, Number);
    const binary = objective.loss.name.startsWith("bce") && values.every((x) => x === 0 || x === 1);
    return { kind, columns: sizeOf(target.dims.slice(1)), values, binary };
  }
  const classes = Number(objective.output.shape[1]);
  // Nothing is known about a label that the loss ignores.
  const ignored = objective.loss.labels?.(objective.output.shape, target.dims).ignored;
  return { kind, classes, labels: labelsThatCount(given, { classes, ignored }) };
}

/** `[N, columns]`: classes as one column each. Numbers that are not finite become 0, so that they spoil no sum. */
export function columnsOf(targets: Exclude<Targets, { kind: "none" }>): { columns: number; values: Float32Array } {
  if (targets.kind === "values")
    return { columns: targets.columns, values: targets.values.map((x) => (Number.isFinite(x) ? x : 0)) };
  const { classes, labels } = targets;
  const values = new Float32Array(labels.length * classes);
  labels.forEach((label, n) => {
    if (label >= 0) values[n * classes + label] = 1;
  });
  return { columns: classes, values };
}
