/** Scores of all samples of an index, or of some of them, from their features. */
import type { PergradError } from "../../errors.js";
import { nth } from "../../present.js";
import { Table } from "../table.js";
import { type Block, blocksOf } from "./blocks.js";
import type { Manifest } from "./manifest.js";
import { QueryProducts } from "./multiplied.js";
import { factorsOf, meanOf } from "./rows.js";
import { broken } from "./shards.js";

/** An index on disk, and how its products are turned into scores. */
export interface IndexOnDisk {
  readonly folder: string;
  readonly manifest: Manifest;
  readonly samples: number;
  /** Whether products are divided by the norms of the gradients. */
  readonly cosine: boolean;
  /** Threads that the runtime may use; undefined: all cores. */
  readonly threads: number | undefined;
}

/** The features of queries. */
export interface QueryRows {
  /** For each model `[Q, dims]`. */
  readonly rows: readonly Float32Array[];
  /** The number of queries, Q. */
  readonly count: number;
}

/** Scores of consecutive samples, queries by samples. Throws FILE_UNREADABLE. */
export async function* tablesOf(
  stored: IndexOnDisk,
  asked: QueryRows,
  signal: AbortSignal | undefined,
): AsyncGenerator<{ readonly from: number; readonly table: Table }, void> {
  const { folder, manifest, samples } = stored;
  if (asked.count === 0) return;
  const scorer = await Scorer.of(stored, asked);
  try {
    for await (const block of blocksOf(folder, manifest, samples)) {
      signal?.throwIfAborted();
      const table = await scorer.score(block);
      if (!allFinite(table)) throw notFinite(block.path);
      yield { from: block.from, table };
    }
  } finally {
    await scorer.release();
  }
}

/** Scores blocks of an index. */
export class Scorer {
  private constructor(
    private readonly stored: IndexOnDisk,
    private readonly count: number,
    private readonly products: QueryProducts,
  ) {}

  static async of(stored: IndexOnDisk, { rows, count }: QueryRows): Promise<Scorer> {
    return new Scorer(stored, count, await QueryProducts.of(stored.manifest, rows, stored.threads));
  }

  /** Queries by the block's samples. */
  async score(block: Omit<Block, "from" | "path">): Promise<Table> {
    const found = await this.products.with(block);
    const models = this.stored.manifest.models.length;
    const factors = factorsOf(block, this.stored.cosine);
    const table = new Table(this.count, block.samples);
    for (let n = 0; n < block.samples; n++) {
      const weight = meanOf(block.weights, n, models);
      for (let k = 0; k < models; k++) addProducts(table, n, nth(found, k), weight * (factors[n * models + k] ?? 0));
    }
    return table;
  }

  release(): Promise<void> {
    return this.products.release();
  }
}

/** Adds a sample's products with the queries to its column, times a factor. */
function addProducts({ data, rows, columns }: Table, sample: number, products: Float32Array, factor: number): void {
  const at = sample * rows;
  for (let m = 0; m < rows; m++) {
    const place = m * columns + sample;
    data[place] = (data[place] ?? 0) + factor * (products[at + m] ?? 0);
  }
}

/** Whether all scores are finite: finite rows have finite products. */
export function allFinite({ data }: Table): boolean {
  let sum = 0;
  // Zero times a number is 0 if the number is finite, else NaN.
  for (let k = 0; k < data.length; k++) sum += 0 * (data[k] ?? 0);
  return sum === 0;
}

export function notFinite(path: string): PergradError {
  return broken(path, 'its "features" hold NaN or infinity, or scores that are too large');
}
