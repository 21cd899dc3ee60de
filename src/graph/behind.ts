/** What a value is known to hold, or to be another shape of, by the nodes behind it. */
import { constantOf, nodeOf, type Value } from "./value.js";

/** Operators whose result has their first input's elements, in their order. */
export const reshapes: readonly string[] = ["Reshape", "Squeeze", "Unsqueeze", "Flatten"];

/** The value that is only seen in another shape; not where it is fed. */
export function beforeReshape(value: Value): Value {
  const node = nodeOf(value);
  const from = node && reshapes.includes(node.op) ? node.inputs[0] : null;
  return from && nodeOf(from) ? beforeReshape(from) : value;
}

/** What a value holds the elements of, changed in nothing but dtype and shape. */
export function sourceOf(value: Value): Value {
  const node = nodeOf(value);
  const keeps = node && ["Identity", "Cast", ...reshapes].includes(node.op);
  const before = keeps ? node.inputs[0] : null;
  return before ? sourceOf(before) : value;
}

/** The one element that a constant repeats. */
export function uniform(value: Value | null | undefined): number | undefined {
  const data = constantOf(value)?.data;
  if (!data || data.length === 0) return undefined;
  const first = data[0];
  return data.every((element: number | bigint) => element === first) ? Number(first) : undefined;
}

/** Whether a value is all zeros, for certain. */
export function isZero(value: Value | null | undefined): boolean {
  const node = value ? nodeOf(value) : undefined;
  if (node?.op === "Expand" || node?.op === "Reshape") return isZero(node.inputs[0]);
  const data = constantOf(value)?.data;
  return data?.every((element: number | bigint) => Number(element) === 0) ?? false;
}
