/**
 * DataInf (Kwon et al. 2024, "DataInf: efficiently estimating data influence in LoRA-tuned LLMs and diffusion models"):
 * for each module, the mean over samples k of the inverses of g_k g_k' + d I, instead of the inverse of their mean.
 */

import { PergradError } from "../../errors.js";
import type { Dataset } from "../../program/given-data.js";
import { option, sentence } from "../../sentence.js";
import { dot } from "../../solvers/vectors.js";
import type { Checkpoint } from "../checkpoint.js";
import { Table } from "../table.js";
import type { Inverse } from "./inverse.js";

/** The mean of the inverses of single samples' matrices, module by module. */
export class DataInf implements Inverse {
  private constructor(
    private readonly checkpoint: Checkpoint,
    private readonly train: Dataset,
    /** The kernel of each module. */
    private readonly kernels: readonly Table[],
    private readonly damping: number,
  ) {}

  static async of(checkpoint: Checkpoint, train: Dataset, damping: number): Promise<DataInf> {
    if (damping > 0) return new DataInf(checkpoint, train, await kernelsOf(checkpoint, train, train), damping);
    throw new PergradError(
      "INVALID_ARGUMENT",
      sentence`DataInf divides by its damping; give one above 0, such as ${option("damping", 0.01)}.`,
    );
  }

  async scores(queries: Dataset): Promise<Table> {
    const crosses = await kernelsOf(this.checkpoint, this.train, queries);
    const samples = this.kernels[0]?.rows ?? 0;
    const total = new Table(crosses[0]?.rows ?? 0, samples);
    for (const [k, kernel] of this.kernels.entries()) {
      const cross = crosses[k];
      if (!cross) continue;
      for (let m = 0; m < cross.rows; m++) add(total.row(m), this.#module(kernel, cross.row(m)));
    }
    return total;
  }

  async self(): Promise<Float64Array> {
    const samples = this.kernels[0]?.rows ?? 0;
    const found = new Float64Array(samples);
    for (const kernel of this.kernels)
      for (let n = 0; n < samples; n++) {
        const own = kernel.row(n);
        const weighted = own.map((value, k) => value / (this.damping + kernel.at(k, k)));
        found[n] = (found[n] ?? 0) + (kernel.at(n, n) - dot(own, weighted) / samples) / this.damping;
      }
    return found;
  }

  async lengths(): Promise<Float64Array> {
    throw new PergradError(
      "INVALID_ARGUMENT",
      sentence`DataInf cannot compute the norms of multiplied gradients; give ${option("by", "loss")}, or another ${option("inverse")}.`,
    );
  }

  /** For one query: its products with the training samples, multiplied by the module's inverse. */
  #module(kernel: Table, products: Float64Array): Float64Array {
    const samples = kernel.rows;
    const weighted = products.map((value, k) => value / (this.damping + kernel.at(k, k)));
    return products.map((value, n) => (value - dot(kernel.row(n), weighted) / samples) / this.damping);
  }
}

function kernelsOf(checkpoint: Checkpoint, train: Dataset, others: Dataset): Promise<Table[]> {
  return checkpoint.cross(train, others, [...checkpoint.modules.values()]);
}

function add(sum: Float64Array, part: Float64Array): void {
  for (let k = 0; k < sum.length; k++) sum[k] = (sum[k] ?? 0) + (part[k] ?? 0);
}
