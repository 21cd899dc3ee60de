/** The targets of a data set: classes, numbers, or anything else. */
import type { Objective } from "../compile/objective.js";
import { isBatch } from "../graph/dim.js";
import { labelsThatCount } from "../nn/labels.js";
import { elementsIn, isFloat, sizeOf, type Tensor } from "../tensor/tensor.js";

/** Targets as numbers that can be predicted. */
export type Targets =
  | { readonly kind: "classes"; readonly classes: number; readonly labels: Int32Array }
  /** `values` are `[N, columns]`; `binary`: each of them is 0, 1 or NaN. */
  | { readonly kind: "values"; readonly columns: number; readonly values: Float32Array; readonly binary: boolean }
  /** `labelled`: whether each sample has a label that counts; undefined if all do. */
  | { readonly kind: "none"; readonly labelled?: readonly boolean[] | undefined };

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
  if (!target) return { kind: "none" };
  if (kind === "none") return { kind, labelled: labelledIn(objective, target) };
  const given = elementsIn(target);
  if (kind === "values") {
    const values = Float32Array.from(given, Number);
    const binary = objective.loss.name.startsWith("bce") && values.every((x) => x === 0 || x === 1 || Number.isNaN(x));
    return { kind, columns: sizeOf(target.dims.slice(1)), values, binary };
  }
  const classes = Number(objective.output.shape[1]);
  // Nothing is known about a label that the loss ignores.
  const ignored = objective.loss.labels?.(objective.output.shape, target.dims).ignored;
  return { kind, classes, labels: labelsThatCount(given, { classes, ignored }) };
}

/** Whether each sample has a label that the loss does not ignore; undefined if the target holds no labels of classes. */
function labelledIn({ loss, output }: Objective, target: Tensor): readonly boolean[] | undefined {
  const allowed = isFloat(target.dtype) ? undefined : loss.labels?.(output.shape, target.dims);
  if (!allowed) return undefined;
  const labels = labelsThatCount(elementsIn(target), allowed);
  const [samples = 0, ...own] = target.dims;
  const each = sizeOf(own);
  return Array.from({ length: samples }, (_, n) =>
    labels.subarray(n * each, (n + 1) * each).some((label) => label >= 0),
  );
}

/** Whether something is known about sample n's target: a label that counts, or numbers that are finite. */
export function isKnown(targets: Targets, n: number): boolean {
  if (targets.kind === "classes") return (targets.labels[n] ?? -1) >= 0;
  if (targets.kind === "none") return targets.labelled?.[n] ?? true;
  const { values, columns } = targets;
  return values.subarray(n * columns, (n + 1) * columns).every(Number.isFinite);
}

/** `[N, columns]`: classes as one column each; 0 where nothing is known. */
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
