/** What samples of a step come to, and what a step's parts have in common. */

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

/** What samples come to: a whole batch, or a part of one. */
export class ClippedBatch {
  readonly figures = new Figures();
  clipped = 0;
  /** Numbers in the data set of samples whose gradients are not finite. */
  readonly dropped: number[] = [];
  /** Samples whose gradients are within the norm. */
  within = 0;
  readonly #sums: Sums;

  /** @param sums memory that is used again: what it held before is valid no longer */
  constructor(sums: Sums) {
    this.#sums = sums;
    sums.clear();
  }

  /** Of the clipped gradients, by parameter. */
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

  /** Adds a part, which must be added once. */
  join(part: ClippedBatch): void {
    this.#sums.join(part.sums);
    this.figures.join(part.figures);
    this.clipped += part.clipped;
    this.within += part.within;
    this.dropped.push(...part.dropped);
  }
}

/** Norms by group. */
type Limits = Readonly<Record<string, number>>;

/** What all parts of a step have in common. */
export interface StepRun {
  /** Counted from 0. */
  readonly step: number;
  readonly parameters: Parameters;
  /** The norms to clip to, by group; the sensitivity of the sum is that of these norms. */
  readonly groups: Limits;
}
