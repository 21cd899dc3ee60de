/** What each method computes on a cluster, pass by pass. */
import { join } from "node:path";
import { invalidArgument } from "../../arguments.js";
import type { Checkpoint } from "../../attribution/checkpoint.js";
import { diagonalDamping, featuresDamping, layersDamping } from "../../attribution/damping.js";
import { ratesOf } from "../../attribution/gradients.js";
import { byDiagonal, diagonalBy } from "../../attribution/inverses/diagonal.js";
import type { Apply } from "../../attribution/inverses/inverse.js";
import type { Method } from "../../attribution/method.js";
import { joined } from "../../attribution/products.js";
import { looked, looksAtMargin } from "../../attribution/store/features.js";
import { Table } from "../../attribution/table.js";
import { inverseOf, usualDims } from "../../attribution/trak.js";
import type { PergradError } from "../../errors.js";
import { entryOf, nth, present } from "../../present.js";
import type { Dataset } from "../../program/given-data.js";
import type { Program } from "../../program/program.js";
import { KroneckerCurvature } from "../../solvers/kronecker.js";
import { floatsIn } from "../../tensor/tensor.js";
import { projectedBy } from "../../wants/projection.js";
import { type FloatTensor, type Want, want } from "../../wants/want.js";
import { tensorFile } from "../job.js";
import { mostSamples, type Passes } from "./passes.js";
import {
  type CheckpointPart,
  crossed,
  type FeatureScores,
  multiplied,
  type ProductScores,
  requireQueries,
  type Scoring,
} from "./scoring.js";

/** What is to be scored, and how. */
export interface ScoringRequest {
  readonly method: Method;
  /** At least one. */
  readonly checkpoints: readonly Checkpoint[];
  readonly queries: Dataset;
  readonly passes: Passes;
  readonly out: string;
}

/** Throws INVALID_ARGUMENT if the method cannot be computed on a cluster. */
export function requireComputable({ name, settings }: Method): void {
  if (!["gradDot", "gradCos", "tracIn", "trak", "loGra", "influence"].includes(name))
    throw refused(`${name} needs all training samples at once, or one after another`);
  if (settings.adam) throw refused("tracIn with Adam's steps needs every sample's gradient at once");
  if (settings.projection) throw refused("trak with a projection that is given would send all of it to every worker");
  const { inverse, of } = settings;
  if (name !== "influence") return;
  if (!isThroughLayers(inverse) && inverse !== "diagonal")
    throw refused(`The inverse "${inverse}" needs products of all training samples, or reads them for each query`);
  if (of === "hessian") throw refused("The Hessian's diagonal is computed sample by sample");
}

const isThroughLayers = (inverse: unknown) => inverse === "ekfac" || inverse === "kfac";

/** Runs the passes before the last one. Throws INVALID_ARGUMENT if the method cannot be computed on a cluster. */
export function scoringOf(request: ScoringRequest): Promise<Scoring> {
  requireComputable(request.method);
  const { checkpoints } = request;
  const { name, settings } = request.method;
  switch (name) {
    case "gradDot":
    case "gradCos":
      return byProducts(
        request,
        checkpoints.map(() => 1 / checkpoints.length),
        name === "gradCos",
      );
    case "tracIn":
      return byProducts(request, ratesOf(checkpoints, numbersIn(settings.learningRates)), settings.cosine === true);
    case "trak":
    case "loGra":
      return byFeatures(request);
    case "influence":
      return byInverse(request);
    default:
      throw refused(`${name} needs all training samples at once, or one after another`);
  }
}

function numbersIn(setting: unknown): readonly number[] | undefined {
  return Array.isArray(setting) ? setting.map(Number) : undefined;
}

function refused(why: string): PergradError {
  return invalidArgument(
    `${why}; on a cluster, use gradDot, gradCos, tracIn, trak, loGra, or influence with the inverse "ekfac", "kfac" or "diagonal".`,
  );
}

async function byProducts({ checkpoints, queries }: ScoringRequest, weights: readonly number[], cosine: boolean) {
  const parts: CheckpointPart<ProductScores>[] = [];
  for (const [k, checkpoint] of checkpoints.entries())
    parts.push(await crossed(checkpoint, k, queries, { weight: nth(weights, k), cosine }));
  return scoringByProducts(parts);
}

function scoringByProducts(parts: readonly CheckpointPart<ProductScores>[]): Scoring {
  const products = parts.map(({ scores }) => scores);
  return { files: filesOf(parts), scores: { queries: nth(parts, 0).queries, products } };
}

function filesOf(parts: readonly Pick<Scoring, "files">[]): Scoring["files"] {
  return Object.assign({}, ...parts.map(({ files }) => files));
}

/** Products with the queries' gradients times an inverse, which sums over the training samples determine. */
async function byInverse(request: ScoringRequest): Promise<Scoring> {
  const { method, checkpoints, queries } = request;
  const { inverse, of } = method.settings;
  const layers = isThroughLayers(inverse);
  const fisher = of === "fisher";
  const parts: CheckpointPart<ProductScores>[] = [];
  const dampings: number[] = [];
  for (const [k, checkpoint] of checkpoints.entries()) {
    const damping = dampings[0] ?? givenDamping(method) ?? (await measured(request, checkpoint, fisher));
    const inverted: Inverted = layers
      ? await throughLayers(request, k, fisher, damping)
      : {
          apply: byDiagonal(
            await diagonalBy(over(request, k, "moments"), checkpoint, fisher ? "fisher" : "ggn"),
            damping,
            fisher ? "fisher" : "ggn",
          ),
        };
    try {
      const rows: Float32Array[] = [];
      for await (const { rows: own } of checkpoint.rows(queries)) rows.push(await inverted.apply(own));
      parts.push(await multiplied(checkpoint, k, joined(rows), 1 / checkpoints.length));
    } finally {
      await inverted.release?.();
    }
    dampings.push(damping);
  }
  return { ...scoringByProducts(parts), dampings };
}

const givenDamping = ({ settings: { damping } }: Method) => (typeof damping === "number" ? damping : undefined);

function over({ passes, checkpoints }: ScoringRequest, k: number, what: string) {
  return passes.over((pass) => join(`checkpoint-${k}`, pass === 0 ? what : "eigenvalues"), nth(checkpoints, k));
}

/** The usual damping, measured at the first checkpoint on a few training samples. */
async function measured({ method, passes }: ScoringRequest, checkpoint: Checkpoint, fisher: boolean): Promise<number> {
  const { inverse } = method.settings;
  const program = await checkpoint.program({ losses: want.losses() });
  try {
    const samples = await passes.sampled(program);
    const options = { sampled: (await checkpoint.count(samples)) >= mostSamples };
    return inverse === "diagonal"
      ? await diagonalDamping(checkpoint, samples, fisher ? "fisher" : "ggn")
      : await layersDamping(checkpoint, samples, fisher ? "empirical" : "type2", inverse === "ekfac", options);
  } finally {
    await program.release();
  }
}

/** Multiplies rows by an inverse; `release` frees the runtime's memory. */
interface Inverted {
  readonly apply: Apply;
  readonly release?: () => Promise<void>;
}

async function throughLayers(request: ScoringRequest, k: number, fisher: boolean, damping: number): Promise<Inverted> {
  const { objective, space } = nth(request.checkpoints, k);
  const factors = await KroneckerCurvature.by(over(request, k, "factors"), objective, {
    kind: fisher ? "empirical" : "type2",
    corrected: request.method.settings.inverse === "ekfac",
  });
  return {
    apply: async (rows) =>
      space.rows(await factors.solveEach(space.apart(rows), { damping }), rows.length / space.size),
    release: () => factors.release(),
  };
}

type Projecting = Program<{ phi: Want<FloatTensor>; values: Want<FloatTensor> }>;

/** Projects the gradients of all training samples, which stay in the folder, and inverts the sum of their outer products. */
async function byFeatures(request: ScoringRequest): Promise<Scoring> {
  const { method, checkpoints } = request;
  const parts: CheckpointPart<FeatureScores>[] = [];
  const dampings: number[] = [];
  for (const [k, checkpoint] of looked(checkpoints, method).entries()) {
    const atMargin = looksAtMargin(method, nth(checkpoints, k).objective.loss);
    const { dims: most, seed } = method.settings;
    const { size } = checkpoint.space;
    const dims = Math.min(Number(most ?? usualDims), size);
    const program: Projecting = await checkpoint.program({
      phi: want.project({ dims, seed: Number(seed ?? 0) + k, by: projectedBy(dims, size) }),
      values: want.losses(),
    });
    try {
      const { part, damping } = await projected(request, program, { k, dims, atMargin, damping: dampings[0] });
      parts.push(part);
      dampings.push(damping);
    } finally {
      await program.release();
    }
  }
  const features = parts.map(({ scores }) => scores);
  return { files: filesOf(parts), scores: { queries: nth(parts, 0).queries, features }, dampings };
}

interface Projection {
  readonly k: number;
  readonly dims: number;
  readonly atMargin: boolean;
  /** That of the first checkpoint. */
  readonly damping: number | undefined;
}

async function projected(
  { method, checkpoints, queries, passes, out }: ScoringRequest,
  program: Projecting,
  { k, dims, atMargin, damping: before }: Projection,
): Promise<{ readonly part: CheckpointPart<FeatureScores>; readonly damping: number }> {
  const folder = join(`checkpoint-${k}`, "features");
  const { sums, samples } = await passes.map(folder, program, { gram: ["phi/projected"] });
  const loGra = method.name === "loGra";
  const phi = (await program.runAll(queries, { notFinite: "throw" })).phi;
  const count = phi.dims[0] ?? 0;
  requireQueries(count);
  // The damping is added to the sum Phi' Phi; LoGra's is given for the mean.
  const given = givenDamping(method);
  const damping =
    before ??
    (given === undefined
      ? await featuresDampingOf(passes, program, { dims, samples, atMargin })
      : loGra
        ? given * samples
        : given);
  const gram = entryOf(Object.fromEntries(sums), "phi/projected/gram");
  const solver = inverseOf(Float64Array.from(floatsIn(gram)), { dims, samples, damping });
  const factor = (loGra ? samples : 1) / checkpoints.length;
  const vectors = new Float64Array(count * dims);
  for (let m = 0; m < count; m++) {
    const solved = solver.solve(Float64Array.from(phi.data.subarray(m * dims, (m + 1) * dims)));
    vectors.set(
      solved.map((each) => factor * each),
      m * dims,
    );
  }
  const files = tensorFile(`vectors-${k}.safetensors`, {
    vectors: { dtype: "float64", dims: [count, dims], data: vectors },
  });
  const scores = {
    folder: join(out, folder),
    result: "phi/projected",
    vectors: nth(Object.keys(files), 0),
    ...(atMargin ? { odds: "values/losses" } : {}),
  };
  return { part: { scores, queries: count, files }, damping };
}

/** The usual damping, scaled to all samples. */
async function featuresDampingOf(
  passes: Passes,
  program: Projecting,
  { dims, samples, atMargin }: { readonly dims: number; readonly samples: number; readonly atMargin: boolean },
): Promise<number> {
  const { phi, values } = await program.runAll(await passes.sampled(program), { notFinite: "throw" });
  const table = new Table(present(phi.dims[0]), dims, Float64Array.from(phi.data));
  // 1 - p, from the logarithm of the odds.
  const weights = atMargin ? Float64Array.from(values.data, (value) => 1 / (1 + Math.exp(value))) : null;
  return featuresDamping({ phi: table, weights }, samples);
}
