/** Rows of an index, and what they are multiplied with. */
import { invalidArgument } from "../../arguments.js";
import { PergradError } from "../../errors.js";
import { Cholesky } from "../../solvers/cholesky.js";
import { featuresDamping } from "../damping.js";
import { Table } from "../table.js";
import type { Shard } from "./shards.js";

/** Rows that a damping is measured on. */
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
      `The matrix of the index's features has no inverse with the damping ${damping}; give a larger damping.`,
    );
  }

  solve(row: Float64Array): Float64Array {
    return this.cholesky.solve(row);
  }
}

/** The damping for so many samples, measured on some of their rows. */
export async function dampingOf(rows: readonly Float64Array[], dims: number, samples: number): Promise<number> {
  const phi = new Table(rows.length, dims);
  for (const [n, row] of rows.entries()) phi.put(n, 0, row);
  return ((await featuresDamping(phi)) * samples) / Math.max(1, rows.length);
}

/** Multiplies rows with their scales; with `cosine` divides them by the norms of the gradients. */
export function scale({ features, scales, norms }: Shard, dims: number, models: number, cosine: boolean): void {
  for (let at = 0; at < features.length; at += dims) {
    const place = at / dims;
    const norm = norms[place] ?? 0;
    const own = scales[place] ?? 0;
    const factor = cosine ? (norm > 0 ? own / norm : 0) : own;
    for (let k = at; k < at + dims; k++) features[k] = factor * (features[k] ?? 0);
  }
  if (models < 1) throw invalidArgument("An index has at least one model; give one.");
}

/** The mean over the models of what a sample has. */
export function meanOf(values: Float32Array, sample: number, models: number): number {
  let sum = 0;
  for (let k = 0; k < models; k++) sum += values[sample * models + k] ?? 0;
  return sum / models;
}
