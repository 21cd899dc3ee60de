/** Lists of tensors, as files have them: gone once a file is read. */
import type { Value } from "../../graph/value.js";

/** Tensors whose number is known when the file is read. */
export class Sequence {
  constructor(readonly elements: readonly Value[]) {}
}

/** The list to which the steps of a loop over the samples append: each one `own`, the value of its step. */
export class GrowingSequence {
  constructor(readonly own: readonly Value[] = []) {}
}

/** One tensor for each step of a loop over the samples: `[rows, ...]`, stacked. */
export class StackedSequence {
  constructor(readonly stacked: Value) {}
}

/** An optional value that is not there. */
export class Absent {}

/** What may be an element of a list. */
export interface Candidate {
  /** int64, `[1]`. */
  readonly element: Value;
  /** bool, of one element: whether it is in the list; null where it always is. */
  readonly kept: Value | null;
}

/** A vector of integers whose elements depend on a sample's data. */
export class Selection {
  constructor(readonly candidates: readonly Candidate[]) {}
}

/** The rows of a tensor at the positions that a list holds: `rows` has one for each candidate. */
export class SelectedRows {
  constructor(
    readonly rows: Value,
    readonly list: Selection,
  ) {}
}

const notTensors = [Sequence, GrowingSequence, StackedSequence, Absent, Selection, SelectedRows] as const;

/** What a name of a file may stand for beside a tensor. */
export type NotTensor = InstanceType<(typeof notTensors)[number]>;

export type NamedItem = Value | NotTensor;

export function isTensor(item: NamedItem): item is Value {
  return !notTensors.some((kind) => item instanceof kind);
}
