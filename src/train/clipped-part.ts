/** The clipped sum of a batch, or of a part of it, and what the parts of a step have in common. */

import { entryOf } from "../present.js";
import type { Data } from "../tensor/data.js";
import type { clippedSum } from "../wants/clipping.js";
import type { FloatTensor, Results, Want } from "../wants/want.js";
import { Figures } from "./figures.js";
import type { Parameters } from "./optimizer.js";
import type { Sums } from "./sums.js";

/** The wants of a step's program. */
export interface Wanted {
  readonly clipped: ReturnType<typeof clippedSum>;
  readonly losses: Want<FloatTensor>;
  readonly scores: Want<FloatTensor | null>;
  readonly [name: string]: Want<unknown>;
}

/** The clipped sum of a batch, or of a part of it, with figures about its samples. */
export class ClippedBatch {
  readonly figures = new Figures();
  clipped = 0;
  /** The samples whose gradients are not finite, by their numbers in the data set. */
  readonly dropped: number[] = [];
  /** The number of samples whose gradients are within the norm. */
  within = 0;
  readonly #sums: Sums;

  /** @param sums memory to use again: its old content is lost */
  constructor(sums: Sums) {
    this.#sums = sums;
    sums.clear();
  }

  /** The sums of the clipped gradients, by parameter. */
  get sums(): ReadonlyMap<string, Float64Array> {
    return this.#sums.values;
  }

  /** Adds samples whose gradients were clipped to `limits`. */
  add({ clipped, losses, scores }: Results<Wanted>, target: Data | undefined, limits: Limits): void {
    this.#sums.add(clipped.sum);
    this.figures.add(losses, scores, target);
    const groups = Object.entries(clipped.groups);
    for (let n = 0; n < clipped.norms.data.length; n++) {
      const within = groups.every(([name, { data }]) => (data[n] as number) <= entryOf(limits, name));
      if (within) this.within++;
      else this.clipped++;
    }
  }

  /** Adds a part. Each part must be added once. */
  join(part: ClippedBatch): void {
    this.#sums.join(part.sums);
    this.figures.join(part.figures);
    this.clipped += part.clipped;
    this.within += part.within;
    this.dropped.push(...part.dropped);
  }
}

/** Clip norms by group. */
type Limits = Readonly<Record<string, number>>;

/** What all parts of a step have in common. */
export interface StepRun {
  /** Counted from 0. */
  readonly step: number;
  readonly parameters: Parameters;
  /** The norms to clip to, by group; the sensitivity of the sum is that of these norms. */
  readonly groups: Limits;
}
