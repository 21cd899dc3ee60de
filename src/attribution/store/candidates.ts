/** Samples that may have one of the largest scores for some query, while only bounds on their scores are known. */
import { nth } from "../../present.js";
import { Largest } from "../../tensor/largest.js";

/** The bounds on a sample's score. */
export interface Candidate {
  readonly sample: number;
  readonly lower: number;
  readonly upper: number;
}

interface List {
  samples: Int32Array;
  lowers: Float64Array;
  uppers: Float64Array;
  count: number;
}

/** Samples are offered in ascending order, so that among equal scores those of earlier samples come first. */
export class Candidates {
  /**
   * The number that a later sample's upper bound must exceed, `[Q]`: the k-th largest lower bound or score, if k are
   * looked for.
   */
  readonly bars: Float64Array;
  readonly #lists: List[];
  readonly #lowest: Largest;
  #total = 0;

  constructor(queries: number, top: number) {
    this.bars = new Float64Array(queries).fill(Number.NEGATIVE_INFINITY);
    this.#lowest = new Largest(queries, top);
    this.#lists = Array.from({ length: queries }, () => emptyList(64));
  }

  /** Of all queries together. */
  get total(): number {
    return this.#total;
  }

  /** A bound may be NaN if nothing is known about the score. */
  offer(query: number, sample: number, lower: number, upper: number): void {
    if (upper <= (this.bars[query] ?? 0)) return;
    let list = nth(this.#lists, query);
    if (list.count === list.samples.length) {
      list = grown(list);
      this.#lists[query] = list;
    }
    list.samples[list.count] = sample;
    list.lowers[list.count] = lower;
    list.uppers[list.count] = upper;
    list.count++;
    this.#total++;
    this.#lowest.offer(query, sample, lower);
    this.raise(query, this.#lowest.least(query));
  }

  /** Raises a query's bar: enough samples are known to have at least this score. */
  raise(query: number, bar: number): void {
    if (bar > (this.bars[query] ?? 0)) this.bars[query] = bar;
  }

  /** Drops those that cannot be among the largest. */
  compact(): void {
    this.#total = 0;
    for (const [query, list] of this.#lists.entries()) {
      const bar = this.bars[query] ?? 0;
      let kept = 0;
      for (let k = 0; k < list.count; k++) {
        // An equal one may have come earlier. NaN is not less.
        if ((list.uppers[k] ?? 0) < bar) continue;
        list.samples[kept] = list.samples[k] ?? 0;
        list.lowers[kept] = list.lowers[k] ?? 0;
        list.uppers[kept] = list.uppers[k] ?? 0;
        kept++;
      }
      list.count = kept;
      this.#total += kept;
    }
  }

  /** The samples with the largest lower bounds for each query, each once, in ascending order. */
  best(): Int32Array {
    return distinct(this.#lowest.places.filter((place) => place >= 0));
  }

  /** All samples, each once, in ascending order. */
  samples(): Int32Array {
    const all = new Int32Array(this.#total);
    let at = 0;
    for (const { samples, count } of this.#lists) {
      all.set(samples.subarray(0, count), at);
      at += count;
    }
    return distinct(all);
  }

  /** A query's candidates, in ascending order of samples. */
  *of(query: number): Generator<Candidate> {
    const { samples, lowers, uppers, count } = nth(this.#lists, query);
    for (let k = 0; k < count; k++) yield { sample: samples[k] ?? 0, lower: lowers[k] ?? 0, upper: uppers[k] ?? 0 };
  }
}

function emptyList(room: number): List {
  return { samples: new Int32Array(room), lowers: new Float64Array(room), uppers: new Float64Array(room), count: 0 };
}

function grown(list: List): List {
  const found = emptyList(2 * list.samples.length);
  found.samples.set(list.samples);
  found.lowers.set(list.lowers);
  found.uppers.set(list.uppers);
  return { ...found, count: list.count };
}

function distinct(samples: Int32Array): Int32Array {
  return Int32Array.from(samples)
    .sort()
    .filter((sample, k, all) => k === 0 || sample !== all[k - 1]);
}
