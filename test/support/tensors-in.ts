import type { Tensor } from "../../src/index.js";

/** Every tensor in a result, by its place in it; numbers are tensors of no axes. */
export function tensorsIn(result: unknown, at = ""): [string, Tensor<"float32">][] {
  if (typeof result === "number") return [[at, { dtype: "float32", dims: [], data: Float32Array.of(result) }]];
  if (typeof result !== "object" || result === null) return [];
  if ("dtype" in result) return [[at, result as Tensor<"float32">]];
  return Object.entries(result).flatMap(([name, inner]) => tensorsIn(inner, `${at}/${name}`));
}
