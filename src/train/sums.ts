/** Sums over the microbatches of a step, in float64. */
import { present } from "../present.js";
import { areFinite } from "../tensor/finite.js";
import { addTo, joinTo, times } from "../tensor/float64-sums.js";
import { sizeOf } from "../tensor/tensor.js";
import type { ByParameter } from "../wants/wanted.js";
import type { Parameters } from "./optimizer.js";

/** Sums that restart at each step, in the same memory. */
export class Sums {
  readonly #sums: ReadonlyMap<string, Float64Array>;

  constructor(parameters: Parameters) {
    const entries = Object.entries(parameters);
    this.#sums = new Map(entries.map(([name, { dims }]) => [name, new Float64Array(sizeOf(dims))]));
  }

  /** Restarts. */
  clear(): void {
    for (const sum of this.#sums.values()) sum.fill(0);
  }

  add(parts: ByParameter): void {
    for (const [name, sum] of this.#sums) {
      const part = parts[name]?.data;
      if (part) addTo(sum, part);
    }
  }

  /** Adds other sums of the same parameters. */
  join(parts: ReadonlyMap<string, Float64Array>): void {
    for (const [name, sum] of this.#sums) joinTo(sum, present(parts.get(name)));
  }

  /** By parameter; `clear` and `add` change them. */
  get values(): ReadonlyMap<string, Float64Array> {
    return this.#sums;
  }

  /** Whether no sum holds NaN or infinity. */
  get finite(): boolean {
    return [...this.#sums.values()].every(areFinite);
  }
}

/** Each sum times a factor. */
export function scaled(sums: ReadonlyMap<string, Float64Array>, factor: number): Map<string, Float32Array> {
  return new Map([...sums].map(([name, sum]) => [name, times(sum, factor)]));
}

/** Gradients of the parameters' shapes. */
export function asGradients(parameters: Parameters, data: ReadonlyMap<string, Float32Array>): Parameters {
  const entries = Object.entries(parameters).flatMap(([name, { dims }]) => {
    const own = data.get(name);
    return own ? [[name, { dtype: "float32" as const, dims, data: own }]] : [];
  });
  return Object.fromEntries(entries);
}
