/** Sums over the microbatches of a step, in float64. */
import type { ByParameter } from "../plan/wanted.js";
import { sizeOf } from "../tensor.js";
import type { Parameters } from "./optimiser.js";

export type Float64Sums = Map<string, Float64Array>;

export function zeroSums(parameters: Parameters): Float64Sums {
  return new Map(Object.entries(parameters).map(([name, { dims }]) => [name, new Float64Array(sizeOf(dims))]));
}

export function addTo(sums: Float64Sums, parts: ByParameter): void {
  for (const [name, sum] of sums) {
    const part = parts[name]?.data ?? new Float32Array();
    for (let i = 0; i < part.length; i++) sum[i] = (sum[i] as number) + (part[i] as number);
  }
}

export function allFinite(parts: ByParameter): boolean {
  // x * 0 is NaN exactly for what is not finite.
  let probe = 0;
  for (const { data } of Object.values(parts)) for (let i = 0; i < data.length; i++) probe += (data[i] as number) * 0;
  return probe === 0;
}

/** Gradients of the parameters' shapes. */
export function asGradients(parameters: Parameters, data: ReadonlyMap<string, Float32Array>): Parameters {
  const entries = Object.entries(parameters).flatMap(([name, { dims }]) => {
    const own = data.get(name);
    return own ? [[name, { dtype: "float32" as const, dims, data: own }]] : [];
  });
  return Object.fromEntries(entries);
}
