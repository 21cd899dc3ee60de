/** Rows of an index, and the factors they are multiplied with. */

import { PergradError } from "../../errors.js";
import { option, sentence } from "../../sentence.js";
import { Cholesky } from "../../solvers/cholesky.js";
import { featuresDamping } from "../damping.js";
import { Table } from "../table.js";
import { type Block, numbersOf } from "./blocks.js";
import type { RowScalars } from "./shards.js";

/** The most rows used to measure a damping. */
const mostLooked = 1500;

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

/** Rows of an index's first model, on which a damping is measured. */
export class Looks {
  readonly #rows: Float64Array[] = [];
  readonly #weights: number[] = [];

  constructor(
    private readonly dims: number,
    /** The number of samples in the index. */
    private readonly samples: number,
  ) {}

  /** Takes some of a block's rows, spread evenly over the index. */
  add({ features, scales, weights, samples, from }: Block): void {
    const [, models = 1] = features.dims;
    const { dims } = this;
    const stride = Math.max(1, Math.ceil(this.samples / mostLooked));
    const numbers = numbersOf(features.data);
    for (let n = (stride - (from % stride)) % stride; n < samples; n += stride) {
      const at = n * models;
      const scale = scales[at] ?? 0;
      this.#rows.push(Float64Array.from(numbers.subarray(at * dims, (at + 1) * dims), (x) => x * scale));
      this.#weights.push(weights[at] ?? 0);
    }
  }

  /** The damping of the sum over all samples. @param weighted whether features are gradients of the label's odds */
  damping(weighted: boolean, threads: number | undefined): Promise<number> {
    const phi = new Table(this.#rows.length, this.dims);
    for (const [n, row] of this.#rows.entries()) phi.put(n, 0, row);
    const weights = weighted ? Float64Array.from(this.#weights) : null;
    return featuresDamping({ phi, weights }, this.samples, threads);
  }
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
