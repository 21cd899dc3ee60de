/** What programs take as data. */
import type { Tensor, TypedArray } from "./tensor.js";

/**
 * Data for one input: a tensor, or a flat array whose dimensions follow from the input's shape. Numbers
 * are converted to the input's dtype where no information is lost (integers to int64, float64 to float32).
 */
export type Data = Tensor | TypedArray | readonly number[];

export function isTensor(data: Data): data is Tensor {
  return "dims" in data;
}

function copied<A>(array: A): A {
  const isArray = Array.isArray(array) || (ArrayBuffer.isView(array) && !(array instanceof DataView));
  return isArray ? (array as A & { slice(): A }).slice() : array;
}

/** The same elements in an array of its own. What is no data is left to whoever checks it. */
function copyOf<D extends Data>(data: D): D {
  if (typeof data !== "object" || data === null) return data;
  return isTensor(data) ? { ...data, data: copied(data.data) } : copied(data);
}

/** The same of each. */
export function copiesOf<D extends Data>(all: Readonly<Record<string, D>>): Record<string, D> {
  return Object.fromEntries(Object.entries(all).map(([name, data]) => [name, copyOf(data)]));
}
