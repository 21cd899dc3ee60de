/** Reads what scoring needs from a data set besides the feeds of programs. */
import type { Objective } from "../compile/objective.js";
import { piecesOf } from "../program/dataset.js";
import { type Prepared, prepare } from "../program/feeds.js";
import { type Batch, type Dataset, isBatch } from "../program/given-data.js";
import { joinSamples } from "../tensor/take-samples.js";
import type { Tensor } from "../tensor/tensor.js";
import { SameInputs } from "./same-inputs.js";
import { type Targets, targetsOf } from "./targets.js";

/** The number of samples that are read at a time. */
const pieceSize = 256;

/** The samples in the form that programs are fed, in pieces of at most `size`. */
export function preparedPieces(
  { expected }: Pick<Objective, "expected">,
  dataset: Dataset,
  allowNotFinite: boolean,
  size = pieceSize,
): AsyncGenerator<Prepared, void, undefined> {
  const make = (batch: Batch) => prepare(batch, expected, allowNotFinite);
  return piecesOf(dataset, size, { expected, prepare: make, inPlace: true });
}

export interface Read {
  readonly samples: number;
  readonly targets: Targets;
  readonly sameAs: Int32Array;
}

/** Reads the data once. Throws what `prepare` and the loss throw. */
export async function readOnce(objective: Objective, dataset: Dataset, allowNotFinite: boolean): Promise<Read> {
  const same = new SameInputs(objective.expected);
  const parts: Tensor[] = [];
  let samples = 0;
  for await (const piece of preparedPieces(objective, dataset, allowNotFinite)) {
    const { target } = piece.feeds;
    if (target) {
      objective.loss.validate?.(target, objective.output.shape);
      parts.push(target);
    }
    same.add(piece);
    samples += piece.samples;
  }
  return {
    samples,
    targets: targetsOf(objective, parts.length === 0 ? undefined : joinSamples(parts, 0)),
    sameAs: same.all,
  };
}

/** The data for a program that does not use targets. */
export function withoutTarget(dataset: Dataset): Dataset {
  if (!isBatch(dataset)) return dataset;
  const { target: _, ...inputs } = dataset;
  return inputs;
}
