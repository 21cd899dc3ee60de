/** The values that the weights had when a program was compiled. */

import { entryOf } from "../present.js";
import type { Tensors } from "../target/target.js";
import type { TypedArray } from "../tensor/tensor.js";

type Sampled = readonly (TypedArray[number] | undefined)[];

/** About as many elements of an array are compared; all of one that has no more. */
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

const stepOf = (data: TypedArray) => Math.max(1, Math.floor(data.length / most));

/** Every so many elements, and the last. */
function sampled(data: TypedArray): Sampled {
  const step = stepOf(data);
  return Array.from({ length: Math.ceil(data.length / step) + 1 }, (_, k) => data[Math.min(k * step, data.length - 1)]);
}

function isSampleOf(sample: Sampled, data: TypedArray): boolean {
  const step = stepOf(data);
  const last = data.length - 1;
  for (let k = 0; k < sample.length; k++) if (!Object.is(sample[k], data[Math.min(k * step, last)])) return false;
  return true;
}
