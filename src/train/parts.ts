/**
 * Cuts a batch into parts, whose samples go through the program together. The cut must be stable: if one sample is left out, all
 * parts except its own must stay the same, to the last bit of their sums. So parts are ranges of sample numbers; a range that
 * holds too many samples is halved, and its halves again.
 */

/** How full parts are on average if there are several, as a share of the most that they hold. */
const usualShare = 3 / 4;

export class BatchParts {
  readonly #ranges: number;

  /**
   * @param samples the number of samples in the data set
   * @param expected the average number of samples in a batch
   * @param most the most samples in a part
   */
  constructor(
    private readonly samples: number,
    expected: number,
    private readonly most: number,
  ) {
    this.#ranges = expected <= most ? 1 : Math.ceil(expected / (most * usualShare));
  }

  /** @param batch sample numbers, each once, in any order */
  of(batch: Uint32Array): Uint32Array[] {
    const sorted = batch.slice().sort();
    const edges = Array.from({ length: this.#ranges + 1 }, (_, k) => Math.floor((k * this.samples) / this.#ranges));
    return edges.slice(1).flatMap((end, k) => this.#within(sorted, edges[k] as number, end));
  }

  /** The parts of the samples with numbers from `from` up to, but not including, `end`. */
  #within(sorted: Uint32Array, from: number, end: number): Uint32Array[] {
    const own = sorted.subarray(firstFrom(sorted, from), firstFrom(sorted, end));
    if (own.length <= this.most) return own.length === 0 ? [] : [own];
    const middle = Math.floor((from + end) / 2);
    return [...this.#within(own, from, middle), ...this.#within(own, middle, end)];
  }
}

/** The place of the first number that is not below `least`. */
function firstFrom(sorted: Uint32Array, least: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] as number) < least) low = middle + 1;
    else high = middle;
  }
  return low;
}
