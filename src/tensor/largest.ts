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

  /**
   * Looks at more of a row's numbers. Of equal ones those that came first stay.
   * @param from the place of the first of them
   * @param except a place that does not count
   */
  take(row: number, from: number, values: Float32Array | Float64Array, except = -1): void {
    const start = row * this.count;
    const last = start + this.count - 1;
    for (let k = 0; k < values.length; k++) {
      const value = values[k] ?? 0;
      if (!(value > (this.values[last] ?? 0)) || from + k === except) continue;
      let at = last;
      for (; at > start && value > (this.values[at - 1] ?? 0); at--) {
        this.values[at] = this.values[at - 1] ?? 0;
        this.places[at] = this.places[at - 1] ?? 0;
      }
      this.values[at] = value;
      this.places[at] = from + k;
    }
  }
}
