/**
 * The exact inverse of the generalised Gauss-Newton matrix of all parameters, through the inner products K of its
 * pseudo-gradients U: (U'U/N + d I)^-1 = (I - U'(K + N d I)^-1 U)/d.
 */

import { invalidArgument } from "../../arguments.js";
import { PergradError } from "../../errors.js";
import type { Dataset } from "../../program/given-data.js";
import { option, sentence } from "../../sentence.js";
import type { Cholesky } from "../../solvers/cholesky.js";
import { dot } from "../../solvers/vectors.js";
import type { Checkpoint } from "../checkpoint.js";
import { elementsOf, mostElements, PulledBack } from "../pseudo.js";
import { Table } from "../table.js";
import type { Inverse } from "./inverse.js";
import { kernelSolver } from "./kernel.js";

export class ByGaussNewtonKernel implements Inverse {
  private constructor(
    private readonly pulled: PulledBack,
    private readonly pseudo: Dataset,
    /** The training samples, with vectors as targets that give their losses' gradients. */
    private readonly train: Dataset,
    private readonly damping: number,
    private readonly solver: Cholesky,
    /** Their products with the pseudo-gradients, `[N, pseudo]`. */
    private readonly trained: Table,
  ) {}

  static async of(checkpoint: Checkpoint, data: Dataset, damping: number): Promise<ByGaussNewtonKernel> {
    if (!(damping > 0))
      throw new PergradError(
        "INVALID_ARGUMENT",
        sentence`The inverse "gram" of the ggn divides by its damping; give one above 0, such as ${option("damping", 0.01)}.`,
      );
    const pulled = PulledBack.of(checkpoint);
    if (!pulled)
      throw invalidArgument(
        sentence`A sample's output has ${elementsOf(checkpoint)} elements, but ${option("inverse", "gram")} of the ggn takes at most ${mostElements}; give ${option("inverse", "cg")} or ${option("inverse", "ekfac")}, or ${option("of", "fisher")}.`,
      );
    const [pseudo, train] = [await pulled.pseudo(data), await pulled.losses(data)];
    const kernel = await cross(pulled, pseudo, pseudo);
    const trained = await cross(pulled, pseudo, train);
    const solver = await kernelSolver(kernel, trained.rows, damping, checkpoint.threads);
    return new ByGaussNewtonKernel(pulled, pseudo, train, damping, solver, trained);
  }

  async scores(queries: Dataset): Promise<Table> {
    const asked = await this.pulled.losses(queries);
    const direct = await cross(this.pulled, this.train, asked);
    const along = await cross(this.pulled, this.pseudo, asked);
    for (let m = 0; m < along.rows; m++) {
      const solved = this.solver.solve(along.row(m));
      const row = direct.row(m);
      for (let n = 0; n < row.length; n++) row[n] = ((row[n] ?? 0) - dot(solved, this.trained.row(n))) / this.damping;
    }
    return direct;
  }

  async self(): Promise<Float64Array> {
    const squares = await this.pulled.scalars.squaredNorms(this.train);
    return squares.map((square, n) => {
      const half = this.solver.half(this.trained.row(n).slice());
      return (square - dot(half, half)) / this.damping;
    });
  }

  async lengths(): Promise<Float64Array> {
    // |(C + d I)^-1 g|^2 = (g.g - 2 u.w + w.K w)/d^2 with w = (K + N d I)^-1 u, and K w = u - N d w.
    const squares = await this.pulled.scalars.squaredNorms(this.train);
    return squares.map((square, n) => {
      const along = this.trained.row(n);
      const solved = this.solver.solve(along.slice());
      const left = square - dot(along, solved) - this.trained.rows * this.damping * dot(solved, solved);
      return Math.sqrt(Math.max(0, left)) / this.damping;
    });
  }
}

/** `[M, N]`, for N samples and M others. */
async function cross({ scalars }: PulledBack, samples: Dataset, others: Dataset): Promise<Table> {
  const [found = new Table(0, 0)] = await scalars.cross(samples, others);
  return found;
}
