/** Rows of an index, and the factors they are multiplied with. */

import { PergradError } from "../../errors.js";
import { option, sentence } from "../../sentence.js";
import { Cholesky } from "../../solvers/cholesky.js";
import { featuresDampingFor } from "../damping.js";
import { Table } from "../table.js";
import { type Block, numbersOf } from "./blocks.js";
import type { RowScalars } from "./shards.js";

/** The most rows used to measure a damping. */
export const mostLooked = 1500;

/** The inverse of the damped matrix of one model's rows. */
export class Solver {
  private constructor(
    private readonly cholesky: Cholesky,
    readonly factor: number,
  ) {}

  static of(gram: Float64Array, dims: number, damping: number, factor: number): Solver {
    const cholesky = Cholesky.of(gram, dims, damping);
    if (cholesky) return new Solver(cholesky, factor);
    throw new PergradError(
      "INVALID_ARGUMENT",
      sentence`The matrix of the index's features has no inverse with the damping ${damping}; give a larger ${option("damping")}.`,
    );
  }

  solve(row: Float64Array): Float64Array {
    return this.cholesky.solve(row);
  }
}

/** The damping for `samples` samples, measured on some of their rows. */
export async function dampingOf(
  rows: readonly Float64Array[],
  dims: number,
  samples: number,
  threads: number | undefined,
): Promise<number> {
  const phi = new Table(rows.length, dims);
  for (const [n, row] of rows.entries()) phi.put(n, 0, row);
  return featuresDampingFor(phi, samples, threads);
}

/**
 * The factors of each model's products with rows of a block: the scales; with `cosine`, divided by the norms of the
 * gradients.
 */
export function factorsOf({ scales, norms }: Pick<RowScalars, "scales" | "norms">, cosine: boolean): Float64Array {
  return Float64Array.from(scales, (scale, at) => {
    const norm = norms[at] ?? 0;
    return cosine ? (norm > 0 ? scale / norm : 0) : scale;
  });
}

/** The mean over the models of a sample's numbers. */
export function meanOf(values: Float32Array, sample: number, models: number): number {
  let sum = 0;
  for (let k = 0; k < models; k++) sum += values[sample * models + k] ?? 0;
  return sum / models;
}

/** The first `count` rows of one model in a block, times their scales. */
export function scaledRows({ features, scales, samples }: Block, model: number, count: number): Float64Array[] {
  const [, models = 1, dims = 0] = features.dims;
  const taken = Math.min(count, samples);
  const stored = features.data.subarray(0, taken * models * dims);
  const numbers = numbersOf(stored);
  return Array.from({ length: taken }, (_, n) => {
    const at = n * models + model;
    return Float64Array.from(numbers.subarray(at * dims, (at + 1) * dims), (x) => x * (scales[at] ?? 0));
  });
}
