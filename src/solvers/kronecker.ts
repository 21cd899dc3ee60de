/** Kronecker-factored curvature of a whole data set, as a matrix that is inverted layer by layer: KFAC and EK-FAC. */

import { checkOptions, checkSwitch, invalidArgument, kindOf, type OptionNames } from "../arguments.js";
import type { Objective } from "../compile/objective.js";
import { asMatrix, fromMatrix, matrixInBasis } from "../curvature/kronecker.js";
import { parametersOf } from "../curvature/layers.js";
import { kindOfTargets } from "../curvature/pseudo-targets.js";
import { PergradError } from "../errors.js";
import { bindShape, N } from "../graph/dim.js";
import type { Model } from "../graph/model.js";
import { leaf, type Value } from "../graph/value.js";
import type { Module } from "../nn/module.js";
import { build } from "../ops/registry.js";
import { entryOf } from "../present.js";
import type { Compiled } from "../program/compiled.js";
import type { Dataset } from "../program/given-data.js";
import { givenObjective } from "../program/given-objective.js";
import { objectiveOptions } from "../program/options.js";
import { option, sentence } from "../sentence.js";
import { sizeOf, type Tensor } from "../tensor/tensor.js";
import { Traced } from "../trace/traced.js";
import type { ByParameter, FloatTensor } from "../wants/want.js";
import { requireAgain } from "./again.js";
import {
  basisOf,
  type DecomposedBlock,
  diagonalParts,
  type KroneckerOptions,
  kroneckerParts,
  type OverData,
  overData,
} from "./kronecker-parts.js";
import { Space } from "./vectors.js";

/** Parameters that are inverted together, as if they were independent of all others. */
export interface KroneckerBlock {
  /** A weight and perhaps its bias, or one parameter. */
  readonly parameters: readonly string[];
  /**
   * "kronecker": by the eigenvectors of two factors; "full": by all eigenvectors of the exact block (small parameters that
   * are no matrix); "diagonal": the exact diagonal.
   */
  readonly approximation: "kronecker" | "full" | "diagonal";
  /**
   * `[rows, columns]`: for a layer [outputs, inputs], with the bias last; for a table [rows, outputs]. They are in the order
   * in which the linear-algebra library finds the eigenvectors.
   */
  readonly eigenvalues: FloatTensor;
}

/** How a system is solved. */
export interface DampingOptions {
  /** Added to each eigenvalue, as it is; above 0. */
  readonly damping: number;
}

/** The most numbers, of all vectors, that are multiplied at a time. */
const mostNumbers = 2 ** 25;

type Inverse = Compiled<Readonly<Record<string, Traced>>>;

/**
 * The curvature of a model's mean loss over a data set, block by block, each in a basis of eigenvectors in which only the
 * diagonal is kept. `release` frees the runtime's memory.
 */
export class KroneckerCurvature {
  readonly #space: Space;
  #inverse: Promise<Inverse> | undefined;

  private constructor(
    private readonly objective: Objective,
    /** @internal */
    readonly parts: readonly DecomposedBlock[],
    private readonly threads: number | undefined,
  ) {
    this.#space = new Space(objective.parameters);
  }

  /**
   * See `kroneckerCurvature`.
   * @throws PergradError as `kroneckerCurvature`.
   */
  static async of(objective: Objective, data: Dataset, options: KroneckerOptions): Promise<KroneckerCurvature> {
    checkSwitch("The option corrected of kroneckerCurvature", options.corrected);
    if (options.corrected ?? true) requireAgain(data, "corrected eigenvalues read all of it twice");
    return KroneckerCurvature.by(overData(data, options), objective, options);
  }

  /** The same for data that another machine may read. @param over computes wants over the data */
  static async by(
    over: OverData,
    objective: Objective,
    options: Pick<KroneckerOptions, "kind" | "corrected" | "approximation" | "probes" | "seed" | "threads">,
  ): Promise<KroneckerCurvature> {
    return new KroneckerCurvature(objective, await kroneckerParts(objective, over, options), options.threads);
  }

  /** The exact diagonal alone. */
  static async diagonal(objective: Objective, data: Dataset, options: KroneckerOptions): Promise<KroneckerCurvature> {
    const kind = kindOfTargets("kroneckerCurvature", options);
    return new KroneckerCurvature(
      objective,
      await diagonalParts(objective, overData(data, options), kind),
      options.threads,
    );
  }

  /** Number of all parameters' elements. */
  get size(): number {
    return this.#space.size;
  }

  /** The parameters that are inverted together, and their eigenvalues. */
  get blocks(): readonly KroneckerBlock[] {
    return this.parts.map(({ block, rows, columns, eigenvalues }) => ({
      parameters: parametersOf(block),
      approximation: rows ? "kronecker" : columns.vectors ? "full" : "diagonal",
      eigenvalues,
    }));
  }

  /**
   * The sum over all eigenvalues of log(scale times the eigenvalue + damping): the logarithm of a determinant.
   * Throws INVALID_ARGUMENT if there is no damping.
   */
  logDeterminant({ scale = 1, damping }: DampingOptions & { readonly scale?: number }): number {
    requireDamping("logDeterminant", damping);
    return this.parts.reduce(
      (total, { eigenvalues }) =>
        eigenvalues.data.reduce((sum, value) => sum + Math.log(scale * Math.max(0, value) + damping), total),
      0,
    );
  }

  /**
   * The inverse of the damped matrix times a vector, by parameter, `[...shape]` each, float32. For a parameter that is not given
   * the vector is 0.
   * @throws PergradError INVALID_ARGUMENT, MISSING_TENSOR, SHAPE_MISMATCH.
   */
  async solve(vector: Readonly<Record<string, Tensor>>, options: DampingOptions): Promise<ByParameter> {
    checkOptions("solve(vector, options)", options ?? {}, dampingOptions);
    const given = this.#space.split(this.#space.join(vector));
    const stacked = Object.fromEntries(
      Object.entries(given).map(([name, tensor]) => [name, { ...tensor, dims: [1, ...tensor.dims] }]),
    );
    const solved = await this.solveEach(stacked, options);
    return Object.fromEntries(
      Object.entries(solved).map(([name, tensor]) => [name, { ...tensor, dims: tensor.dims.slice(1) }]),
    );
  }

  /**
   * The same for M vectors at once, such as the gradients of M samples: by parameter, `[M, ...shape]` each, float32. Every
   * parameter must be given.
   * @throws PergradError INVALID_ARGUMENT, MISSING_TENSOR, SHAPE_MISMATCH, DTYPE_MISMATCH, BATCH_MISMATCH.
   */
  async solveEach(vectors: Readonly<Record<string, Tensor>>, options: DampingOptions): Promise<ByParameter> {
    checkOptions("solveEach(vectors, options)", options ?? {}, dampingOptions);
    const { damping } = options ?? {};
    requireDamping("solve", damping);
    const count = this.#countOf(vectors);
    this.#inverse ??= this.#compile();
    const inverse = await this.#inverse;
    const most = Math.max(1, Math.floor(mostNumbers / Math.max(1, this.size)));
    const results = this.#space.empty(count);
    for (let from = 0; from < count; from += most) {
      const to = Math.min(count, from + most);
      const given = Object.fromEntries(
        Object.entries(results).map(([name, { dims }]) => [
          `${name}/vector`,
          between(entryOf(vectors, name), dims, from, to),
        ]),
      );
      const part = await inverse.run({ ...given, damping: Float32Array.of(damping) }, { notFinite: "ignore" });
      for (const [name, { dims, data }] of Object.entries(results))
        data.set(floatsOf(entryOf(part, name)), from * sizeOf(dims.slice(1)));
    }
    return results;
  }

  #countOf(vectors: Readonly<Record<string, Tensor>>): number {
    this.#space.requireKnown(Object.keys(vectors));
    const counts = [...this.objective.parameters].map(([name, { shape }]) => {
      const tensor = vectors[name];
      const dims = bindShape(shape, 0);
      if (!tensor)
        throw new PergradError("MISSING_TENSOR", `No vectors are given for "${name}"; give them for every parameter.`);
      if (tensor.dtype !== "float32")
        throw new PergradError(
          "DTYPE_MISMATCH",
          `The vectors for "${name}" are ${tensor.dtype}; convert them to float32.`,
        );
      if (tensor.dims.length !== dims.length + 1 || dims.some((dim, axis) => dim !== tensor.dims[axis + 1]))
        throw new PergradError(
          "SHAPE_MISMATCH",
          `The vectors for "${name}" are [${tensor.dims.join(", ")}], but each is [${dims.join(", ")}]; give them as [${["M", ...dims].join(", ")}].`,
        );
      return { name, count: tensor.dims[0] ?? 0 };
    });
    const [first] = counts;
    const other = counts.find(({ count }) => count !== first?.count);
    if (first && other)
      throw new PergradError(
        "BATCH_MISMATCH",
        `There are ${first.count} vectors for "${first.name}", but ${other.count} for "${other.name}"; give as many of each.`,
      );
    return first?.count ?? 0;
  }

  async #compile(): Promise<Inverse> {
    const { parameters, losses } = this.objective;
    const damping = leaf("damping", { dtype: losses.dtype, shape: [1] }, { kind: "input" });
    const vectors = new Map(
      [...parameters].map(([name, { dtype, shape }]) => [
        name,
        leaf(`${name}/vector`, { dtype, shape: [N, ...shape] }, { kind: "input" }),
      ]),
    );
    const solved = this.parts.flatMap((part) => {
      const matrix = inverseOf(part, asMatrix(part.block, vectors), damping);
      return [...fromMatrix(part.block, matrix, parameters)];
    });
    const { threads } = this;
    // The compiler is loaded when it is first used.
    const { compiled } = await import("../program/compiled.js");
    return compiled(
      Object.fromEntries(solved.map(([name, value]) => [name, new Traced(value)])),
      threads === undefined ? {} : { threads },
    );
  }

  /** Frees the runtime's memory. Nothing can be solved afterwards. */
  async release(): Promise<void> {
    await (await this.#inverse?.catch(() => undefined))?.release();
  }
}

function inverseOf({ rows, columns, eigenvalues }: DecomposedBlock, matrix: Value, damping: Value): Value {
  const basis = basisOf({ rows, columns }, damping);
  const size = [rows?.size ?? 1, columns.size];
  const values = build.floats(
    eigenvalues.data.map((value) => Math.max(0, value)),
    size,
    damping,
  );
  const divided = build.div(matrixInBasis(matrix, basis), build.add(values, damping));
  // The transposed bases lead back.
  const moved = basis.columns ? build.matmul(divided, build.transpose(basis.columns, [1, 0])) : divided;
  return basis.rows ? build.matmul(basis.rows, moved) : moved;
}

function floatsOf({ data }: Tensor): Float32Array {
  return data instanceof Float32Array ? data : Float32Array.from<number | bigint>(data, Number);
}

function between(tensor: Tensor, dims: readonly number[], from: number, to: number): Tensor {
  const size = sizeOf(dims.slice(1));
  const data = floatsOf(tensor).subarray(from * size, to * size);
  return { dtype: "float32", dims: [to - from, ...dims.slice(1)], data };
}

export function requireDamping(call: string, damping: unknown): asserts damping is number {
  if (typeof damping === "number" && Number.isFinite(damping) && damping > 0) return;
  throw invalidArgument(
    sentence`${call} needs a damping, which must be a number above 0, not ${kindOf(damping)}; give one, such as ${option("damping", 0.01)}.`,
  );
}

const dampingOptions: OptionNames<DampingOptions> = { damping: true };

const kroneckerOptions: OptionNames<KroneckerOptions> = {
  ...objectiveOptions,
  kind: true,
  probes: true,
  seed: true,
  corrected: true,
  approximation: true,
  threads: true,
  signal: true,
  onProgress: true,
  memoryBudget: true,
  microbatchSize: true,
};

/**
 * KFAC (Martens and Grosse 2015) or, corrected, EK-FAC (George et al. 2018) for a model's mean loss over a data set of any
 * size. Each layer has two factors; in the basis of their eigenvectors only the diagonal of the layer's curvature is kept.
 * `solve(v, { damping })` multiplies a vector by the inverse, `solveEach` many vectors at once. Tied weights, sequences,
 * tables, gains and recurrent weights take part.
 * @param data read once, or twice if `corrected`: a batch, a file's path, or batches that can be iterated again
 * @throws PergradError INVALID_ARGUMENT, and what `perSample` and `runAll` throw.
 */
export async function kroneckerCurvature(
  model: Model | Module,
  data: Dataset,
  options: KroneckerOptions,
): Promise<KroneckerCurvature> {
  checkOptions("kroneckerCurvature(model, data, options)", options, kroneckerOptions);
  const objective = await givenObjective(model, "kroneckerCurvature", options);
  return KroneckerCurvature.of(objective, data, options);
}
