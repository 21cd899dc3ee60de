/** Bounds on scores, from the sketches of rows and queries. */
import { nth } from "../../present.js";
import type { Candidates } from "./candidates.js";
import { factorsOf, meanOf } from "./rows.js";
import type { QueryCodes, SketchedQueries } from "./sketch.js";
import type { SketchBlock } from "./sketches.js";

/** For each model: a number per query, divided by the query's norm, `[Q]`. */
type PerQuery = readonly Float64Array[];

/**
 * For a query q and a row a, rounded to r and b: q a - r b = q (a - b) + (q - r) b, and so |q a - r b| <= |q| |a - b| +
 * |q - r| (|a| + |a - b|). The exact score, a sum of float32 products in any order, is itself off by at most n u / (1 -
 * n u) times |q| |a| (Higham 2002, "Accuracy and stability of numerical algorithms", section 3.1).
 *
 * A query's scores are divided by its norm, which changes no order. Then the bounds of a row are almost the same for
 * all queries, and for most scores one comparison shows that they are too small.
 */
export class Bounding {
  readonly #queries: QueryNumbers;
  /** Rounding errors of float32 sums, and of those in float64 here. */
  readonly #roundoff: number;
  /** Products below this may underflow. */
  readonly #least: number;

  constructor({ sizes, coarse, fine }: SketchedQueries, dims: number, queries: number) {
    const units = Float64Array.from({ length: queries }, (_, m) => {
      const norm = Math.hypot(...sizes.map((each) => each[m] ?? 0));
      return norm > 0 ? 1 / norm : 0;
    });
    const overNorm = (all: PerQuery) => all.map((each) => each.map((value, m) => value * (units[m] ?? 0)));
    const own = overNorm(sizes);
    const codes = ({ steps, errors }: QueryCodes): CodeNumbers => {
      const lost = overNorm(errors);
      const most = { sizes: own.map(largest), errors: lost.map(largest), unit: largest(units) };
      const each = Array.from(units, (unit, m) => ({ sizes: valuesAt(own, m), errors: valuesAt(lost, m), unit }));
      return { steps: overNorm(steps), most, each };
    };
    this.#queries = { units, coarse: codes(coarse), fine: codes(fine), scores: new Float64Array(queries) };
    const rounded = (dims + 16) * 2 ** -24;
    this.#roundoff = rounded / (1 - rounded);
    this.#least = dims * 2 ** -126;
  }

  /** The factor that makes a query's scores comparable with bounds. */
  unit(query: number): number {
    return this.#queries.units[query] ?? 0;
  }

  rows({ from, samples, steps, errors, sizes, ...block }: SketchBlock, cosine: boolean): BoundedRows {
    const models = this.#queries.coarse.steps.length;
    const found = factorsOf(block, cosine);
    const each = () => new Float64Array(samples * models);
    const rows = { scales: each(), ofSizes: each(), ofErrors: each(), ofLeast: each() };
    for (let n = 0; n < samples; n++) {
      const weight = meanOf(block.weights, n, models);
      for (let at = n * models; at < (n + 1) * models; at++) {
        const factor = weight * (found[at] ?? 0);
        const [error, size] = [errors[at] ?? 0, sizes[at] ?? 0];
        rows.scales[at] = factor * (steps[at] ?? 0);
        rows.ofSizes[at] = Math.abs(factor) * (error + this.#roundoff * size);
        rows.ofErrors[at] = Math.abs(factor) * (error + size);
        rows.ofLeast[at] = size > 0 ? Math.abs(factor) * this.#least : 0;
      }
    }
    return new BoundedRows(from, samples, rows, this.#queries);
  }
}

/** What the scores of a block's rows need besides the products, `[n, models]`. */
interface RowNumbers {
  /** Factors of products with queries' codes, apart from the query's step. */
  readonly scales: Float64Array;
  /** Factors of the query's norm: the effect of the row's rounding, and of the exact score's. */
  readonly ofSizes: Float64Array;
  /** Factors of the norm of the query's rounding error. */
  readonly ofErrors: Float64Array;
  /** The effect of numbers that underflow in float32. */
  readonly ofLeast: Float64Array;
}

interface QueryNumbers {
  /** The inverses of the queries' norms, or 0. */
  readonly units: Float64Array;
  readonly coarse: CodeNumbers;
  readonly fine: CodeNumbers;
  /** Memory for a row's scores, `[Q]`. */
  readonly scores: Float64Array;
}

interface CodeNumbers {
  readonly steps: PerQuery;
  /** Limits that no query exceeds. */
  readonly most: Norms;
  readonly each: readonly Norms[];
}

/** A query's numbers, divided by its norm; sizes and errors are by model. */
interface Norms {
  readonly sizes: readonly number[];
  readonly errors: readonly number[];
  readonly unit: number;
}

const valuesAt = (all: PerQuery, query: number) => all.map((each) => each[query] ?? 0);
const largest = (values: Float64Array) => values.reduce((a, b) => Math.max(a, b), 0);

/** The rows of a block. */
class BoundedRows {
  constructor(
    private readonly from: number,
    private readonly samples: number,
    private readonly rows: RowNumbers,
    private readonly queries: QueryNumbers,
  ) {}

  /**
   * The rows that may have a score above a query's bar, judged by the queries' coarse codes only.
   * @param products for each model `[n, Q]`
   * @param bars `[Q]`
   */
  left(products: readonly Int32Array[], bars: Float64Array): number[] {
    const { coarse, scores } = this.queries;
    const [last, models] = [products.length - 1, products.length];
    const found: number[] = [];
    scores.fill(0);
    for (let n = 0; n < this.samples; n++) {
      for (let k = 0; k < last; k++)
        addScores(scores, nth(products, k), n, this.rows.scales[n * models + k] ?? 0, nth(coarse.steps, k), k === 0);
      const slack = this.#slack(n, coarse.most);
      const scale = this.rows.scales[n * models + last] ?? 0;
      if (!allBelow(bars, scores, nth(products, last), n, scale, nth(coarse.steps, last), slack)) found.push(n);
    }
    return found;
  }

  /**
   * Offers some of the rows.
   * @param products for each model `[n, Q]`, of all rows with the coarse codes
   * @param rest the same for these rows with the fine codes
   */
  offer(
    candidates: Candidates,
    left: readonly number[],
    products: readonly Int32Array[],
    rest: readonly Int32Array[],
  ): void {
    const { coarse, fine, scores } = this.queries;
    const models = products.length;
    for (const [row, n] of left.entries()) {
      for (let k = 0; k < models; k++) {
        const scale = this.rows.scales[n * models + k] ?? 0;
        addScores(scores, nth(products, k), n, scale, nth(coarse.steps, k), k === 0);
        addScores(scores, nth(rest, k), row, scale, nth(fine.steps, k), false);
      }
      const slack = this.#slack(n, fine.most);
      for (let m = 0; m < scores.length; m++) {
        const score = scores[m] ?? 0;
        if (score + slack <= (candidates.bars[m] ?? 0)) continue;
        const within = this.#slack(n, nth(fine.each, m));
        candidates.offer(m, this.from + n, score - within, score + within);
      }
    }
  }

  #slack(row: number, { sizes, errors, unit }: Norms): number {
    let slack = 0;
    for (let k = 0; k < sizes.length; k++) {
      const at = row * sizes.length + k;
      slack += (this.rows.ofSizes[at] ?? 0) * (sizes[k] ?? 0);
      slack += (this.rows.ofErrors[at] ?? 0) * (errors[k] ?? 0);
      slack += (this.rows.ofLeast[at] ?? 0) * unit;
    }
    return slack;
  }
}

function addScores(
  scores: Float64Array,
  products: Int32Array,
  row: number,
  scale: number,
  steps: Float64Array,
  first: boolean,
): void {
  const at = row * scores.length;
  for (let m = 0; m < scores.length; m++)
    scores[m] = (first ? 0 : (scores[m] ?? 0)) + scale * (steps[m] ?? 0) * (products[at + m] ?? 0);
}

/**
 * Whether all of a row's scores, with the last model's added, stay below their bars by at least the slack. NaN does
 * not.
 */
function allBelow(
  bars: Float64Array,
  scores: Float64Array,
  products: Int32Array,
  row: number,
  scale: number,
  steps: Float64Array,
  slack: number,
): boolean {
  const at = row * bars.length;
  for (let m = 0; m < bars.length; m++)
    if (!((scores[m] ?? 0) + scale * (steps[m] ?? 0) * (products[at + m] ?? 0) + slack <= (bars[m] ?? 0))) return false;
  return true;
}
