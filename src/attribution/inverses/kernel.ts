/**
 * The exact inverse of the empirical Fisher matrix of all parameters, through the inner products K `[N, N]` of the
 * training samples' gradients G `[N, P]`. Since (G'G/N + d I)^-1 G' = N G' (K + N d I)^-1, it needs no matrix of the
 * parameters' size.
 */

import { PergradError } from "../../errors.js";
import type { Dataset } from "../../program/given-data.js";
import { option, sentence } from "../../sentence.js";
import { BlockedCholesky } from "../../solvers/blocked-cholesky.js";
import type { Cholesky } from "../../solvers/cholesky.js";
import { dot } from "../../solvers/vectors.js";
import type { Checkpoint } from "../checkpoint.js";
import { Table } from "../table.js";
import type { Inverse } from "./inverse.js";

/** Solves with (K + N d I), where K is the kernel. Throws INVALID_ARGUMENT. */
export async function kernelSolver(
  kernel: Table,
  samples: number,
  damping: number,
  threads: number | undefined,
): Promise<Cholesky> {
  const solver = await BlockedCholesky.of(kernel.data.slice(), kernel.rows, { added: samples * damping, threads });
  await solver?.release();
  if (solver) return solver.whole;
  throw new PergradError(
    "INVALID_ARGUMENT",
    sentence`The matrix of inner products plus the damping ${damping} is not positive definite in this precision; give a larger ${option("damping")}.`,
  );
}

export class ByKernel implements Inverse {
  private constructor(
    private readonly checkpoint: Checkpoint,
    private readonly train: Dataset,
    private readonly kernel: Table,
    private readonly solver: Cholesky,
  ) {}

  static async of(checkpoint: Checkpoint, train: Dataset, damping: number): Promise<ByKernel> {
    const [kernel = new Table(0, 0)] = await checkpoint.cross(train, train);
    return new ByKernel(
      checkpoint,
      train,
      kernel,
      await kernelSolver(kernel, kernel.rows, damping, checkpoint.threads),
    );
  }

  async scores(queries: Dataset): Promise<Table> {
    const [cross = new Table(0, 0)] = await this.checkpoint.cross(this.train, queries);
    const samples = this.kernel.rows;
    for (let m = 0; m < cross.rows; m++) {
      const row = this.solver.solve(cross.row(m));
      for (let n = 0; n < samples; n++) row[n] = samples * (row[n] ?? 0);
    }
    return cross;
  }

  async self(): Promise<Float64Array> {
    const samples = this.kernel.rows;
    return this.#columns((column, n) => samples * dot(column, this.kernel.row(n)));
  }

  async lengths(): Promise<Float64Array> {
    const samples = this.kernel.rows;
    return this.#columns((column) => {
      let sum = 0;
      for (let k = 0; k < samples; k++) sum += (column[k] ?? 0) * dot(column, this.kernel.row(k));
      return samples * Math.sqrt(Math.max(0, sum));
    });
  }

  /** f of each column of (K + N d I)^-1. */
  #columns(f: (column: Float64Array, n: number) => number): Float64Array {
    const samples = this.kernel.rows;
    const found = new Float64Array(samples);
    for (let n = 0; n < samples; n++) {
      const unit = new Float64Array(samples);
      unit[n] = 1;
      found[n] = f(this.solver.solve(unit), n);
    }
    return found;
  }
}
