/**
 * A batch in parts that go through the program together. Which samples do must not depend on much: where one sample is
 * left out, all parts but those that it would be in stay what they are, to the last bit of their sums. So the parts are
 * ranges of sample numbers, and a range that holds too many samples is halved, and its halves again.
 */

/** Of the most that a part holds, what it holds on average where there are several. */
const usualShare = 3 / 4;

export class Parts {
  readonly #ranges: number;

  /**
   * @param samples of the data set
   * @param expected samples of a batch, on average
   * @param most samples of a part
   */
  constructor(
    private readonly samples: number,
    expected: number,
    private readonly most: number,
  ) {
    this.#ranges = expected <= most ? 1 : Math.ceil(expected / (most * usualShare));
  }

  /** @param batch numbers of samples, each once, in any order */
  of(batch: Uint32Array): Uint32Array[] {
    const sorted = batch.slice().sort();
    const edges = Array.from({ length: this.#ranges + 1 }, (_, k) => Math.floor((k * this.samples) / this.#ranges));
    return edges.slice(1).flatMap((end, k) => this.#within(sorted, edges[k] as number, end));
  }

  /** The samples numbered `from` to before `end`, of sorted ones. */
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
