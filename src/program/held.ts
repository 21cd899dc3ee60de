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

/** The most elements of an array that are compared, not counting the last one. */
const most = 1024;

/**
 * Values that the runtime holds. The arrays belong to the caller, who may write into them, as an optimizer does in each step.
 * Comparing all elements before each run would take as long as holding them saves. So only elements spread evenly over each
 * array are compared.
 */
export class HeldValues {
  readonly #sampled: ReadonlyMap<string, Sample>;

  private constructor(sampled: ReadonlyMap<string, Sample>) {
    this.#sampled = sampled;
  }

  static readonly none = new HeldValues(new Map());

  /** Values as they are now. */
  static of(values: Tensors): HeldValues {
    // Many arrays of a model have the same length.
    const places = new Map<number, readonly number[]>();
    const sampled = new Map<string, Sample>();
    for (const [name, { data }] of Object.entries(values)) {
      const { length } = data;
      const own = places.get(length) ?? placesIn(length);
      places.set(length, own);
      sampled.set(name, { length, places: own, elements: own.map((place) => data[place]) });
    }
    return new HeldValues(sampled);
  }

  /** The values with these names. */
  only(names: ReadonlySet<string>): HeldValues {
    return new HeldValues(new Map([...this.#sampled].filter(([name]) => names.has(name))));
  }

  /** Whether the arrays seem unchanged. */
  match(now: Tensors): boolean {
    for (const [name, kept] of this.#sampled) if (!isOf(kept, entryOf(now, name).data)) return false;
    return true;
  }

  /** The tensors that are not among them. */
  absentFrom(all: Tensors): Tensors {
    return Object.fromEntries(Object.entries(all).filter(([name]) => !this.#sampled.has(name)));
  }
}

/** A step of the golden ratio, which has no period in common with rows and columns. */
const turn = (Math.sqrt(5) - 1) / 2;

/**
 * Divides the array into stretches and takes one element of each, at a different place in each, and the last of all. At equal
 * places the elements of a matrix of 1,024 rows would be a single column, which may never change: that of a pixel that is always 0.
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

/** Whether an array has the elements of a sample. This runs before each run: so the sample keeps its places, and a loop compares. */
function isOf({ length, places, elements }: Sample, data: TypedArray): boolean {
  if (data.length !== length) return false;
  for (let k = 0; k < places.length; k++) if (!Object.is(elements[k], data[places[k] ?? 0])) return false;
  return true;
}
