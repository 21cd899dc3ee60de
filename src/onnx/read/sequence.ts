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

/** What a name of a file may stand for beside a tensor. */
export type NotTensor = Sequence | GrowingSequence | StackedSequence | Absent;

export type Item = Value | NotTensor;

export function isTensor(item: Item): item is Value {
  return !(
    item instanceof Sequence ||
    item instanceof GrowingSequence ||
    item instanceof StackedSequence ||
    item instanceof Absent
  );
}
