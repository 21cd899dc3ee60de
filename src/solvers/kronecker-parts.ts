/** Each layer's curvature over a whole data set, in a basis of eigenvectors. */
import type { Objective, ObjectiveOptions } from "../compile/objective.js";
import { differentiableOf } from "../compile/results.js";
import { asMatrix, type Basis, blocksFor } from "../curvature/kronecker.js";
import type { Block } from "../curvature/layers.js";
import { kindOfTargets, type PseudoTargetKind } from "../curvature/pseudo-targets.js";
import type { Value } from "../graph/value.js";
import { elementFactor } from "../ops/build.js";
import { build } from "../ops/registry.js";
import { entryOf, leadingOf, present } from "../present.js";
import type { Dataset } from "../program/given-data.js";
import type { MemoryOptions } from "../program/microbatches.js";
import { type Running, runningOf } from "../program/options.js";
import type { Progress } from "../program/stream.js";
import { eigenvaluesIn, type KroneckerFactors } from "../wants/kronecker.js";
import { type FloatTensor, type Results, type Wants, want } from "../wants/want.js";
import { type SideEigenpairs, sideOf } from "./eigenvectors.js";

/** Options of `kroneckerCurvature`. */
export interface KroneckerOptions extends ObjectiveOptions, MemoryOptions {
  /**
   * "empirical": the empirical Fisher matrix (true labels); "type2": the generalised Gauss-Newton matrix; "drawn": an
   * estimate of it from `probes` random vectors for each sample.
   */
  readonly kind: "empirical" | "type2" | "drawn";
  /** For "drawn": the number of random vectors of signs. Default 1. */
  readonly probes?: number;
  /** For "drawn": the seed of these vectors. Default 0. */
  readonly seed?: number;
  /**
   * `true`: EK-FAC, whose eigenvalues are the curvature's diagonal in the basis of the factors' eigenvectors; it reads the data
   * a second time. `false`: KFAC, whose eigenvalues are the products of the factors' own. Default true.
   */
  readonly corrected?: boolean;
  /** How a layer's positions are put together: see `want.kroneckerFactors`. Default "expand". */
  readonly approximation?: "expand" | "reduce";
  /** Threads that the runtime may use. Default: all cores. */
  readonly threads?: number;
  /** Ends all work before the next batch, with the signal's reason as the error. Default: no signal. */
  readonly signal?: AbortSignal;
  /** Called with the samples done so far, after each part of every reading of the data. Default: nothing is called. */
  readonly onProgress?: (progress: Progress) => void;
}

/** A block of parameters, its two sides, and the eigenvalues in their eigenvectors, `[rows, columns]`. */
export interface DecomposedBlock {
  readonly block: Block;
  readonly rows: SideEigenpairs | null;
  readonly columns: SideEigenpairs;
  readonly eigenvalues: FloatTensor;
}

/** Computes wants over a whole data set. */
export type OverData = <W extends Wants>(objective: Objective, wants: W) => Promise<Results<W>>;

/** Computes wants over this data set, on this machine. Throws NOT_FINITE: a sample that is not finite spoils a mean. */
export function overData(data: Dataset, options: Running): OverData {
  return async (objective, wants) => {
    // The compiler is loaded when it is first used.
    const { Program } = await import("../program/program.js");
    const program = await Program.of(objective, { loss: objective.loss, ...runningOf(options), want: wants });
    try {
      return await program.runAll(data, { notFinite: "throw" });
    } finally {
      await program.release();
    }
  };
}

/** The parts of KFAC or, corrected, EK-FAC. */
export async function kroneckerParts(
  objective: Objective,
  over: OverData,
  options: Pick<KroneckerOptions, "kind" | "probes" | "seed" | "corrected" | "approximation" | "threads">,
): Promise<DecomposedBlock[]> {
  const { kind: name, probes, seed, corrected = true, approximation = "expand" } = options;
  const drawn = { ...(probes === undefined ? {} : { probes }), ...(seed === undefined ? {} : { seed }) };
  const kind = kindOfTargets("kroneckerCurvature", { kind: name, ...drawn });
  const wanted = { factors: want.kroneckerFactors({ kind: name, approximation, ...drawn }) };
  const { factors } = await over(objective, wanted);
  const blocks = blocksFor(differentiableOf(objective, { options: {} }, false), kind);
  const found = new Map<string, Omit<DecomposedBlock, "eigenvalues">>();
  for (const block of blocks) found.set(block.name, { block, ...(await sidesIn(block, factors, options.threads)) });
  if (!corrected) return [...found.values()].map(withProducts);
  const basisIn = ({ name }: Block) => basisOf(present(found.get(name)), objective.losses);
  const { moments } = await over(objective, { moments: eigenvaluesIn(kind, basisIn) });
  return [...found.values()].map((part) => ({ ...part, eigenvalues: entryOf(moments, part.block.name) }));
}

export function basisOf({ rows, columns }: Pick<DecomposedBlock, "rows" | "columns">, like: Value): Basis {
  const of = (side: SideEigenpairs | null) =>
    side?.vectors ? build.floats(side.vectors, [side.size, side.size], like) : null;
  return { rows: of(rows), columns: of(columns) };
}

async function sidesIn(
  { name, kind }: Block,
  factors: KroneckerFactors,
  threads: number | undefined,
): Promise<Pick<DecomposedBlock, "rows" | "columns">> {
  const layer = factors.layers[name];
  if (layer) {
    const [rows, columns] = kind === "table" ? [layer.A, layer.B] : [layer.B, layer.A];
    return { rows: await sideOf(rows, threads), columns: await sideOf(columns, threads) };
  }
  const block = factors.blocks[name];
  const diagonal = block ?? entryOf(factors.diagonals, name);
  return { rows: null, columns: await sideOf(block ?? { ...diagonal, dims: [diagonal.data.length] }, threads) };
}

/** The same, for parameters that are given as one matrix `[M, rows, columns]`. */
export interface MatrixPart extends Omit<DecomposedBlock, "block"> {
  matrixOf(values: ReadonlyMap<string, Value>): Value;
}

/**
 * The Kronecker products of the GGN, with each bias apart from its weight, as in laplace-torch: the bias's input is always 1,
 * so its block consists of the second moments of the cotangents.
 */
export async function partsWithBiasesApart(
  objective: Objective,
  over: OverData,
  threads: number | undefined,
): Promise<MatrixPart[]> {
  const { factors } = await over(objective, { factors: want.kroneckerFactors({ kind: "type2" }) });
  const blocks = blocksFor(differentiableOf(objective, { options: {} }, false), "type2");
  const parts = blocks.map(async (block): Promise<MatrixPart[]> => {
    const layer = factors.layers[block.name];
    if (block.kind !== "layer" || block.bias === null || !layer)
      return [
        { ...withProducts(await sidesIn(block, factors, threads)), matrixOf: (values) => asMatrix(block, values) },
      ];
    const { bias } = block;
    const rows = await sideOf(layer.B, threads);
    const weight = { ...block, bias: null };
    return [
      {
        ...withProducts({ rows, columns: await sideOf(withoutLast(layer.A), threads) }),
        matrixOf: (values) => asMatrix(weight, values),
      },
      { ...withProducts({ rows: null, columns: rows }), matrixOf: (values) => inOneRow(entryIn(values, bias)) },
    ];
  });
  return (await Promise.all(parts)).flat();
}

const entryIn = (values: ReadonlyMap<string, Value>, name: string) => present(values.get(name));

function inOneRow(value: Value): Value {
  const [count, ...own] = leadingOf(value.shape, 1);
  return build.reshape(value, [count, 1, elementFactor(own)]);
}

/** A matrix without its last row and column, or a diagonal without its last element. */
function withoutLast({ dtype, dims, data }: FloatTensor): FloatTensor {
  const [size = 0] = dims;
  const left = Array.from({ length: size - 1 }, (_, k) => k);
  if (dims.length === 1) return { dtype, dims: [size - 1], data: data.slice(0, -1) };
  const rows = left.flatMap((row) => left.map((column) => data[row * size + column] ?? Number.NaN));
  return { dtype, dims: [size - 1, size - 1], data: Float32Array.from(rows) };
}

/** The eigenvalues of a Kronecker product are the products of the factors'. */
function withProducts<P extends Pick<DecomposedBlock, "rows" | "columns">>(
  part: P,
): P & Pick<DecomposedBlock, "eigenvalues"> {
  const rows = part.rows?.values ?? Float64Array.of(1);
  const { values } = part.columns;
  const data = new Float32Array(rows.length * values.length);
  rows.forEach((row, k) => {
    data.set(
      values.map((value) => row * value),
      k * values.length,
    );
  });
  return { ...part, eigenvalues: { dtype: "float32", dims: [rows.length, values.length], data } };
}

/** The exact diagonal, by blocks. */
export async function diagonalParts(
  objective: Objective,
  over: OverData,
  kind: PseudoTargetKind,
): Promise<DecomposedBlock[]> {
  const units = { rows: null, columns: null };
  const { moments } = await over(objective, { moments: eigenvaluesIn(kind, () => units) });
  const blocks = blocksFor(differentiableOf(objective, { options: {} }, false), kind);
  return blocks.map((block) => {
    const eigenvalues = entryOf(moments, block.name);
    const [rows = 1, columns = 1] = eigenvalues.dims;
    return { block, rows: unitSide(rows), columns: unitSide(columns), eigenvalues };
  });
}

function unitSide(size: number): SideEigenpairs {
  return { size, values: new Float64Array(size), vectors: null };
}
