/**
 * Measures the damping, if none is given, on held-out training samples. Two disjoint parts of the training samples give
 * two curvatures; a third part is held out and scored against itself by both. The first curvature is damped by each
 * number of a grid; the second by a small reference, so that it is nearly unbiased, though noisy. The number at which
 * the first agrees best with the second (by the mean over queries of the rank correlation) is used. With less damping
 * the noise of the few samples dominates; with more, influence becomes a plain product of gradients. A training that
 * ended early acts as a damping too, so it is never less than that (progress.ts).
 */
import { invalidArgument } from "../arguments.js";
import { PergradError } from "../errors.js";
import { nth } from "../present.js";
import type { Batch, Dataset } from "../program/given-data.js";
import { option, sentence } from "../sentence.js";
import { BlockedCholesky, type CholeskyOptions } from "../solvers/blocked-cholesky.js";
import { dot } from "../solvers/vectors.js";
import type { Checkpoint } from "./checkpoint.js";
import { diagonalBy } from "./inverses/diagonal.js";
import { InEigenvectors } from "./inverses/kronecker.js";
import { correlation, ranks } from "./lds.js";
import { joined, RowProducts } from "./products.js";
import { progressOf, progressOfFeatures } from "./progress.js";
import { elementsOf, mostElements, PulledBack } from "./pseudo.js";
import { Table } from "./table.js";

/** Scores held-out samples with the curvatures of two halves. */
interface Halves {
  /** The mean trace of the curvature, or another number by which the grid is multiplied. */
  readonly trace: number;
  /** The held-out samples scored against themselves, by the curvature of one half. */
  scores(half: 0 | 1, damping: number): Promise<Table>;
}

/** Multiples of the trace, half a decade apart. */
const grid = [-5, -4.5, -4, -3.5, -3, -2.5, -2, -1.5, -1].map((power) => 10 ** power);
/**
 * The reference, as a multiple of the trace: for a matrix of all parameters, and for one that is inverted layer by
 * layer, or of which only the diagonal is, both of which are less noisy.
 */
const references = { whole: 3e-4, layers: 2e-5, diagonal: 1e-5 } as const;
/** Dampings of a diagonal are compared around its mean: from a hundredth to a hundred times that, by the same grid. */
const aroundMean = 1e3;
/**
 * The least damping, as a multiple of what the progress of the training says. Layer by layer, curvatures have their
 * trace in far more directions, so all dampings are smaller.
 */
const early = { whole: 0.7, layers: 0.05 } as const;
/** The most samples used; of every five, two are in each half and one is held out. */
const maxSamples = 1500;
/** Fewer samples than this say nothing. */
const leastSamples = 20;
/** The most held-out samples scored layer by layer: their gradients are materialised. */
const mostScored = 60;

/** Options of measuring a damping. */
export interface MeasuringOptions {
  /** Whether the data is a sample of many more training samples. Default false. */
  readonly sampled?: boolean;
}

interface DataHalves {
  readonly first: Batch[];
  readonly second: Batch[];
  readonly held: Batch[];
}

/** For the empirical Fisher matrix or the generalised Gauss-Newton matrix of all parameters. */
export async function wholeDamping(checkpoint: Checkpoint, train: Dataset, of: "fisher" | "ggn"): Promise<number> {
  const quiet = await lessNoisy(checkpoint, train, of);
  const progress = await progressOf(checkpoint, train, false);
  return Math.max(early.whole * progress[of], quiet);
}

/** Throws INVALID_ARGUMENT. */
async function lessNoisy(checkpoint: Checkpoint, train: Dataset, of: "fisher" | "ggn"): Promise<number> {
  const pulled = of === "ggn" ? pulledBack(checkpoint) : undefined;
  const parts = await partsOf(checkpoint, train, maxSamples);
  const source = pulled?.scalars ?? checkpoint;
  const held = pulled ? await pulled.losses(parts.held) : parts.held;
  const products = async (samples: Dataset, others: Dataset) =>
    (await source.cross(samples, others))[0] ?? new Table(0, 0);
  const direct = await products(held, held);
  const halves: { readonly kernel: Table; readonly along: Table; readonly samples: number }[] = [];
  for (const half of [parts.first, parts.second]) {
    const rows = pulled ? await pulled.pseudo(half) : half;
    halves.push({
      kernel: await products(rows, rows),
      along: await products(rows, held),
      samples: await checkpoint.count(half),
    });
  }
  const [{ kernel, samples } = { kernel: new Table(0, 0), samples: 1 }] = halves;
  let trace = 0;
  for (let k = 0; k < kernel.rows; k++) trace += kernel.at(k, k) / samples;
  return chosen(
    {
      trace,
      scores: async (half, damping) => {
        const { kernel: own, along, samples: count } = halves[half] ?? { kernel, along: direct, samples };
        return kernelScores(own, along, direct, { added: count * damping, threads: checkpoint.threads });
      },
    },
    references.whole,
  );
}

/** Throws INVALID_ARGUMENT. */
function pulledBack(checkpoint: Checkpoint): PulledBack {
  const pulled = PulledBack.of(checkpoint);
  if (pulled) return pulled;
  throw invalidArgument(
    sentence`A damping of the ggn is measured for outputs of at most ${mostElements} elements a sample, but this one has ${elementsOf(checkpoint)}; give one, such as ${option("damping", 0.01)}, or ${option("inverse", "ekfac")}, whose damping is measured layer by layer, or ${option("of", "fisher")}.`,
  );
}

/**
 * (direct - along' (K + s I)^-1 along): influence times the damping, a factor that does not affect ranks. Throws
 * INVALID_ARGUMENT.
 */
async function kernelScores(
  kernel: Table,
  along: Table,
  direct: Table,
  options: Required<CholeskyOptions>,
): Promise<Table> {
  const solver = await BlockedCholesky.of(kernel.data.slice(), kernel.rows, options);
  if (!solver) return new Table(direct.rows, direct.columns);
  try {
    const halves = new Table(along.rows, along.columns, along.data.slice());
    await solver.halves(halves.data);
    return direct.map((value, m, n) => value - dot(halves.row(m), halves.row(n)));
  } finally {
    await solver.release();
  }
}

/** For KFAC and EK-FAC. */
export async function layersDamping(
  checkpoint: Checkpoint,
  train: Dataset,
  of: "empirical" | "type2",
  corrected: boolean,
  { sampled = false }: MeasuringOptions = {},
): Promise<number> {
  const progress = await progressOf(checkpoint, train, sampled);
  const least = early.layers * (of === "type2" ? progress.ggn : progress.fisher);
  const { first, second, held } = await partsOf(checkpoint, train, maxSamples);
  const scored = await firstOf(held, mostScored, checkpoint);
  const { parts, blocks } = await checkpoint.kronecker(first, of, corrected);
  const { parts: others } = await checkpoint.kronecker(second, of, corrected);
  const trace = blocks.reduce(
    (sum, { eigenvalues }) => sum + eigenvalues.data.reduce((total, value) => total + Math.max(0, value), 0),
    0,
  );
  const products = new RowProducts(checkpoint.threads);
  let moved: { readonly half: number; readonly gradients: InEigenvectors } | undefined;
  try {
    const quiet = await chosen(
      {
        trace,
        scores: async (half, damping) => {
          // One half at a time, and each only once.
          if (moved?.half !== half) {
            moved = undefined;
            const gradients = await InEigenvectors.of(checkpoint, half === 0 ? parts : others, scored, products);
            moved = { half, gradients };
          }
          return moved.gradients.scores(damping);
        },
      },
      references.layers,
    );
    return Math.max(least, quiet);
  } finally {
    await products.release();
  }
}

/** For the diagonal of a matrix, which is far less noisy than the matrix. */
export async function diagonalDamping(checkpoint: Checkpoint, train: Dataset, of: "fisher" | "ggn"): Promise<number> {
  const parts = await partsOf(checkpoint, train, maxSamples);
  const diagonalOf = (half: Batch[]) => diagonalBy((_, wants) => checkpoint.all(wants, half), checkpoint, of);
  const halves = [await diagonalOf(parts.first), await diagonalOf(parts.second)];
  const { size } = checkpoint.space;
  const gradients = await gradientsOf(checkpoint, await firstOf(parts.held, mostScored, checkpoint));
  const products = new RowProducts(checkpoint.threads);
  const mean = nth(halves, 0).reduce((sum, value) => sum + value, 0) / Math.max(1, size);
  try {
    return await chosen(
      {
        trace: mean * aroundMean,
        scores: async (half, damping) => {
          const diagonal = nth(halves, half);
          const divided = gradients.map((value, k) => value / ((diagonal[k % size] ?? 0) + damping));
          const count = gradients.length / Math.max(1, size);
          return new Table(count, count, Float64Array.from(await products.of(gradients, divided, size)));
        },
      },
      references.diagonal,
    );
  } finally {
    await products.release();
  }
}

async function gradientsOf(checkpoint: Checkpoint, samples: Batch[]): Promise<Float32Array> {
  const found: Float32Array[] = [];
  for await (const { rows } of checkpoint.rows(samples)) found.push(rows);
  return joined(found);
}

/** The first samples, at most `most`. */
async function firstOf(batches: readonly Batch[], most: number, checkpoint: Checkpoint): Promise<Batch[]> {
  const found: Batch[] = [];
  let left = most;
  for await (const { feeds, samples } of checkpoint.blocks(batches)) {
    if (left === 0) break;
    const taken = Math.min(left, samples);
    found.push(
      checkpoint.picked(
        feeds,
        Uint32Array.from({ length: taken }, (_, k) => k),
      ),
    );
    left -= taken;
  }
  return found;
}

/** Features of samples, on which a damping is measured. */
export interface MeasuredFeatures {
  /** `[n, dims]` */
  readonly phi: Table;
  /** 1 - p of each sample, if the features are gradients of the label's odds; null if they are those of the loss. */
  readonly weights: Float64Array | null;
}

/** For the matrix Phi' Phi over `samples` samples; the features are those of some or all of them. */
export async function featuresDamping(
  { phi, weights }: MeasuredFeatures,
  samples: number,
  threads?: number,
): Promise<number> {
  const least = early.whole * progressOfFeatures(phi, weights, samples);
  return samples * Math.max(least, await lessNoisyFeatures(phi, threads));
}

/** For the mean of the features' squares. */
async function lessNoisyFeatures(phi: Table, threads: number | undefined): Promise<number> {
  const stride = Math.max(1, Math.ceil(phi.rows / maxSamples));
  const pick = (...places: readonly number[]) =>
    Array.from({ length: phi.rows }, (_, n) => n).filter((n) => n % stride === 0 && places.includes((n / stride) % 5));
  const rowsOf = (numbers: readonly number[]) => numbers.map((n) => phi.row(n));
  const [first, second, held] = [rowsOf(pick(0, 2)), rowsOf(pick(1, 3)), rowsOf(pick(4))];
  requireEnough(held.length * 5);
  // Through the products of the rows: there are seldom more rows than numbers in a row.
  const direct = productsOf(held, held);
  const halves = [first, second].map((rows) => ({ kernel: productsOf(rows, rows), along: productsOf(rows, held) }));
  let trace = 0;
  for (const row of first) trace += dot(row, row) / first.length;
  return chosen(
    {
      trace,
      scores: async (half, damping) => {
        const { kernel, along } = nth(halves, half);
        return kernelScores(kernel, along, direct, { added: damping * kernel.rows, threads });
      },
    },
    references.whole,
  );
}

/** `[others, rows]` */
function productsOf(rows: readonly Float64Array[], others: readonly Float64Array[]): Table {
  return new Table(others.length, rows.length).map((_, m, n) => dot(nth(others, m), nth(rows, n)));
}

/** The lower triangle of the sum of row' row. */
export function gramOf(rows: readonly Float64Array[], columns: number): Float64Array {
  const matrix = new Float64Array(columns * columns);
  for (const row of rows) addOuter(matrix, row);
  return matrix;
}

/** Adds a row times itself to the lower triangle. */
function addOuter(gram: Float64Array, row: Float64Array): void {
  const size = row.length;
  for (let i = 0; i < size; i++) {
    const factor = row[i] ?? 0;
    const at = i * size;
    if (factor !== 0) for (let j = 0; j <= i; j++) gram[at + j] = (gram[at + j] ?? 0) + factor * (row[j] ?? 0);
  }
}

async function chosen({ trace, scores }: Halves, reference: number): Promise<number> {
  if (!(trace > 0))
    throw new PergradError(
      "INVALID_ARGUMENT",
      sentence`The curvature of the training samples is 0, so no damping can be measured; if their gradients are not 0 too, the loss is linear in the model's output, as nll is: use cross_entropy (for logarithms of probabilities it is the same loss), or ${option("of", "fisher")}.`,
    );
  const other = ranked(await scores(1, reference * trace));
  const agreements: number[] = [];
  for (const factor of grid) agreements.push(agreement(ranked(await scores(0, factor * trace)), other));
  return trace * 10 ** peakOf(grid.map(Math.log10), agreements);
}

/** The place at which a parabola through the largest value and its neighbours is largest. */
function peakOf(places: readonly number[], values: readonly number[]): number {
  const most = values.indexOf(Math.max(...values));
  const [at = 0, left, right] = [places[most], values[most - 1], values[most + 1]];
  if (left === undefined || right === undefined) return at;
  const bend = left - 2 * (values[most] ?? 0) + right;
  const step = (places[most + 1] ?? at) - at;
  return bend < 0 ? at + (step * (left - right)) / (2 * bend) : at;
}

/** Each query's scores, without its score with itself, as ranks. */
function ranked(table: Table): Float64Array[] {
  return Array.from({ length: table.rows }, (_, m) => ranks(table.row(m).filter((_, n) => n !== m)));
}

function agreement(a: readonly Float64Array[], b: readonly Float64Array[]): number {
  const each = a.map((row, m) => correlation(row, b[m] ?? row)).filter((value) => !Number.isNaN(value));
  return each.reduce((sum, value) => sum + value, 0) / Math.max(1, each.length);
}

async function partsOf(checkpoint: Checkpoint, train: Dataset, most: number): Promise<DataHalves> {
  const samples = await checkpoint.count(train);
  requireEnough(samples);
  const stride = Math.max(1, Math.ceil(samples / most));
  const parts: DataHalves = { first: [], second: [], held: [] };
  let from = 0;
  for await (const { feeds, samples: count } of checkpoint.blocks(train)) {
    const pick = (...places: readonly number[]) =>
      Uint32Array.from(
        [...Array(count).keys()].filter((k) => (from + k) % stride === 0 && places.includes(((from + k) / stride) % 5)),
      );
    const add = (to: Batch[], places: Uint32Array) => {
      if (places.length > 0) to.push(checkpoint.picked(feeds, places));
    };
    add(parts.first, pick(0, 2));
    add(parts.second, pick(1, 3));
    add(parts.held, pick(4));
    from += count;
  }
  return parts;
}

/** Throws INVALID_ARGUMENT. */
function requireEnough(samples: number): void {
  if (samples >= leastSamples) return;
  throw new PergradError(
    "INVALID_ARGUMENT",
    sentence`A damping is measured on at least ${leastSamples} training samples, and there are ${samples}; give one, such as ${option("damping", 0.01)}.`,
  );
}
