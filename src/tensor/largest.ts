/** The largest numbers of rows, kept while others pass by. */

export class Largest {
  /** `[rows, count]`, the largest first: the place of each among all that passed; -1 where there were fewer. */
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

  /** The least of those that are kept of a row; -Infinity while there is room. */
  least(row: number): number {
    return this.values[(row + 1) * this.count - 1] ?? 0;
  }

  /** Looks at one more of a row's numbers. Of equal ones those that came first stay. */
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
   * Looks at more of a row's numbers, one after another.
   * @param from the place of the first of them
   * @param except a place that does not count
   */
  take(row: number, from: number, values: Float32Array | Float64Array, except = -1): void {
    for (let k = 0; k < values.length; k++) {
      const value = values[k] ?? 0;
      if (value > this.least(row) && from + k !== except) this.offer(row, from + k, value);
    }
  }
}
