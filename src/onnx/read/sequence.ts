/** Lists of tensors, as files have them. None is left once a file has been read. */
import type { Value } from "../../graph/value.js";
import type { Mask } from "./masks/mask.js";

/** A list whose number of tensors is known when the file is read. */
export class Sequence {
  constructor(readonly elements: readonly Value[]) {}
}

/**
 * The list to which the steps of a loop over the samples append. Each step appends `own`, the value that it computes.
 */
export class GrowingSequence {
  constructor(readonly own: readonly Value[] = []) {}
}

/** One tensor for each step of a loop over the samples, stacked as `[rows, ...]`. */
export class StackedSequence {
  constructor(readonly stacked: Value) {}
}

/** An optional value that is absent. */
export class Absent {}

/** A possible element of a list. */
export interface Candidate {
  /** int64, `[1]`. */
  readonly element: Value;
  /** bool, one element: whether the candidate is in the list; null if it always is. */
  readonly kept: Value | null;
}

/** A vector of integers whose elements depend on a sample's data. */
export class Selection {
  constructor(readonly candidates: readonly Candidate[]) {}
}

/** The rows of a tensor at the positions that a list holds. `rows` has one row for each candidate. */
export class SelectedRows {
  constructor(
    readonly rows: Value,
    readonly list: Selection,
  ) {}
}

/** What is computed from elements that a mask picks. N stands for their number in the value's shape. */
export class MaskedRows {
  constructor(
    readonly value: Value,
    readonly mask: Mask,
  ) {}
}

const notTensors = [Sequence, GrowingSequence, StackedSequence, Absent, Selection, SelectedRows, MaskedRows] as const;

/** What a name of a file may stand for other than a tensor. */
export type NotTensor = InstanceType<(typeof notTensors)[number]>;

export type NamedItem = Value | NotTensor;

export function isTensor(item: NamedItem): item is Value {
  return !notTensors.some((kind) => item instanceof kind);
}
