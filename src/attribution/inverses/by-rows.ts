/** Inverses that multiply one vector over all parameters after another: gradients are materialised, a few at a time. */
import type { Dataset } from "../../program/dataset.js";
import { dot, norm } from "../../solvers/vectors.js";
import type { Checkpoint } from "../checkpoint.js";
import { besides, RowProducts } from "../products.js";
import { Table } from "../table.js";
import type { Apply, Inverse } from "./inverse.js";

/** Numbers of multiplied gradients of queries at a time. */
const mostNumbers = 2 ** 26;
const maxQueries = 128;

export class ByRows implements Inverse {
  constructor(
    private readonly checkpoint: Checkpoint,
    private readonly train: Dataset,
    private readonly apply: Apply,
  ) {}

  async scores(queries: Dataset): Promise<Table> {
    const { size } = this.checkpoint.space;
    const most = Math.min(maxQueries, Math.max(1, Math.floor(mostNumbers / Math.max(1, size))));
    const products = new RowProducts(this.checkpoint.threads);
    const parts: Table[] = [];
    try {
      for await (const { rows } of this.checkpoint.rows(queries, most)) {
        const multiplied = await this.apply(rows);
        parts.push(await this.#products(products, multiplied));
      }
    } finally {
      await products.release();
    }
    return Table.stacked(parts);
  }

  async #products(products: RowProducts, multiplied: Float32Array): Promise<Table> {
    const { size } = this.checkpoint.space;
    const queries = multiplied.length / size;
    const found: { readonly from: number; readonly numbers: Float32Array }[] = [];
    let samples = 0;
    for await (const { from, to, rows } of this.checkpoint.rows(this.train)) {
      found.push({ from, numbers: await products.of(rows, multiplied, size) });
      samples = to;
    }
    return besides(found, queries, samples);
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
