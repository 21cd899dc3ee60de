/** Keeps the largest numbers of each row while numbers stream past. */

export class Largest {
  /** `[rows, count]`, the largest first: the index of each among all numbers of its row; -1 where the row had fewer. */
  readonly places: Int32Array;
  /** `[rows, count]` */
  readonly values: Float64Array;

  constructor(
    rows: number,
    private readonly count: number,
  ) {
    this.places = new Int32Array(rows * count).fill(-1);
    this.values = new Float64Array(rows * count).fill(Number.NEGATIVE_INFINITY);
  }

  /** The smallest number that is kept for a row; -Infinity while there is room. */
  least(row: number): number {
    return this.values[(row + 1) * this.count - 1] ?? 0;
  }

  /** Offers one more number of a row. Among equal numbers, the first to come stays. */
  offer(row: number, place: number, value: number): void {
    const start = row * this.count;
    let at = start + this.count - 1;
    if (!(value > (this.values[at] ?? 0))) return;
    for (; at > start && value > (this.values[at - 1] ?? 0); at--) {
      this.values[at] = this.values[at - 1] ?? 0;
      this.places[at] = this.places[at - 1] ?? 0;
    }
    this.values[at] = value;
    this.places[at] = place;
  }

  /**
   * Offers more numbers of a row, in order.
   * @param from the index of the first of them
   * @param except an index to skip
   */
  take(row: number, from: number, values: Float32Array | Float64Array, except = -1): void {
    for (let k = 0; k < values.length; k++) {
      const value = values[k] ?? 0;
      if (value > this.least(row) && from + k !== except) this.offer(row, from + k, value);
    }
  }
}
