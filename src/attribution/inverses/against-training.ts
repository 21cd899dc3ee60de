/** Inner products of all training samples' gradients with vectors that stand for queries. */
import type { Dataset } from "../../program/given-data.js";
import type { RunOptions } from "../../program/options.js";
import type { Program } from "../../program/program.js";
import type { ByParameter, FloatTensor, Want } from "../../wants/want.js";
import type { Checkpoint } from "../checkpoint.js";
import { refusing } from "../not-finite.js";
import { besides } from "../products.js";
import { Table } from "../table.js";

/** The most queries at a time, and the most numbers in their gradients. */
const maxQueries = 128;
const mostNumbers = 2 ** 26;

/** How many queries' vectors of `size` numbers are multiplied at a time. */
export function queriesAtOnce(size: number): number {
  return Math.min(maxQueries, Math.max(1, Math.floor(mostNumbers / Math.max(1, size))));
}

/** The vectors of one or more queries, by parameter or block: `[count, ...]`. */
export interface QueryVectors {
  readonly count: number;
  readonly vectors: ByParameter;
}

interface Begun {
  readonly count: number;
  readonly program: Program<{ products: Want<FloatTensor> }>;
}

/**
 * The scores of all queries, `[queries, samples]`. The training data is read once for each group of queries.
 * @param productsWith makes the want that multiplies gradients with `count` vectors, which each run is given
 */
export async function againstTraining(
  checkpoint: Checkpoint,
  train: Dataset,
  pieces: AsyncIterable<QueryVectors>,
  productsWith: (count: number) => Want<FloatTensor>,
): Promise<Table> {
  const tables: Table[] = [];
  let begun: Begun | undefined;
  try {
    for await (const { count, vectors } of pieces) {
      if (begun?.count !== count) {
        await begun?.program.release();
        begun = undefined;
        begun = { count, program: await checkpoint.program({ products: productsWith(count) }) };
      }
      const options = { others: { products: vectors }, ...refusing(checkpoint.whose(train)) };
      tables.push(await productsOf(begun, train, options));
    }
  } finally {
    await begun?.program.release();
  }
  return Table.stacked(tables);
}

/** Nothing is materialised if factors are less work. */
async function productsOf({ program, count }: Begun, train: Dataset, options: RunOptions): Promise<Table> {
  const found: { readonly from: number; readonly numbers: Float32Array }[] = [];
  let samples = 0;
  for await (const { from, to, results } of program.stream(train, options)) {
    found.push({ from, numbers: results.products.data });
    samples = to;
  }
  return besides(found, count, samples);
}
