/** What is taken from a data set besides what programs are fed. */
import type { Objective } from "../compile/objective.js";
import { piecesOf } from "../program/dataset.js";
import { type Prepared, prepare } from "../program/feeds.js";
import { type Batch, type Dataset, isBatch } from "../program/given-data.js";
import { joinSamples } from "../tensor/take-samples.js";
import type { Tensor } from "../tensor/tensor.js";
import { SameInputs } from "./same-inputs.js";
import { type Targets, targetsOf } from "./targets.js";

/** Samples that are read at a time. */
const pieceSize = 256;

/** The samples as programs are fed them, in pieces; `size` of them at most in each. */
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

/** Goes through the data once. Throws what `prepare` and the loss throw. */
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

/** What a program takes that does not look at targets. */
export function withoutTarget(dataset: Dataset): Dataset {
  if (!isBatch(dataset)) return dataset;
  const { target: _, ...inputs } = dataset;
  return inputs;
}
