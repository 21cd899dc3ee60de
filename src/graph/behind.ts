/** What is known about a value from the nodes that lead to it: its contents, or the value it is a reshaped view of. */
import { constantOf, nodeOf, type Value } from "./value.js";

/** Operators whose result has their first input's elements, in their order. */
export const reshapes: readonly string[] = ["Reshape", "Squeeze", "Unsqueeze", "Flatten"];

/** The value that a chain of reshapes starts from; the last reshape itself if that value is a leaf. */
export function beforeReshape(value: Value): Value {
  const node = nodeOf(value);
  const from = node && reshapes.includes(node.op) ? node.inputs[0] : null;
  return from && nodeOf(from) ? beforeReshape(from) : value;
}

/** The value whose elements this one has; only dtype and shape were changed on the way. */
export function sourceOf(value: Value): Value {
  const node = nodeOf(value);
  const keeps = node && ["Identity", "Cast", ...reshapes].includes(node.op);
  const before = keeps ? node.inputs[0] : null;
  return before ? sourceOf(before) : value;
}

/** The number that all elements of a constant equal; undefined if there is none. */
export function uniform(value: Value | null | undefined): number | undefined {
  const data = constantOf(value)?.data;
  if (!data || data.length === 0) return undefined;
  const first = data[0];
  return data.every((element: number | bigint) => element === first) ? Number(first) : undefined;
}

/** Whether a value is known to be all zeros. */
export function isZero(value: Value | null | undefined): boolean {
  const node = value ? nodeOf(value) : undefined;
  if (node?.op === "Expand" || node?.op === "Reshape") return isZero(node.inputs[0]);
  const data = constantOf(value)?.data;
  return data?.every((element: number | bigint) => Number(element) === 0) ?? false;
}
