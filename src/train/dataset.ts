/** All the data of a training, checked once, from which batches are taken. */

import type { Objective } from "../compile/objective.js";
import { PergradError } from "../errors.js";
import type { Expected } from "../graph/model.js";
import { prepare } from "../program/feeds.js";
import { samplesAt } from "../program/split.js";
import type { Data } from "../tensor/data.js";
import { copiesOf } from "../tensor/data.js";
import { isScaled } from "../tensor/scaled.js";
import type { Tensor } from "../tensor/tensor.js";
import type { TrainingSet } from "./types.js";

/** How the data is taken. */
export interface TrainingDataOptions {
  /** Names of inputs that are made anew for each batch, and are not in the data. */
  readonly made: readonly string[];
  readonly allowNotFinite: boolean;
  /** Whether the data's arrays stay as they are, so that they need not be copied. */
  readonly inPlace: boolean;
}

/** Where the samples of batches come from. */
export interface TrainingData {
  readonly samples: number;
  /** These samples, in this order; inputs that all samples share are returned whole. */
  take(samples: Uint32Array): Promise<Readonly<Record<string, Data>>>;
  /** Closes what was opened. */
  release(): Promise<void>;
}

/** The inputs that are not made anew for each batch. */
export function expectedOf({ expected }: Objective, made: readonly string[]): ReadonlyMap<string, Expected> {
  return new Map([...expected].filter(([name]) => !made.includes(name)));
}

/** Throws INVALID_ARGUMENT. */
export function requireSamples(samples: number): void {
  if (samples > 0) return;
  throw new PergradError("INVALID_ARGUMENT", "There are no samples to train on; give at least one.");
}

/** Data in memory. */
export class HeldData implements TrainingData {
  readonly samples: number;
  readonly #objective: Objective;
  readonly #tensors: Readonly<Record<string, Tensor>>;

  /** Throws MISSING_TENSOR, DTYPE_MISMATCH, SHAPE_MISMATCH, BATCH_MISMATCH, LABEL_OUT_OF_RANGE, INVALID_ARGUMENT. */
  constructor(objective: Objective, dataset: TrainingSet, { made, allowNotFinite, inPlace }: TrainingDataOptions) {
    const own = inPlace ? dataset : copiesOf(dataset);
    const { feeds, samples } = prepare(own, expectedOf(objective, made), allowNotFinite);
    requireSamples(samples);
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

  async take(samples: Uint32Array): Promise<Readonly<Record<string, Data>>> {
    return samplesAt(this.#tensors, this.#objective.expected, samples);
  }

  async release(): Promise<void> {}
}
