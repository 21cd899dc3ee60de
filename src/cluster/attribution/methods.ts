/** What each method computes on a cluster, pass by pass. */
import { join } from "node:path";
import { invalidArgument } from "../../arguments.js";
import type { Checkpoint } from "../../attribution/checkpoint.js";
import { featuresDampingFor, layersDamping, wholeDamping } from "../../attribution/damping.js";
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
import type { Dataset } from "../../program/dataset.js";
import type { Program } from "../../program/program.js";
import { KroneckerCurvature } from "../../solvers/kronecker.js";
import { floatsIn } from "../../tensor/tensor.js";
import { type FloatTensor, type Want, want } from "../../wants/want.js";
import { givenFile } from "../job.js";
import type { Passes } from "./passes.js";
import {
  crossed,
  type Features,
  multiplied,
  type Products,
  requireQueries,
  type Scored,
  type Scoring,
} from "./scoring.js";

/** What is scored. */
export interface Asked {
  readonly method: Method;
  /** At least one. */
  readonly checkpoints: readonly Checkpoint[];
  readonly queries: Dataset;
  readonly passes: Passes;
  readonly out: string;
}

/** Throws INVALID_ARGUMENT where a method cannot be computed on a cluster. */
export function scoringOf(asked: Asked): Promise<Scoring> {
  const { checkpoints } = asked;
  const { name, settings } = asked.method;
  switch (name) {
    case "gradDot":
    case "gradCos":
      return bySums(
        asked,
        checkpoints.map(() => 1 / checkpoints.length),
        name === "gradCos",
      );
    case "tracIn":
      if (settings.adam) throw refused("tracIn with Adam's steps needs every sample's gradient at once");
      return bySums(asked, ratesOf(checkpoints, numbersIn(settings.learningRates)), settings.cosine === true);
    case "trak":
    case "loGra":
      if (settings.projection)
        throw refused("trak with a projection that is given would send all of it to every worker");
      return byFeatures(asked);
    case "influence":
      return byInverse(asked);
    default:
      throw refused(`${name} needs all training samples at once, or one after another`);
  }
}

function numbersIn(setting: unknown): readonly number[] | undefined {
  return Array.isArray(setting) ? setting.map(Number) : undefined;
}

function refused(why: string): PergradError {
  return invalidArgument(
    `${why}; on a cluster take gradDot, gradCos, tracIn, trak, loGra, or influence with the inverse "ekfac", "kfac" or "diagonal".`,
  );
}

async function bySums({ checkpoints, queries }: Asked, weights: readonly number[], cosine: boolean) {
  const found: Scored<Products>[] = [];
  for (const [k, checkpoint] of checkpoints.entries())
    found.push(await crossed(checkpoint, k, queries, { weight: nth(weights, k), cosine }));
  return { ...together(found), scores: { queries: nth(found, 0).queries, products: found.map(({ made }) => made) } };
}

function together(found: readonly Scored<unknown>[]): Pick<Scoring, "files"> {
  return { files: Object.assign({}, ...found.map(({ files }) => files)) };
}

/** Queries' gradients times an inverse that is known by sums over the training samples. */
async function byInverse(asked: Asked): Promise<Scoring> {
  const { method, checkpoints, queries } = asked;
  const { inverse, of } = method.settings;
  const layers = inverse === "ekfac" || inverse === "kfac";
  if (!layers && inverse !== "diagonal")
    throw refused(`The inverse "${inverse}" needs products of all training samples, or reads them for each query`);
  if (of === "hessian") throw refused("The Hessian's diagonal is computed sample by sample");
  const fisher = of === "fisher";
  const found: Scored<Products>[] = [];
  const dampings: number[] = [];
  for (const [k, checkpoint] of checkpoints.entries()) {
    const damping = dampings[0] ?? givenDamping(method) ?? (await measured(asked, checkpoint, fisher));
    const inverted: Inverted = layers
      ? await throughLayers(asked, k, fisher, damping)
      : {
          apply: byDiagonal(
            await diagonalBy(over(asked, k, "moments"), checkpoint, fisher ? "fisher" : "ggn"),
            damping,
          ),
        };
    try {
      const rows: Float32Array[] = [];
      for await (const { rows: own } of checkpoint.rows(queries)) rows.push(await inverted.apply(own));
      found.push(await multiplied(checkpoint, k, joined(rows), 1 / checkpoints.length));
    } finally {
      await inverted.release?.();
    }
    dampings.push(damping);
  }
  const products = found.map(({ made }) => made);
  return { ...together(found), scores: { queries: nth(found, 0).queries, products }, dampings };
}

const givenDamping = ({ settings: { damping } }: Method) => (typeof damping === "number" ? damping : undefined);

function over({ passes, checkpoints }: Asked, k: number, what: string) {
  return passes.over((pass) => join(`checkpoint-${k}`, pass === 0 ? what : "eigenvalues"), nth(checkpoints, k));
}

/** Of the first checkpoint, on a few of its training samples. */
async function measured({ method, passes }: Asked, checkpoint: Checkpoint, fisher: boolean): Promise<number> {
  const { inverse } = method.settings;
  const program = await checkpoint.program({ losses: want.losses() });
  try {
    const samples = await passes.sampled(program);
    return inverse === "diagonal"
      ? await wholeDamping(checkpoint, samples, fisher ? "fisher" : "ggn")
      : await layersDamping(checkpoint, samples, fisher ? "empirical" : "type2", inverse === "ekfac");
  } finally {
    await program.release();
  }
}

/** An inverse, and what frees the runtime's memory. */
interface Inverted {
  readonly apply: Apply;
  readonly release?: () => Promise<void>;
}

async function throughLayers(asked: Asked, k: number, fisher: boolean, damping: number): Promise<Inverted> {
  const { objective, space } = nth(asked.checkpoints, k);
  const factors = await KroneckerCurvature.by(over(asked, k, "factors"), objective, {
    kind: fisher ? "empirical" : "type2",
    corrected: asked.method.settings.inverse === "ekfac",
  });
  return {
    apply: async (rows) =>
      space.rows(await factors.solveEach(space.apart(rows), { damping }), rows.length / space.size),
    release: () => factors.release(),
  };
}

type Projecting = Program<{ phi: Want<FloatTensor>; values: Want<FloatTensor> }>;

/** Projected gradients of all training samples, which stay in the folder, and the inverse of the sum of their squares. */
async function byFeatures(asked: Asked): Promise<Scoring> {
  const { method, checkpoints } = asked;
  const found: Scored<Features>[] = [];
  const dampings: number[] = [];
  for (const [k, checkpoint] of looked(checkpoints, method).entries()) {
    const atMargin = looksAtMargin(method, nth(checkpoints, k).objective.loss);
    const { dims: most, seed } = method.settings;
    const dims = Math.min(Number(most ?? usualDims), checkpoint.space.size);
    const program: Projecting = await checkpoint.program({
      phi: want.project({ dims, seed: Number(seed ?? 0) + k }),
      values: want.losses(),
    });
    try {
      const { made, damping } = await projected(asked, program, { k, dims, atMargin, damping: dampings[0] });
      found.push(made);
      dampings.push(damping);
    } finally {
      await program.release();
    }
  }
  const features = found.map(({ made }) => made);
  return { ...together(found), scores: { queries: nth(found, 0).queries, features }, dampings };
}

interface Projection {
  readonly k: number;
  readonly dims: number;
  readonly atMargin: boolean;
  /** That of the first checkpoint. */
  readonly damping: number | undefined;
}

async function projected(
  { method, checkpoints, queries, passes, out }: Asked,
  program: Projecting,
  { k, dims, atMargin, damping: before }: Projection,
): Promise<{ readonly made: Scored<Features>; readonly damping: number }> {
  const folder = join(`checkpoint-${k}`, "features");
  const { sums, samples } = await passes.map(folder, program, { gram: ["phi/projected"] });
  const loGra = method.name === "loGra";
  const phi = (await program.runAll(queries, { notFinite: "throw" })).phi;
  const asked = phi.dims[0] ?? 0;
  requireQueries(asked);
  // Over the matrix Phi' Phi; that of LoGra is over its mean.
  const given = givenDamping(method);
  const damping =
    before ??
    (given === undefined ? await featuresDampingOf(passes, program, dims, samples) : loGra ? given * samples : given);
  const gram = entryOf(Object.fromEntries(sums), "phi/projected/gram");
  const solver = inverseOf(Float64Array.from(floatsIn(gram)), { dims, samples, damping });
  const factor = (loGra ? samples : 1) / checkpoints.length;
  const vectors = new Float64Array(asked * dims);
  for (let m = 0; m < asked; m++) {
    const solved = solver.solve(Float64Array.from(phi.data.subarray(m * dims, (m + 1) * dims)));
    vectors.set(
      solved.map((each) => factor * each),
      m * dims,
    );
  }
  const files = givenFile(`vectors-${k}.safetensors`, {
    vectors: { dtype: "float64", dims: [asked, dims], data: vectors },
  });
  const made = {
    folder: join(out, folder),
    result: "phi/projected",
    vectors: nth(Object.keys(files), 0),
    ...(atMargin ? { odds: "values/losses" } : {}),
  };
  return { made: { made, queries: asked, files }, damping };
}

/** As it would be measured on all samples. */
async function featuresDampingOf(passes: Passes, program: Projecting, dims: number, samples: number): Promise<number> {
  const { phi } = await program.runAll(await passes.sampled(program), { notFinite: "throw" });
  return featuresDampingFor(new Table(present(phi.dims[0]), dims, Float64Array.from(phi.data)), samples);
}
