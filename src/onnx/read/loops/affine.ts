/** Integers in terms of a step's number s and the number of samples N; and lists of such integers, one for each sample. */
import { add, type BatchMultiple, type Dim, divide, factorOf, isBatch, multiply, sameDim } from "../../../graph/dim.js";
import type { Value } from "../../../graph/value.js";
import type { FileNode } from "../file-node.js";

/** steps * s + samples * N + offset. */
export interface Affine {
  readonly steps: number;
  readonly samples: number;
  readonly offset: number;
}

/** start + step * k, for k from 0 to `rows` + `more` - 1. */
export interface Progression {
  readonly start: number;
  readonly step: number;
  readonly rows: BatchMultiple;
  readonly more: number;
}

function constantAffine(offset: number): Affine {
  return { steps: 0, samples: 0, offset };
}

/** Reads a scalar, or a vector of one element, that is known when the file is read. */
export function affineOfDim(dim: Dim): Affine {
  return isBatch(dim) ? { steps: 0, samples: dim.perSample, offset: 0 } : constantAffine(dim);
}

export function isConstant({ steps, samples }: Affine): boolean {
  return steps === 0 && samples === 0;
}

/** `op` is Add, Sub or Mul; undefined if the result has no such form. */
export function combined(op: string, a: Affine, b: Affine): Affine | undefined {
  if (op !== "Mul") return plus(a, op === "Sub" ? scaled(b, -1) : b);
  if (isConstant(a)) return scaled(b, a.offset);
  return isConstant(b) ? scaled(a, b.offset) : undefined;
}

function scaled({ steps, samples, offset }: Affine, by: number): Affine {
  return { steps: steps * by, samples: samples * by, offset: offset * by };
}

function plus(a: Affine, b: Affine): Affine {
  return { steps: a.steps + b.steps, samples: a.samples + b.samples, offset: a.offset + b.offset };
}

/** The value in the last step of `rows`, where N follows from the number of the step. */
export function inLastStep({ steps, samples, offset }: Affine, { perSample }: BatchMultiple): Affine {
  const each = samples / perSample;
  return { steps: steps + each, samples: 0, offset: offset + each };
}

/** The number that it equals in the last step, in a file that fixes its batch to `fixed` samples. */
export function atLastStep({ steps, samples, offset }: Affine, { perSample }: BatchMultiple, fixed: number): Affine {
  return constantAffine(steps * (perSample * fixed - 1) + samples * fixed + offset);
}

/** One plain integer. */
export function numberOf(value: Value | null | undefined): number | undefined {
  const dim = oneDim(value);
  return isBatch(dim) ? undefined : dim;
}

/** One integer, possibly a multiple of N. */
export function oneDim(value: Value | null | undefined): Dim | undefined {
  const [element, more] = value?.known ?? [];
  return more === undefined ? element : undefined;
}

/** The result of a Range that counts up to a multiple of N, or to a few numbers beyond one (`arange(N + 1)`). */
export function rangeOf({ inputs }: FileNode, limit: Affine | undefined): Progression | undefined {
  const [start, step] = [numberOf(inputs[0]), numberOf(inputs[2])];
  if (start !== 0 || step === undefined || step < 1 || !limit || limit.steps !== 0 || limit.offset < 0)
    return undefined;
  const rows = limit.samples > 0 ? divide({ perSample: limit.samples }, step) : undefined;
  return isBatch(rows) ? { start, step, rows, more: Math.ceil(limit.offset / step) } : undefined;
}

/** The same with one more element at the end, which continues the progression. */
export function extended(list: Progression, element: Value): Progression | undefined {
  const next = multiply(list.rows, list.step);
  const end = next && add(next, list.start + list.step * list.more);
  const given = oneDim(element);
  const fits = end !== undefined && given !== undefined && sameDim(given, end);
  return fits && element.shape.length === 1 ? { ...list, more: list.more + 1 } : undefined;
}

export function lastOf({ start, step, rows, more }: Progression): Affine {
  return { steps: 0, samples: step * rows.perSample, offset: start + step * (more - 1) };
}

/** The same without its first elements. */
export function tailOf(list: Progression, { inputs }: FileNode): Progression | undefined {
  const [, starts, ends, , strides] = inputs;
  const [from, to, step] = [numberOf(starts), numberOf(ends), strides ? numberOf(strides) : 1];
  if (from === undefined || from < 0 || to === undefined || to < 2 ** 31 - 1 || step !== 1) return undefined;
  return from <= list.more ? { ...list, start: list.start + list.step * from, more: list.more - from } : undefined;
}

/** Each element multiplied by `by`, or with `by` added or subtracted. */
export function shifted(list: Progression, op: string, by: number): Progression {
  const scale = op === "Mul" ? by : 1;
  const offset = op === "Mul" ? 0 : op === "Sub" ? -by : by;
  return { ...list, start: list.start * scale + offset, step: list.step * scale };
}

/** The element that belongs to a step: element s + offset of a list with one element per step, or a few more. */
export function elementOf(list: Progression, at: Affine, rows: BatchMultiple): Affine | undefined {
  const inside = at.steps === 1 && at.samples === 0 && at.offset >= 0 && at.offset <= list.more;
  if (!inside || factorOf(list.rows) !== factorOf(rows)) return undefined;
  return { steps: list.step, samples: 0, offset: list.start + list.step * at.offset };
}
