/** Measures how well scores predict the result of training on other samples (Park et al. 2023, "TRAK"). */
import {
  checkNumber,
  checkOptions,
  checkWhole,
  invalidArgument,
  type OptionNames,
  requireTensor,
} from "../arguments.js";
import { PergradError } from "../errors.js";
import { meanOf } from "../solvers/vectors.js";
import { random } from "../tensor/random.js";
import type { Tensor } from "../tensor/tensor.js";

/** Options of `attribution.subsets`. */
export interface SubsetOptions {
  /** The number of training samples, N. */
  readonly samples: number;
  /** The number of subsets, S. Default 40. */
  readonly count?: number;
  /** The share of the samples in each subset. Default 0.5. */
  readonly fraction?: number;
  /** The seed of the subsets. Default 0. */
  readonly seed?: number;
}

const subsetOptions: OptionNames<SubsetOptions> = { samples: true, count: true, fraction: true, seed: true };

/**
 * Random subsets of the training samples, all of one size, `[S, N]`: 1 if a sample is in the subset. Train a new model
 * on each (or several, from different initial weights, and average their losses, if those are noisy), and pass the
 * queries' losses to `linearDatamodelingScore`.
 * @throws PergradError INVALID_ARGUMENT.
 */
export function subsets(options: SubsetOptions): Tensor<"uint8"> {
  checkOptions("attribution.subsets(options)", options, subsetOptions);
  const { samples, count = 40, fraction = 0.5, seed = 0 } = options;
  if (samples === undefined)
    throw invalidArgument("attribution.subsets needs samples, the number of training samples; give it.");
  checkWhole("The number of samples of subsets", samples, 1);
  checkWhole("The count of subsets", count, 1);
  checkNumber("The fraction of subsets", fraction, { above: 0, below: 1 });
  checkWhole("The seed of subsets", seed, 0, 2 ** 32 - 1);
  const size = Math.max(1, Math.round(fraction * samples));
  const data = new Uint8Array(count * samples);
  const source = random(seed);
  for (let s = 0; s < count; s++) {
    const order = Uint32Array.from({ length: samples }, (_, n) => n);
    for (let k = 0; k < size; k++) {
      const other = Math.floor(source.uniform(k, samples));
      const picked = order[other] ?? 0;
      order[other] = order[k] ?? 0;
      data[s * samples + picked] = 1;
    }
  }
  return { dtype: "uint8", dims: [count, samples], data };
}

/** How well scores predict losses. */
export interface LinearDatamodelingScore {
  /** The mean over queries of the rank correlation over subsets. */
  readonly score: number;
  /** Its standard error, from its variation among queries. */
  readonly error: number;
  /** The correlation of each query, `[Q]`; NaN if its losses, or its sums, are all equal. */
  readonly queries: Float64Array;
}

/**
 * For each query: the rank correlation (Spearman's), over subsets of the training samples, between the sum of its
 * scores over the subset and minus its loss after training on that subset. Then the mean over queries. Equal numbers
 * share their ranks.
 * @param scores `[Q, N]`, as `attribution.scores` returns them
 * @param subsets `[S, N]`: 1 if a sample is in the subset
 * @param losses `[S, Q]`, or `[S, R, Q]` if each subset was trained R times: their mean is used
 * @throws PergradError SHAPE_MISMATCH.
 */
export function linearDatamodelingScore(scores: Tensor, subsets: Tensor, losses: Tensor): LinearDatamodelingScore {
  for (const [name, tensor] of Object.entries({ scores, subsets, losses }))
    requireTensor(`The ${name} of linearDatamodelingScore`, tensor);
  const [queries = 0, samples = 0] = scores.dims;
  const [count = 0] = subsets.dims;
  const { dims } = losses;
  if (scores.dims.length !== 2) throw wrongShape("The scores", scores, "[queries, samples]");
  if (subsets.dims.length !== 2 || subsets.dims[1] !== samples)
    throw wrongShape("The subsets", subsets, `[subsets, ${samples}]`);
  if ((dims.length !== 2 && dims.length !== 3) || dims[0] !== count || dims.at(-1) !== queries)
    throw wrongShape("The losses", losses, `[${count}, ${queries}] or [${count}, trainings, ${queries}]`);
  const trainings = dims.length === 3 ? (dims[1] ?? 0) : 1;
  const [own, masks, given] = [scores, subsets, losses].map(({ data }) =>
    Float64Array.from<number | bigint>(data, Number),
  );
  const found = new Float64Array(queries);
  for (let q = 0; q < queries; q++) {
    const sums = new Float64Array(count);
    const results = new Float64Array(count);
    for (let s = 0; s < count; s++) {
      for (let n = 0; n < samples; n++)
        sums[s] = (sums[s] ?? 0) + (masks?.[s * samples + n] ?? 0) * (own?.[q * samples + n] ?? 0);
      for (let r = 0; r < trainings; r++)
        results[s] = (results[s] ?? 0) - (given?.[(s * trainings + r) * queries + q] ?? 0);
    }
    found[q] = correlation(ranks(sums), ranks(results));
  }
  const score = meanOf(found);
  const spread = meanOf(found.map((each) => (each - score) ** 2));
  return { score, error: Math.sqrt(spread / Math.max(1, queries)), queries: found };
}

function wrongShape(what: string, { dims }: Tensor, wanted: string): PergradError {
  return new PergradError("SHAPE_MISMATCH", `${what} are [${dims.join(", ")}]; give ${wanted}.`);
}

/** Ranks from 0; equal numbers get their mean rank. */
export function ranks(numbers: Float64Array): Float64Array {
  const order = [...numbers.keys()].sort((a, b) => (numbers[a] ?? 0) - (numbers[b] ?? 0));
  const found = new Float64Array(numbers.length);
  for (let from = 0; from < order.length; ) {
    let to = from + 1;
    while (to < order.length && numbers[order[to] ?? 0] === numbers[order[from] ?? 0]) to++;
    for (let k = from; k < to; k++) found[order[k] ?? 0] = (from + to - 1) / 2;
    from = to;
  }
  return found;
}

export function correlation(a: Float64Array, b: Float64Array): number {
  const [meanA, meanB] = [meanOf(a), meanOf(b)];
  let [both, squaresA, squaresB] = [0, 0, 0];
  for (let k = 0; k < a.length; k++) {
    const [x, y] = [(a[k] ?? 0) - meanA, (b[k] ?? 0) - meanB];
    both += x * y;
    squaresA += x * x;
    squaresB += y * y;
  }
  return both / Math.sqrt(squaresA * squaresB);
}
