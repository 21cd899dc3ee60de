/** Ridge regression on rows of features, with its predictions for each sample from all others. */

import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import { nth } from "../present.js";
import { compiled } from "../program/compiled.js";
import { elementsIn } from "../tensor/tensor.js";
import { einsum } from "../trace/einsum.js";
import { input } from "../trace/functions.js";
import type { ProjectedGradients } from "./gradient-features.js";

/** The number of rows that go through the runtime at once. */
const block = 1024;

/** The most samples used to choose the damping. */
const mostTried = 2000;

/** Dampings to try: shares of a row's mean squared length, times the number of rows divided by their rank. */
const dampings = [0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30];

export class Ridge {
  private constructor(
    readonly samples: number,
    readonly dims: number,
    /** The rows in the basis of eigenvectors, `[N, dims]`. */
    private readonly rotated: Float32Array,
    private readonly eigenvalues: Float64Array,
    private readonly isKnown: (n: number) => boolean,
  ) {}

  /** @param isKnown whether row n takes part; the others are only predicted */
  static async of(rows: ProjectedGradients, isKnown: (n: number) => boolean = () => true): Promise<Ridge> {
    const { samples, dims } = rows;
    const gram = await gramOf(only(rows, isKnown));
    const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(
      new Matrix(Array.from({ length: dims }, (_, k) => gram.subarray(k * dims, (k + 1) * dims))),
      { assumeSymmetric: true },
    );
    const rotated = await rotatedBy(rows, Float32Array.from(eigenvectorMatrix.to1DArray()));
    return new Ridge(
      samples,
      dims,
      rotated,
      Float64Array.from(realEigenvalues, (value) => Math.max(0, value)),
      isKnown,
    );
  }

  /** The mean eigenvalue of the rows' second moments, sum r r' / N. */
  get meanEigenvalue(): number {
    return this.eigenvalues.reduce((a, b) => a + b, 0) / Math.max(1, this.samples * this.dims);
  }

  /** r_n' (sum r r' + damping I)^-1 r_n for each row, `[N]`: from 0 to 1. */
  leverages(damping: number): Float64Array {
    const factors = this.#factors(damping);
    return Float64Array.from({ length: this.samples }, (_, n) => this.#leverage(n, factors));
  }

  /**
   * The prediction for each sample from all others, `[N, columns]`: from the prediction p of all samples and the
   * sample's leverage h it is (p - h y) / (1 - h), without training again. The damping is the one with the smallest
   * squared error. The values of rows that do not take part do not count.
   */
  leaveOneOut(values: Float32Array, columns: number): { readonly predictions: Float32Array; readonly damping: number } {
    const weights = this.#weights(values, columns);
    const known = Array.from({ length: this.samples }, (_, n) => n).filter(this.isKnown);
    const step = Math.max(1, Math.floor(known.length / mostTried));
    const scale = Math.max(Number.MIN_VALUE, this.eigenvalues.reduce((a, b) => a + b, 0) / Math.max(1, known.length));
    const tried = dampings.map((share) => {
      const damping = share * scale;
      const predict = this.#predictor(weights, values, columns, damping);
      const out = new Float64Array(columns);
      let error = 0;
      for (let k = 0; k < known.length; k += step) {
        const n = nth(known, k);
        predict(n, out);
        for (let c = 0; c < columns; c++) error += ((out[c] ?? 0) - (values[n * columns + c] ?? 0)) ** 2;
      }
      return { damping, error };
    });
    const best = tried.reduce((a, b) => (b.error < a.error ? b : a));
    const predict = this.#predictor(weights, values, columns, best.damping);
    const predictions = new Float32Array(this.samples * columns);
    const out = new Float64Array(columns);
    for (let n = 0; n < this.samples; n++) {
      predict(n, out);
      predictions.set(out, n * columns);
    }
    return { predictions, damping: best.damping };
  }

  #factors(damping: number): Float64Array {
    return this.eigenvalues.map((value) => 1 / (value + damping));
  }

  #leverage(n: number, factors: Float64Array): number {
    let sum = 0;
    for (let k = 0; k < this.dims; k++) sum += (this.rotated[n * this.dims + k] ?? 0) ** 2 * (factors[k] ?? 0);
    return sum;
  }

  /** The sums of the rows times the values, `[dims, columns]`. */
  #weights(values: Float32Array, columns: number): Float64Array {
    const weights = new Float64Array(this.dims * columns);
    for (let n = 0; n < this.samples; n++) {
      if (!this.isKnown(n)) continue;
      for (let c = 0; c < columns; c++) {
        const value = values[n * columns + c] ?? 0;
        // Most elements are 0 if the values are classes.
        if (value === 0) continue;
        for (let k = 0; k < this.dims; k++)
          weights[k * columns + c] = (weights[k * columns + c] ?? 0) + value * (this.rotated[n * this.dims + k] ?? 0);
      }
    }
    return weights;
  }

  #predictor(weights: Float64Array, values: Float32Array, columns: number, damping: number) {
    const factors = this.#factors(damping);
    return (n: number, out: Float64Array): void => {
      const leverage = this.isKnown(n) ? Math.min(this.#leverage(n, factors), 1 - 1e-6) : 0;
      out.fill(0);
      for (let k = 0; k < this.dims; k++) {
        const factor = (this.rotated[n * this.dims + k] ?? 0) * (factors[k] ?? 0);
        for (let c = 0; c < columns; c++) out[c] = (out[c] ?? 0) + factor * (weights[k * columns + c] ?? 0);
      }
      for (let c = 0; c < columns; c++)
        out[c] = ((out[c] ?? 0) - leverage * (values[n * columns + c] ?? 0)) / (1 - leverage);
    };
  }
}

/** The rows that take part; zeros in place of the others. */
function only(rows: ProjectedGradients, isKnown: (n: number) => boolean): ProjectedGradients {
  const { samples, dims } = rows;
  const data = rows.data.slice();
  for (let n = 0; n < samples; n++) if (!isKnown(n)) data.fill(0, n * dims, (n + 1) * dims);
  return { samples, dims, data };
}

/** The sum of the rows' outer products with themselves, `[dims, dims]`, in float64 over blocks. */
async function gramOf({ samples, dims, data }: ProjectedGradients): Promise<Float64Array> {
  const rows = input("rows", ["N", dims]);
  const program = await compiled({ gram: einsum("nd,ne->de", rows, rows) });
  const sum = new Float64Array(dims * dims);
  try {
    for (let from = 0; from < samples; from += block) {
      const part = data.subarray(from * dims, Math.min(samples, from + block) * dims);
      const { gram } = await program.run({ rows: part }, { notFinite: "ignore" });
      const found = elementsIn(gram);
      for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] ?? 0) + Number(found[i]);
    }
  } finally {
    await program.release();
  }
  return sum;
}

async function rotatedBy({ samples, dims, data }: ProjectedGradients, basis: Float32Array): Promise<Float32Array> {
  const rows = input("rows", ["N", dims]);
  const program = await compiled({ rotated: rows.matmul(input("basis", [dims, dims])) });
  const result = new Float32Array(samples * dims);
  try {
    for (let from = 0; from < samples; from += block) {
      const part = data.subarray(from * dims, Math.min(samples, from + block) * dims);
      const { rotated } = await program.run({ rows: part, basis }, { notFinite: "ignore" });
      result.set(elementsIn(rotated), from * dims);
    }
  } finally {
    await program.release();
  }
  return result;
}
