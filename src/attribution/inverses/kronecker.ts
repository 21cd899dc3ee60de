/** The inverse by KFAC and EK-FAC: layer by layer, in the eigenvectors of two factors. */
import type { Bases } from "../../curvature/kronecker.js";
import { build } from "../../ops/registry.js";
import { entryOf, present } from "../../present.js";
import type { Dataset } from "../../program/given-data.js";
import type { CurvatureKind } from "../../solvers/curvature.js";
import { requireDamping } from "../../solvers/kronecker.js";
import { basisOf, type DecomposedBlock } from "../../solvers/kronecker-parts.js";
import { type Divisors, productsIn, quotientsIn, squaresIn } from "../../wants/kronecker.js";
import type { ByParameter } from "../../wants/want.js";
import type { Checkpoint } from "../checkpoint.js";
import type { RowProducts } from "../products.js";
import { Table } from "../table.js";
import { againstTraining, type QueryVectors, queriesAtOnce } from "./against-training.js";
import type { Inverse } from "./inverse.js";

/**
 * Gradients are compared in the basis of eigenvectors, where the damped curvature is diagonal: nothing has to be
 * transformed back.
 */
export class ByKronecker implements Inverse {
  readonly #parts: ReadonlyMap<string, DecomposedBlock>;
  readonly #bases: Bases;

  private constructor(
    private readonly checkpoint: Checkpoint,
    private readonly train: Dataset,
    parts: readonly DecomposedBlock[],
    private readonly damping: number,
  ) {
    this.#parts = new Map(parts.map((part) => [part.block.name, part]));
    this.#bases = basesOf(checkpoint, parts);
  }

  /**
   * @param corrected whether the eigenvalues are those of the curvature in that basis, as in EK-FAC (George et al.
   *   2018)
   */
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

  scores(queries: Dataset): Promise<Table> {
    const pieces = this.#quotients(queries);
    return againstTraining(this.checkpoint, this.train, pieces, (count) => productsIn(this.#bases, count));
  }

  async *#quotients(queries: Dataset): AsyncGenerator<QueryVectors, void, undefined> {
    const wanted = { quotients: quotientsIn(this.#bases, this.#divisors(1)) };
    const chunkSize = queriesAtOnce(this.checkpoint.space.size);
    for await (const { from, to, results } of this.checkpoint.stream(wanted, queries, { chunkSize }))
      if (to > from) yield { count: to - from, vectors: results.quotients };
  }

  self(): Promise<Float64Array> {
    return this.#squares(1);
  }

  async lengths(): Promise<Float64Array> {
    return (await this.#squares(2)).map(Math.sqrt);
  }

  /**
   * The sum of squares of each training sample's gradient in the eigenvectors, divided `times` times by the damped
   * eigenvalues.
   */
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

function basesOf(checkpoint: Checkpoint, parts: readonly DecomposedBlock[]): Bases {
  return new Map(parts.map((part) => [part.block, basisOf(part, checkpoint.objective.losses)]));
}

/**
 * Some samples' gradients in the basis of eigenvectors: transformed once, they are scored against one another with any
 * damping.
 */
export class InEigenvectors {
  private constructor(
    private readonly parts: readonly DecomposedBlock[],
    /** By the block's name, `[n, rows, columns]`. */
    private readonly gradients: ByParameter,
    private readonly products: RowProducts,
  ) {}

  static async of(
    checkpoint: Checkpoint,
    parts: readonly DecomposedBlock[],
    samples: Dataset,
    products: RowProducts,
  ): Promise<InEigenvectors> {
    const asTheyAre = quotientsIn(basesOf(checkpoint, parts), (_, like) => build.scalar(1, like));
    const { gradients } = await checkpoint.all({ gradients: asTheyAre }, samples);
    return new InEigenvectors(parts, gradients, products);
  }

  /** g_m' (C + d I)^-1 g_n for all pairs, `[n, n]`. */
  async scores(damping: number): Promise<Table> {
    const [{ dims: [count = 0] = [] } = {}] = Object.values(this.gradients);
    const table = new Table(count, count);
    for (const { block, eigenvalues } of this.parts) {
      const { data } = entryOf(this.gradients, block.name);
      const size = eigenvalues.data.length;
      const found = await this.products.of(data, overDamped(data, eigenvalues.data, damping), size);
      for (let k = 0; k < found.length; k++) table.data[k] = (table.data[k] ?? 0) + (found[k] ?? 0);
    }
    return table;
  }
}

/** Rows divided by the damped eigenvalues. */
function overDamped(rows: Float32Array, eigenvalues: Float32Array, damping: number): Float32Array {
  const [found, size] = [new Float32Array(rows.length), eigenvalues.length];
  const reciprocals = Float64Array.from(eigenvalues, (value) => 1 / (Math.max(0, value) + damping));
  for (let from = 0; from < rows.length; from += size)
    for (let k = 0; k < size; k++) found[from + k] = (rows[from + k] ?? 0) * (reciprocals[k] ?? 0);
  return found;
}
