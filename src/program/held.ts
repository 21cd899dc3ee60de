/** The values that the weights had when a program was compiled. */

import { entryOf } from "../present.js";
import type { Tensors } from "../target/target.js";
import type { TypedArray } from "../tensor/tensor.js";

/** Some elements of an array, and where they stand. */
interface Sample {
  readonly length: number;
  readonly places: readonly number[];
  readonly elements: readonly (TypedArray[number] | undefined)[];
}

/** At most one more than so many elements of an array are compared: all of one that has no more. */
const most = 1024;

/**
 * Values that the runtime has taken in. The arrays are the caller's, who may write into them, as an optimizer does in
 * each step. To compare all elements before each run would take as long as the runtime gains by holding them; elements
 * spread evenly over each array tell whether it was written anew.
 */
export class HeldValues {
  readonly #sampled: ReadonlyMap<string, Sample>;

  private constructor(sampled: ReadonlyMap<string, Sample>) {
    this.#sampled = sampled;
  }

  static readonly none = new HeldValues(new Map());

  /** Values as they are now. */
  static of(values: Tensors): HeldValues {
    return new HeldValues(new Map(Object.entries(values).map(([name, { data }]) => [name, sampleOf(data)])));
  }

  /** Those of them that are called so. */
  only(names: ReadonlySet<string>): HeldValues {
    return new HeldValues(new Map([...this.#sampled].filter(([name]) => names.has(name))));
  }

  /** Whether none of the arrays was written anew. */
  match(now: Tensors): boolean {
    for (const [name, kept] of this.#sampled) if (!isOf(kept, entryOf(now, name).data)) return false;
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
function placesIn(length: number): number[] {
  const stretches = Math.min(length, most);
  const places = Array.from({ length: stretches }, (_, k) => {
    const from = Math.floor((k * length) / stretches);
    const to = Math.floor(((k + 1) * length) / stretches);
    return from + Math.floor((to - from) * ((k * turn) % 1));
  });
  return length > 0 ? [...places, length - 1] : places;
}

function sampleOf(data: TypedArray): Sample {
  const places = placesIn(data.length);
  return { length: data.length, places, elements: places.map((place) => data[place]) };
}

/** Whether an array has the elements of a sample: before each run, so that the places are not found anew. */
function isOf({ length, places, elements }: Sample, data: TypedArray): boolean {
  return data.length === length && places.every((place, k) => Object.is(elements[k], data[place]));
}
