/** Inverses that multiply vectors over all parameters: gradients are materialised, a few at a time. */
import type { Dataset } from "../../program/dataset.js";
import type { Program } from "../../program/program.js";
import { dot, norm } from "../../solvers/vectors.js";
import { withVectors } from "../../wants/cross.js";
import type { FloatTensor, Want } from "../../wants/want.js";
import type { Checkpoint } from "../checkpoint.js";
import { besides } from "../products.js";
import { Table } from "../table.js";
import type { Apply, Inverse } from "./inverse.js";

/** Numbers of multiplied gradients of queries at a time. */
const mostNumbers = 2 ** 26;
const maxQueries = 128;

/** With so many vectors, each `[P]`. */
interface Multiplying {
  readonly count: number;
  readonly program: Program<{ products: Want<FloatTensor> }>;
}

export class ByRows implements Inverse {
  constructor(
    private readonly checkpoint: Checkpoint,
    private readonly train: Dataset,
    private readonly apply: Apply,
  ) {}

  async scores(queries: Dataset): Promise<Table> {
    const { size } = this.checkpoint.space;
    const most = Math.min(maxQueries, Math.max(1, Math.floor(mostNumbers / Math.max(1, size))));
    const parts: Table[] = [];
    let begun: Multiplying | undefined;
    try {
      for await (const { rows, from, to } of this.checkpoint.rows(queries, most)) {
        const count = to - from;
        if (count === 0) continue;
        const multiplied = await this.apply(rows);
        if (begun?.count !== count) {
          await begun?.program.release();
          begun = undefined;
          begun = { count, program: await this.checkpoint.program({ products: withVectors(count) }) };
        }
        parts.push(await this.#products(begun, multiplied));
      }
    } finally {
      await begun?.program.release();
    }
    return Table.stacked(parts);
  }

  /** Of all training samples' gradients with vectors `[count, P]`: nothing is materialised where factors are less work. */
  async #products({ program, count }: Multiplying, vectors: Float32Array): Promise<Table> {
    const others = { products: this.checkpoint.space.apart(vectors) };
    const found: { readonly from: number; readonly numbers: Float32Array }[] = [];
    let samples = 0;
    const options = { others, notFinite: "throw", inPlace: true } as const;
    for await (const { from, to, results } of program.stream(this.train, options)) {
      found.push({ from, numbers: results.products.data });
      samples = to;
    }
    return besides(found, count, samples);
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
