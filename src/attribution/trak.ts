/**
 * TRAK (Park et al. 2023, "TRAK: attributing model behavior at scale"): the features phi are projected gradients of the
 * label's odds, log p - log(1 - p).
 */

import {
  checkNumber,
  checkOptions,
  checkWhole,
  checkWord,
  invalidArgument,
  type OptionNames,
  requireTensor,
} from "../arguments.js";
import { PergradError } from "../errors.js";
import type { Dataset } from "../program/given-data.js";
import { option, sentence } from "../sentence.js";
import { Cholesky } from "../solvers/cholesky.js";
import { dot } from "../solvers/vectors.js";
import type { Tensor } from "../tensor/tensor.js";
import { projectedBy } from "../wants/projection.js";
import { want } from "../wants/want.js";
import type { Checkpoint } from "./checkpoint.js";
import { featuresDamping, gramOf } from "./damping.js";
import { added } from "./gradients.js";
import { margin } from "./margin.js";
import { alike, type Method, type Setting } from "./method.js";
import { RowProducts } from "./products.js";
import { Table } from "./table.js";

/** Options of `attribution.trak`. */
export interface TrakOptions {
  /** The number of dimensions of a feature. Default 2048, or the number of parameters if that is less. */
  readonly dims?: number;
  /** The seed of the first checkpoint's projection; the other checkpoints use the seeds that follow. Default 0. */
  readonly seed?: number;
  /** `[P, dims]`: the projection of all checkpoints, its rows in the order of the parameters. Default: a random one. */
  readonly projection?: Tensor;
  /**
   * The number added to the diagonal of Phi' Phi. Default: measured on held-out training samples (docs/attribution.md).
   */
  readonly damping?: number;
  /**
   * The scalar whose gradients are the features: the label's odds ("margin", for cross_entropy), weighted with 1 - p;
   * or the loss itself. The odds depend neither on the loss's label smoothing nor on its class weights. Default:
   * "margin" if the loss is cross_entropy, else "loss".
   */
  readonly output?: "margin" | "loss";
}

/** The default number of dimensions of a feature. */
export const usualDims = 2048;

const trakOptions: OptionNames<TrakOptions> = {
  dims: true,
  seed: true,
  projection: true,
  damping: true,
  output: true,
};

/** The features of samples, and their weights. */
interface Features {
  /** `[N, dims]` */
  readonly phi: Table;
  /** 1 - p of each sample's label, `[N]`; 1 if features are of the loss. */
  readonly weights: Float64Array;
}

/**
 * phi_n (Phi' Phi + t I)^-1 phi_m, averaged over checkpoints, times the mean over checkpoints of 1 - p of the training
 * sample's label. By default phi is the gradient of the label's odds, which the loss's label smoothing and class weights
 * do not change.
 * @throws PergradError INVALID_ARGUMENT.
 */
export function trak(options: TrakOptions = {}): Method {
  checkOptions("attribution.trak(options)", options, trakOptions);
  requireOptions(options);
  const { dims, seed = 0, damping, output } = options;
  return {
    name: "trak",
    settings: {
      ...(dims === undefined ? {} : { dims }),
      seed,
      ...(damping === undefined ? {} : { damping }),
      ...(output === undefined ? {} : { output }),
      ...(options.projection ? { projection: true } : {}),
    },
    scores: async (setting, queries) => {
      const { tables, weights, dampings } = await each(setting, options, async (features, trained, solve) => {
        const { phi } = await features(queries);
        const found = new Table(phi.rows, trained.phi.rows);
        for (let m = 0; m < phi.rows; m++) {
          const solved = solve(phi.row(m).slice());
          for (let n = 0; n < trained.phi.rows; n++)
            found.data[m * found.columns + n] = dot(solved, trained.phi.row(n));
        }
        return found;
      });
      const { length } = tables;
      return { table: added(tables).map((value, _, n) => (value / length) * (weights[n] ?? 0)), dampings };
    },
    shown: (checkpoint) => {
      const { dims: own, output: of } = lookedAt(checkpoint, options);
      return { dims: own, output: of };
    },
    explain: async (checkpoint) => {
      const { looked, dims } = lookedAt(checkpoint, options);
      if (!options.projection)
        return (await import("./approximations.js")).projected(looked, {
          dims,
          seed,
          by: projectedBy(dims, looked.space.size),
        });
      const how = `projected to ${dims} numbers by the given matrix, all gradients materialised`;
      return alike(looked, "given projection", how);
    },
    self: async (setting) => {
      const { tables, weights } = await each(setting, options, async (_, { phi }, solve) => {
        const own = Float64Array.from({ length: phi.rows }, (_, n) => dot(solve(phi.row(n).slice()), phi.row(n)));
        return new Table(1, phi.rows, own);
      });
      const { length } = tables;
      return added(tables)
        .row(0)
        .map((value, n) => (value / length) * (weights[n] ?? 0));
    },
  };
}

/** Throws INVALID_ARGUMENT. */
export function checkProjection(
  of: string,
  { dims, seed, damping }: { readonly [K in "dims" | "seed" | "damping"]?: TrakOptions[K] | undefined },
): void {
  checkWhole(`The number of dims of ${of}`, dims, 1);
  checkWhole(`The seed of ${of}`, seed, 0, 2 ** 31 - 1);
  checkNumber(`The damping of ${of}`, damping, { from: 0 });
}

/** Throws INVALID_ARGUMENT. */
function requireOptions({ projection, output, ...options }: TrakOptions): void {
  checkProjection("trak", options);
  checkWord("The output of trak", output, ["margin", "loss"]);
  if (projection === undefined) return;
  requireTensor("The projection of trak", projection);
  const { dims, seed } = options;
  if (seed !== undefined)
    throw invalidArgument("trak draws no random projection if one is given; leave out the seed or the projection.");
  if (dims !== undefined && projection.dims[1] !== dims)
    throw invalidArgument(
      `The projection has ${projection.dims[1] ?? 0} columns, but dims is ${dims}; leave dims out.`,
    );
}

type Solve = (vector: Float64Array) => Float64Array;

/** f of each checkpoint's features, and the mean weights. */
async function each(
  { checkpoints, train }: Setting,
  options: TrakOptions,
  f: (features: (data: Dataset) => Promise<Features>, trained: Features, solve: Solve) => Promise<Table>,
) {
  const tables: Table[] = [];
  const dampings: number[] = [];
  let weights = new Float64Array(0);
  for (const [k, checkpoint] of checkpoints.entries()) {
    const features = featuresOf(checkpoint, options, k);
    const trained = await features(train);
    if (weights.length === 0) weights = new Float64Array(trained.weights.length);
    weights = weights.map((weight, n) => weight + (trained.weights[n] ?? 0) / checkpoints.length);
    const damping = options.damping ?? dampings[0] ?? (await measuredOn(trained, checkpoint, options));
    tables.push(await f(features, trained, solverOf(trained.phi, damping)));
    dampings.push(damping);
  }
  return { tables, weights, dampings };
}

function measuredOn({ phi, weights }: Features, checkpoint: Checkpoint, options: TrakOptions): Promise<number> {
  const odds = lookedAt(checkpoint, options).output === "margin";
  return featuresDamping({ phi, weights: odds ? weights : null }, phi.rows, checkpoint.threads);
}

function solverOf(phi: Table, damping: number): Solve {
  const { columns } = phi;
  const rows = Array.from({ length: phi.rows }, (_, n) => phi.row(n));
  const solver = inverseOf(gramOf(rows, columns), { dims: columns, samples: phi.rows, damping });
  return (vector) => solver.solve(vector);
}

/**
 * The inverse of Phi' Phi, damped.
 * @param gram Phi' Phi, `[dims, dims]`
 * @throws PergradError INVALID_ARGUMENT if it has none.
 */
export function inverseOf(
  gram: Float64Array,
  { dims, samples, damping }: { readonly dims: number; readonly samples: number; readonly damping: number },
): Cholesky {
  const inverse = Cholesky.of(gram, dims, damping);
  if (inverse) return inverse;
  throw new PergradError(
    "INVALID_ARGUMENT",
    sentence`The ${dims} features of ${samples} training samples are not independent, so their matrix has no inverse with the damping ${damping}; give a larger ${option("damping")}, or fewer ${option("dims")}${dims > samples ? " than samples" : ""}.`,
  );
}

function featuresOf(
  checkpoint: Checkpoint,
  options: TrakOptions,
  number: number,
): (data: Dataset) => Promise<Features> {
  const { looked, output, dims } = lookedAt(checkpoint, options);
  const projected = options.projection
    ? byGiven(looked, options.projection)
    : bySigns(looked, dims, (options.seed ?? 0) + number);
  return async (data) => {
    const { phi, values } = await projected(data);
    // 1 - p, from the logarithm of the odds.
    const weights = values.map((value) => (output === "margin" ? 1 / (1 + Math.exp(value)) : 1));
    return { phi, weights };
  };
}

/** The scalar whose gradients are features, and the number of dimensions of each feature. */
function lookedAt(
  checkpoint: Checkpoint,
  { projection, dims = projection?.dims[1] ?? usualDims, ...options }: TrakOptions,
) {
  const { loss } = checkpoint.objective;
  const { output = loss.name === "cross_entropy" ? "margin" : "loss" } = options;
  const looked = output === "margin" ? checkpoint.with({ loss: margin(loss) }) : checkpoint;
  return { looked, output, dims: Math.min(dims, checkpoint.space.size) };
}

interface Projected {
  readonly phi: Table;
  /** The values of that scalar, `[N]`. */
  readonly values: Float64Array;
}

function bySigns(checkpoint: Checkpoint, dims: number, seed: number): (data: Dataset) => Promise<Projected> {
  const by = projectedBy(dims, checkpoint.space.size);
  return async (data) => {
    const { phi, values } = await checkpoint.all(
      { phi: want.project({ dims, seed, by }), values: want.losses() },
      data,
    );
    return {
      phi: new Table(values.data.length, dims, Float64Array.from(phi.data)),
      values: Float64Array.from(values.data),
    };
  };
}

/** Throws SHAPE_MISMATCH. */
function byGiven(checkpoint: Checkpoint, projection: Tensor): (data: Dataset) => Promise<Projected> {
  const { size } = checkpoint.space;
  const [rows, dims = 0] = projection.dims;
  if (projection.dims.length !== 2 || rows !== size)
    throw new PergradError(
      "SHAPE_MISMATCH",
      `The projection is [${projection.dims.join(", ")}], but the parameters of the model have ${size} elements; give a row for each element.`,
    );
  const columns = new Float32Array(size * dims);
  for (const [k, value] of projection.data.entries()) columns[(k % dims) * size + Math.floor(k / dims)] = Number(value);
  return async (data) => {
    const products = new RowProducts(checkpoint.threads);
    const parts: Table[] = [];
    try {
      for await (const { from, to, rows: gradients } of checkpoint.rows(data))
        parts.push(new Table(to - from, dims, Float64Array.from(await products.of(gradients, columns, size))));
    } finally {
      await products.release();
    }
    const { values } = await checkpoint.all({ values: want.losses() }, data);
    return { phi: Table.stacked(parts), values: Float64Array.from(values.data) };
  };
}
