/** The values that the weights had when a program was compiled. */

import { entryOf } from "../present.js";
import type { Tensors } from "../target/target.js";
import type { TypedArray } from "../tensor/tensor.js";

type Sampled = readonly (TypedArray[number] | undefined)[];

/** At most one more than so many elements of an array are compared: all of one that has no more. */
const most = 1024;

/**
 * Values that the runtime has taken in. The arrays are the caller's, who may write into them, as an optimizer does in
 * each step. To compare all elements before each run would take as long as the runtime gains by holding them; elements
 * spread evenly over each array tell whether it was written anew.
 */
export class HeldValues {
  readonly #sampled: ReadonlyMap<string, Sampled>;

  private constructor(sampled: ReadonlyMap<string, Sampled>) {
    this.#sampled = sampled;
  }

  static readonly none = new HeldValues(new Map());

  /** Values as they are now. */
  static of(values: Tensors): HeldValues {
    return new HeldValues(new Map(Object.entries(values).map(([name, { data }]) => [name, sampled(data)])));
  }

  /** Those of them that are called so. */
  only(names: ReadonlySet<string>): HeldValues {
    return new HeldValues(new Map([...this.#sampled].filter(([name]) => names.has(name))));
  }

  /** Whether none of the arrays was written anew. */
  match(now: Tensors): boolean {
    for (const [name, kept] of this.#sampled) if (!isSampleOf(kept, entryOf(now, name).data)) return false;
    return true;
  }

  /** The tensors that are not among them. */
  absentFrom(all: Tensors): Tensors {
    return Object.fromEntries(Object.entries(all).filter(([name]) => !this.#sampled.has(name)));
  }
}

/** How far the golden ratio turns in each step, which no period of rows and columns follows. */
const turn = (Math.sqrt(5) - 1) / 2;

/**
 * One element of each of so many stretches that the array divides into, each at another place of its stretch, and the
 * first and last of all. At the same place they would be a single column of a matrix of 1,024 rows, which may stay as it
 * is in every step: of a pixel that is always 0.
 */
function* places(length: number): Generator<number> {
  const stretches = Math.min(length, most);
  for (let k = 0; k < stretches; k++) {
    const [from, to] = [k, k + 1].map((each) => Math.floor((each * length) / stretches)) as [number, number];
    yield from + Math.floor((to - from) * ((k * turn) % 1));
  }
  yield length - 1;
}

function sampled(data: TypedArray): Sampled {
  return Array.from(places(data.length), (place) => data[place]);
}

function isSampleOf(sample: Sampled, data: TypedArray): boolean {
  let k = 0;
  for (const place of places(data.length)) if (!Object.is(sample[k++], data[place])) return false;
  return k === sample.length;
}
