/** The inverse by KFAC and EK-FAC: layer by layer, in the eigenvectors of two factors. */
import type { Bases } from "../../curvature/kronecker.js";
import { build } from "../../ops/registry.js";
import { present } from "../../present.js";
import type { Dataset } from "../../program/dataset.js";
import type { Program } from "../../program/program.js";
import type { CurvatureKind } from "../../solvers/curvature.js";
import { requireDamping } from "../../solvers/kronecker.js";
import { basisOf, type Part } from "../../solvers/kronecker-parts.js";
import { type Divisors, productsIn, quotientsIn, squaresIn } from "../../wants/kronecker.js";
import type { ByParameter, FloatTensor, Want } from "../../wants/want.js";
import type { Checkpoint } from "../checkpoint.js";
import { besides } from "../products.js";
import { Table } from "../table.js";
import type { Inverse } from "./inverse.js";

/** Queries at a time, and numbers of their gradients. */
const maxQueries = 128;
const mostNumbers = 2 ** 26;

interface Multiplying {
  readonly count: number;
  readonly program: Program<{ products: Want<FloatTensor> }>;
}

/** Gradients are compared in the eigenvectors, where the damped curvature is a diagonal: nothing is moved back from there. */
export class ByKronecker implements Inverse {
  readonly #parts: ReadonlyMap<string, Part>;
  readonly #bases: Bases;

  private constructor(
    private readonly checkpoint: Checkpoint,
    private readonly train: Dataset,
    parts: readonly Part[],
    private readonly damping: number,
  ) {
    this.#parts = new Map(parts.map((part) => [part.block.name, part]));
    this.#bases = new Map(parts.map((part) => [part.block, basisOf(part, checkpoint.objective.losses)]));
  }

  /** @param corrected whether eigenvalues are those that the curvature has in that basis: EK-FAC (George et al. 2018) */
  static async of(
    checkpoint: Checkpoint,
    train: Dataset,
    damping: number,
    { of, corrected }: { readonly of: CurvatureKind; readonly corrected: boolean },
  ): Promise<ByKronecker> {
    requireDamping("The inverse by Kronecker factors", damping);
    const { parts } = await checkpoint.kronecker(train, of === "ggn" ? "type2" : "empirical", corrected);
    return new ByKronecker(checkpoint, train, parts, damping);
  }

  async scores(queries: Dataset): Promise<Table> {
    const most = Math.min(maxQueries, Math.max(1, Math.floor(mostNumbers / Math.max(1, this.checkpoint.space.size))));
    const tables: Table[] = [];
    let begun: Multiplying | undefined;
    const wanted = { quotients: quotientsIn(this.#bases, this.#divisors(1)) };
    try {
      for await (const { from, to, results } of this.checkpoint.stream(wanted, queries, { chunkSize: most })) {
        const count = to - from;
        if (count === 0) continue;
        if (begun?.count !== count) {
          await begun?.program.release();
          begun = undefined;
          begun = { count, program: await this.checkpoint.program({ products: productsIn(this.#bases, count) }) };
        }
        tables.push(await this.#products(begun, results.quotients));
      }
    } finally {
      await begun?.program.release();
    }
    return Table.stacked(tables);
  }

  async #products({ program, count }: Multiplying, products: ByParameter): Promise<Table> {
    const found: { readonly from: number; readonly numbers: Float32Array }[] = [];
    let samples = 0;
    const options = { others: { products }, notFinite: "throw", inPlace: true } as const;
    for await (const { from, to, results } of program.stream(this.train, options)) {
      found.push({ from, numbers: results.products.data });
      samples = to;
    }
    return besides(found, count, samples);
  }

  self(): Promise<Float64Array> {
    return this.#squares(1);
  }

  async lengths(): Promise<Float64Array> {
    return (await this.#squares(2)).map(Math.sqrt);
  }

  /** Of each training sample's gradient in the eigenvectors, over so many times the damped eigenvalues. */
  async #squares(times: 1 | 2): Promise<Float64Array> {
    const { squares } = await this.checkpoint.all(
      { squares: squaresIn(this.#bases, this.#divisors(times)) },
      this.train,
    );
    return Float64Array.from(squares.data);
  }

  #divisors(times: 1 | 2): Divisors {
    return (name, like) => {
      const { eigenvalues, rows, columns } = present(this.#parts.get(name));
      const damped = Float64Array.from(eigenvalues.data, (value) => (Math.max(0, value) + this.damping) ** times);
      return build.floats(damped, [rows?.size ?? 1, columns.size], like);
    };
  }
}
