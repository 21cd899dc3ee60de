/** All the data of a training, checked once, from which batches are taken. */

import type { Objective } from "../compile/objective.js";
import { PergradError } from "../errors.js";
import { prepare } from "../program/feeds.js";
import { samplesAt } from "../program/split.js";
import type { Data } from "../tensor/data.js";
import { copiesOf } from "../tensor/data.js";
import { isScaled } from "../tensor/scaled.js";
import type { Tensor } from "../tensor/tensor.js";
import type { TrainingSet } from "./types.js";

interface TrainingDataOptions {
  /** Names of inputs that are made anew for each batch, and are not in the data. */
  readonly made: readonly string[];
  readonly allowNotFinite: boolean;
  /** Whether the data's arrays stay as they are, so that they need not be copied. */
  readonly inPlace: boolean;
}

export class TrainingData {
  readonly samples: number;
  readonly #objective: Objective;
  readonly #tensors: Readonly<Record<string, Tensor>>;

  /** Throws MISSING_TENSOR, DTYPE_MISMATCH, SHAPE_MISMATCH, BATCH_MISMATCH, LABEL_OUT_OF_RANGE, INVALID_ARGUMENT. */
  constructor(objective: Objective, dataset: TrainingSet, { made, allowNotFinite, inPlace }: TrainingDataOptions) {
    const expected = new Map([...objective.expected].filter(([name]) => !made.includes(name)));
    const own = inPlace ? dataset : copiesOf(dataset);
    const { feeds, samples } = prepare(own, expected, allowNotFinite);
    if (samples === 0)
      throw new PergradError("INVALID_ARGUMENT", "There are no samples to train on; give at least one.");
    const { target } = feeds;
    if (target) objective.loss.validate?.(target, objective.output.shape);
    this.#objective = objective;
    // Bytes with a scale stay bytes: each batch becomes numbers when it is run.
    this.#tensors = Object.fromEntries(
      Object.entries(feeds).map(([name, tensor]) => {
        const given = own[name];
        return [name, isScaled(given) ? given : tensor];
      }),
    );
    this.samples = samples;
  }

  /** These samples, in this order; what all samples share is whole. */
  take(samples: Uint32Array): Record<string, Data> {
    return samplesAt(this.#tensors, this.#objective.expected, samples);
  }
}
