/** The inverse by KFAC and EK-FAC: layer by layer, in the eigenvectors of two factors. */
import type { Bases } from "../../curvature/kronecker.js";
import { build } from "../../ops/registry.js";
import { present } from "../../present.js";
import type { Dataset } from "../../program/dataset.js";
import type { CurvatureKind } from "../../solvers/curvature.js";
import { requireDamping } from "../../solvers/kronecker.js";
import { basisOf, type DecomposedBlock } from "../../solvers/kronecker-parts.js";
import { type Divisors, productsIn, quotientsIn, squaresIn } from "../../wants/kronecker.js";
import type { Checkpoint } from "../checkpoint.js";
import type { Table } from "../table.js";
import { againstTraining, type QueryVectors, queriesAtOnce } from "./against-training.js";
import type { Inverse } from "./inverse.js";

/** Gradients are compared in the eigenvectors, where the damped curvature is a diagonal: nothing is moved back from there. */
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
