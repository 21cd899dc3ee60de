/**
 * Computations for each of many directions: the elements of an output, or those of parameters. A few directions at a
 * time become one more axis of the graph for one direction (vmap); if there are more, a loop (a Scan) goes through
 * them. So graph and memory keep the size for a few directions, however many there are.
 */

import { PergradError } from "../errors.js";
import { substitute } from "../graph/body.js";
import { factorOf } from "../graph/dim.js";
import { leaf, type Value } from "../graph/value.js";
import { elementFactor } from "../ops/build.js";
import { addOperators, build } from "../ops/registry.js";
import { scan } from "../ops/rules/scan.js";
import { scanning } from "../ops/rules/scanning.js";
import { nth, present } from "../present.js";
import type { DType } from "../tensor/tensor.js";
import { batchOver } from "./vmap.js";

/** The largest number of directions taken at a time, and of numbers in each sample's results. */
const maxDirections = 32;
const mostNumbers = 2 ** 22;

/** Directions of `size` elements. Unless `rows` gives others, each is 1 at one place and 0 at the others. */
export interface Directions {
  readonly size: number;
  /** The places to take, in order. Default: all. */
  readonly places?: readonly number[] | undefined;
  /** `[count, size]`: one direction per row. */
  readonly rows?: Value;
  readonly dtype: DType;
  /** The results for one direction `[size]`. */
  of(direction: Value): readonly Value[];
}

/** The results for all directions in order, `[size, ...]`. */
export function forEachDirection(directions: Directions): Value[] {
  const each = new Each(directions);
  if (each.atOnce >= each.count) return each.from(null);
  const { stacked } = each.loop([], (first) => ({ states: [], results: each.from(first) }));
  return stacked.map((value) => {
    const all = build.reshape(value, [each.steps * each.atOnce, ...value.shape.slice(2)]);
    return build.slice(all, 0, 0, each.count);
  });
}

/** Sums a value over some directions, `[count, ...]`: the value itself, or something made of it. */
export type SumOver = (all: Value) => Value;

const itself: SumOver = (all) => build.sum(all, [0]);

/** The sums of the results over all directions; `sums` says, for each result, what is summed. */
export function sumOverDirections(directions: Directions, sums: readonly (SumOver | undefined)[] = []): Value[] {
  const each = new Each(directions);
  const summed = (first: Value | null) => each.from(first).map((value, k) => (sums[k] ?? itself)(value));
  if (each.atOnce >= each.count) return summed(null);
  const initial = summed(null).map(({ shape, dtype }) => build.zeros(shape, dtype));
  const { states } = each.loop(initial, (first, before) => ({
    states: summed(first).map((value, k) => build.add(nth(before, k), value)),
    results: [],
  }));
  return [...states];
}

class Each {
  readonly #direction: Value;
  readonly #size: number;
  readonly #rows: Value | undefined;
  readonly #places: readonly number[] | undefined;
  /** How many directions there are. */
  readonly count: number;
  /** The results for one direction. */
  readonly results: readonly Value[];
  readonly atOnce: number;

  constructor({ size, places, rows, dtype, of }: Directions) {
    this.#size = size;
    this.#rows = rows;
    this.#places = places;
    this.count = rows ? factorOf(rows.shape[0] ?? 0) : (places?.length ?? size);
    this.#direction = leaf("direction", { dtype, shape: [size] }, { kind: "input" });
    this.results = of(this.#direction);
    const numbers = this.results.reduce((total, { shape }) => total + elementFactor(shape), 0);
    const most = Math.min(this.count, maxDirections, Math.max(1, Math.floor(mostNumbers / numbers)));
    this.atOnce = most > 1 && this.#takesMore(most) ? most : 1;
  }

  get steps(): number {
    return Math.ceil(this.count / this.atOnce);
  }

  /** Whether all operators on the way accept one more axis. */
  #takesMore(count: number): boolean {
    const { dtype } = this.#direction;
    try {
      batchOver(
        this.results,
        new Map([[this.#direction, leaf("", { dtype, shape: [count, this.#size] }, { kind: "input" })]]),
      );
      return true;
    } catch (error) {
      if (error instanceof PergradError && error.code === "UNSUPPORTED_OP") return false;
      throw error;
    }
  }

  /** The results for `atOnce` directions, starting with this one, `[atOnce, ...]`; directions past the last are 0. */
  from(first: Value | null): Value[] {
    const directions = this.#directions(first);
    if (this.atOnce > 1) {
      return batchOver(this.results, new Map([[this.#direction, directions]])).map(
        (value, k) => value ?? this.#spread(nth(this.results, k)),
      );
    }
    const one = new Map([[this.#direction, build.reshape(directions, [this.#size])]]);
    return substitute(this.results, one).map((value) => this.#spread(value));
  }

  #spread(value: Value): Value {
    return build.expand(build.unsqueeze(value, [0]), [this.atOnce, ...value.shape]);
  }

  /** `[atOnce, size]` */
  #directions(first: Value | null): Value {
    if (this.#rows) return this.#given(this.#rows, first);
    const places = build.ints([...Array(this.#size).keys()], [1, this.#size]);
    const own = this.#own(first);
    return build.cast(build.equal(own, places), this.#direction.dtype);
  }

  /**
   * The places of the directions, starting with this one, `[atOnce, 1]`; past the last, a place that does not exist.
   */
  #own(first: Value | null): Value {
    const numbers = build.ints([...Array(this.atOnce).keys()], [this.atOnce, 1]);
    if (!this.#places) return first ? build.add(numbers, first) : numbers;
    if (!first) return build.ints([...this.#places], [this.atOnce, 1]);
    const none = Array<number>(this.steps * this.atOnce - this.count).fill(-1);
    return build.gather(build.ints([...this.#places, ...none]), build.add(numbers, first), 0);
  }

  /** The given rows, starting with this one; past the last, 0. */
  #given(rows: Value, first: Value | null): Value {
    if (!first) return rows;
    const padded = build.pad(rows, [0, 0], [this.steps * this.atOnce - this.count, 0]);
    const own = build.ints([...Array(this.atOnce).keys()]);
    return build.gather(padded, build.add(own, first), 0);
  }

  loop(
    initial: readonly Value[],
    step: (
      first: Value,
      states: readonly Value[],
    ) => { readonly states: readonly Value[]; readonly results: readonly Value[] },
  ) {
    const scanned = [build.ints(Array.from({ length: this.steps }, (_, k) => k * this.atOnce))];
    addOperators(scanning);
    return scan(build, { initial, scanned }, (states, [first]) => step(present(first), states));
  }
}
