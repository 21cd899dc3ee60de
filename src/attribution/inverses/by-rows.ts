/** Inverses that multiply vectors over all parameters: gradients are materialised, a few at a time. */
import type { Dataset } from "../../program/given-data.js";
import { dot, norm } from "../../solvers/vectors.js";
import { withVectors } from "../../wants/cross.js";
import type { Checkpoint } from "../checkpoint.js";
import type { Table } from "../table.js";
import { againstTraining, type QueryVectors, queriesAtOnce } from "./against-training.js";
import type { Apply, Inverse } from "./inverse.js";

/** An inverse that is applied to the queries' materialised gradients. */
export class ByRows implements Inverse {
  constructor(
    private readonly checkpoint: Checkpoint,
    private readonly train: Dataset,
    private readonly apply: Apply,
  ) {}

  scores(queries: Dataset): Promise<Table> {
    return againstTraining(this.checkpoint, this.train, this.#multiplied(queries), withVectors);
  }

  async *#multiplied(queries: Dataset): AsyncGenerator<QueryVectors, void, undefined> {
    const { space } = this.checkpoint;
    for await (const { rows, from, to } of this.checkpoint.rows(queries, queriesAtOnce(space.size)))
      if (to > from) yield { count: to - from, vectors: space.apart(await this.apply(rows)) };
  }

  self(): Promise<Float64Array> {
    return this.#each((row, multiplied) => dot(row, multiplied));
  }

  lengths(): Promise<Float64Array> {
    return this.#each((_, multiplied) => norm(multiplied));
  }

  async #each(f: (row: Float64Array, multiplied: Float64Array) => number): Promise<Float64Array> {
    const { size } = this.checkpoint.space;
    const found: number[] = [];
    for await (const { rows } of this.checkpoint.rows(this.train)) {
      const multiplied = await this.apply(rows);
      const row = (all: Float32Array, at: number) => Float64Array.from(all.subarray(at, at + size));
      for (let at = 0; at < rows.length; at += size) found.push(f(row(rows, at), row(multiplied, at)));
    }
    return Float64Array.from(found);
  }
}
