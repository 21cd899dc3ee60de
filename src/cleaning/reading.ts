/** What is taken from a data set besides what programs are fed. */
import type { Objective } from "../compile/objective.js";
import { present } from "../present.js";
import { type Batch, type Dataset, isBatch, openDataset } from "../program/dataset.js";
import { type Prepared, prepare } from "../program/feeds.js";
import { floatsIn, numberArrayOf, type Tensor, tensorWith } from "../tensor/tensor.js";
import { SameInputs } from "./same-inputs.js";
import { type Targets, targetsOf } from "./targets.js";

/** Samples that are read at a time. */
const pieceSize = 256;

/** The samples, in pieces; `size` of them at most in each. */
export async function* piecesOf(
  { expected }: Pick<Objective, "expected">,
  dataset: Dataset,
  allowNotFinite: boolean,
  size = pieceSize,
): AsyncGenerator<Prepared, void, undefined> {
  const make = (batch: Batch) => prepare(batch, expected, allowNotFinite);
  const source = await openDataset(dataset, { expected, prepare: make, inPlace: true });
  try {
    yield* source.pieces(size);
  } finally {
    await source.close();
  }
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
  for await (const piece of piecesOf(objective, dataset, allowNotFinite)) {
    const { target } = piece.feeds;
    if (target) {
      objective.loss.validate?.(target, objective.output.shape);
      parts.push(target);
    }
    same.add(piece);
    samples += piece.samples;
  }
  return { samples, targets: targetsOf(objective, joined(parts)), sameAs: same.all };
}

/** All samples at once, in memory. */
export async function readWhole(objective: Objective, dataset: Dataset): Promise<Prepared> {
  const pieces: Prepared[] = [];
  for await (const piece of piecesOf(objective, dataset, false, Number.MAX_SAFE_INTEGER)) pieces.push(piece);
  return present(pieces[0]);
}

/** What a program takes that does not look at targets. */
export function withoutTarget(dataset: Dataset): Dataset {
  if (!isBatch(dataset)) return dataset;
  const { target: _, ...inputs } = dataset;
  return inputs;
}

/** Targets, one after another along the first axis. */
function joined(parts: readonly Tensor[]): Tensor | undefined {
  const [first] = parts;
  if (!first) return undefined;
  const data = new (numberArrayOf(first.dtype))(parts.reduce((sum, part) => sum + part.data.length, 0));
  let at = 0;
  for (const part of parts) {
    data.set(floatsIn(part), at);
    at += part.data.length;
  }
  return tensorWith(
    first.dtype,
    [parts.reduce((sum, { dims }) => sum + (dims[0] ?? 0), 0), ...first.dims.slice(1)],
    data,
  );
}
