/** Vectors over all parameters, as one array in float64: what solvers compute with. */
import { PergradError } from "../errors.js";
import { bindShape } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import { meant } from "../meant.js";
import { random } from "../tensor/random.js";
import { sizeOf, type Tensor } from "../tensor/tensor.js";
import type { ByParameter } from "../wants/want.js";

/** Where each parameter lies in a vector. */
export class Space {
  readonly #parts: readonly { readonly name: string; readonly dims: readonly number[]; readonly start: number }[];
  readonly size: number;

  constructor(parameters: ReadonlyMap<string, Value>) {
    let size = 0;
    this.#parts = [...parameters].map(([name, { shape }]) => {
      const dims = bindShape(shape, 0);
      const part = { name, dims, start: size };
      size += sizeOf(dims);
      return part;
    });
    this.size = size;
  }

  /** In float32, by parameter. */
  split(vector: Float64Array): ByParameter {
    return Object.fromEntries(
      this.#parts.map(({ name, dims, start }) => {
        const data = Float32Array.from(vector.subarray(start, start + sizeOf(dims)));
        return [name, { dtype: "float32" as const, dims, data }];
      }),
    );
  }

  /** Of a parameter that is not given, 0. Throws MISSING_TENSOR, SHAPE_MISMATCH, INVALID_ARGUMENT. */
  join(given: Readonly<Record<string, Tensor>>): Float64Array {
    this.requireKnown(Object.keys(given));
    const vector = new Float64Array(this.size);
    for (const { name, dims, start } of this.#parts) {
      const tensor = given[name];
      if (!tensor) continue;
      if (tensor.dims.length !== dims.length || tensor.dims.some((dim, axis) => dim !== dims[axis]))
        throw new PergradError(
          "SHAPE_MISMATCH",
          `The vector for "${name}" is [${tensor.dims.join(", ")}], but the parameter is [${dims.join(", ")}]; give it the same shape.`,
        );
      vector.set(Array.from<number | bigint, number>(tensor.data, Number), start);
    }
    return vector;
  }

  /**
   * Gradients of several samples, `[N, ...shape]` each, as rows: `[N, size]`. Of a parameter that has none, which only steps
   * without a derivative lead to, they are 0.
   */
  rows(gradients: Readonly<Record<string, Tensor<"float32">>>, samples: number): Float32Array {
    const rows = new Float32Array(samples * this.size);
    for (const { name, dims, start } of this.#parts) {
      const data = gradients[name]?.data;
      const own = sizeOf(dims);
      if (!data) continue;
      for (let n = 0; n < samples; n++) rows.set(data.subarray(n * own, (n + 1) * own), n * this.size + start);
    }
    return rows;
  }

  /** Rows `[N, size]` by parameter, `[N, ...shape]` each. */
  apart(rows: Float32Array): ByParameter {
    const samples = rows.length / this.size;
    return Object.fromEntries(
      this.#parts.map(({ name, dims, start }) => {
        const own = sizeOf(dims);
        const data = new Float32Array(samples * own);
        for (let n = 0; n < samples; n++) {
          const from = n * this.size + start;
          data.set(rows.subarray(from, from + own), n * own);
        }
        return [name, { dtype: "float32" as const, dims: [samples, ...dims], data }];
      }),
    );
  }

  /** Throws MISSING_TENSOR. */
  requireKnown(given: readonly string[]): void {
    const names = this.#parts.map(({ name }) => name);
    const unknown = given.find((name) => !names.includes(name));
    if (unknown !== undefined)
      throw new PergradError(
        "MISSING_TENSOR",
        `A vector is given for "${unknown}", which is not a parameter here${meant(unknown, names) || "; leave it out."}`,
      );
  }

  /** So many vectors of zeros, by parameter, `[count, ...shape]`. */
  empty(count: number): ByParameter {
    return Object.fromEntries(
      this.#parts.map(({ name, dims }) => {
        const data = new Float32Array(count * sizeOf(dims));
        return [name, { dtype: "float32" as const, dims: [count, ...dims], data }];
      }),
    );
  }

  /** Of independent normal numbers. */
  random(seed: number): Float64Array {
    return Float64Array.from(random(seed).normals(this.size, 1));
  }
}

export function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let k = 0; k < a.length; k++) sum += (a[k] ?? 0) * (b[k] ?? 0);
  return sum;
}

export function norm(a: Float64Array): number {
  return Math.sqrt(dot(a, a));
}

/** a += factor b */
export function addTo(a: Float64Array, b: Float64Array, factor: number): void {
  for (let k = 0; k < a.length; k++) a[k] = (a[k] ?? 0) + factor * (b[k] ?? 0);
}

/** Less all that lies along an orthonormal basis; twice is enough (Parlett 1980). */
export function orthogonalise(vector: Float64Array, basis: readonly Float64Array[]): void {
  for (let round = 0; round < 2; round++) for (const each of basis) addTo(vector, each, -dot(vector, each));
}

export function scaled(a: Float64Array, factor: number): Float64Array {
  return a.map((x) => factor * x);
}

/** NaN of nothing. */
export function meanOf(numbers: ArrayLike<number>): number {
  let sum = 0;
  for (let k = 0; k < numbers.length; k++) sum += numbers[k] ?? 0;
  return sum / numbers.length;
}

/** Without bias: NaN of fewer than two. */
export function varianceOf(numbers: ArrayLike<number>): number {
  const mean = meanOf(numbers);
  let sum = 0;
  for (let k = 0; k < numbers.length; k++) sum += ((numbers[k] ?? 0) - mean) ** 2;
  return numbers.length < 2 ? Number.NaN : sum / (numbers.length - 1);
}
