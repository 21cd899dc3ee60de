/** The curvature of a whole data set, as a matrix that is known by its products. */

import {
  checkNumber,
  checkOptions,
  checkWhole,
  checkWord,
  invalidArgument,
  kindOf,
  type OptionNames,
} from "../arguments.js";
import type { Objective, ObjectiveOptions } from "../compile/objective.js";
import type { Model } from "../graph/model.js";
import { meant } from "../meant.js";
import type { Module } from "../nn/module.js";
import { nth } from "../present.js";
import type { Dataset } from "../program/given-data.js";
import { givenObjective } from "../program/given-objective.js";
import type { MemoryOptions } from "../program/microbatches.js";
import { objectiveOptions } from "../program/options.js";
import type { Program } from "../program/program.js";
import type { Progress } from "../program/stream.js";
import { option, sentence } from "../sentence.js";
import type { Tensor } from "../tensor/tensor.js";
import { type ByParameter, type Want, want } from "../wants/want.js";
import { requireAgain } from "./again.js";
import { conjugateGradients } from "./conjugate-gradients.js";
import { KroneckerCurvature } from "./kronecker.js";
import { overData } from "./kronecker-parts.js";
import { lanczos, type Times } from "./lanczos.js";
import { type EstimatedTrace, hutchPlusPlus } from "./traces.js";
import { addTo, Space } from "./vectors.js";

/** Which matrix: the Hessian, the generalised Gauss-Newton matrix, or the empirical Fisher matrix. */
export type CurvatureKind = "hessian" | "ggn" | "fisher";

/** Options of `curvature`. */
export interface CurvatureOptions extends ObjectiveOptions, MemoryOptions {
  /** Which matrix; for the data set it is the mean over all samples. */
  readonly of: CurvatureKind;
  /** Threads that the runtime may use. Default: all cores. */
  readonly threads?: number;
  /** Ends all work, products included, before the next batch, with the signal's reason as the error. Default: no signal. */
  readonly signal?: AbortSignal;
  /** Called with the number of samples done after each part of every reading of the data. Default: no call. */
  readonly onProgress?: (progress: Progress) => void;
}

/** Options of `topEigenvalues`. */
export interface EigenvalueOptions {
  /**
   * From which end: the largest first, the smallest (most negative) first, or from either, the largest in size first.
   * Default "largest".
   */
  readonly end?: "largest" | "smallest" | "either";
  /** How far an eigenvalue may be off, relative to the largest in size. Default 1e-5. */
  readonly tolerance?: number;
  /** The most products. Default: 20 more than 8 times the number of eigenvalues, and at least 60. */
  readonly maxIterations?: number;
  /** The seed of the vector to begin with. Default 0. */
  readonly seed?: number;
}

/** Eigenvalues of a symmetric matrix, with their vectors. */
export interface Eigenvalues {
  /** In order, from the end that was asked for. There are fewer than asked for if there are fewer parameters. */
  readonly values: readonly number[];
  /** For each a vector of norm 1, by parameter, `[...shape]` each. */
  readonly vectors: readonly ByParameter[];
  /** How far each may be off. */
  readonly residuals: readonly number[];
  /** Products that were taken. */
  readonly iterations: number;
  /** Whether all are within the tolerance. */
  readonly converged: boolean;
}

/** Options of `solve`. */
export interface SolveOptions {
  /** Added to the diagonal as it is, from 0 up; above 0 if the matrix may be singular. */
  readonly damping: number;
  /** The norm of the residual to reach, relative to that of the right side. Default 1e-5. */
  readonly tolerance?: number;
  /** The most products. Default 250. */
  readonly maxIterations?: number;
  /**
   * The preconditioner, computed once from the data: the exact diagonal (for a Hessian, that of the GGN), or EK-FAC, both with
   * the damping, which must then be above 0. Default: none.
   */
  readonly preconditioner?: "diagonal" | "kronecker";
}

/** Options of `estimateTrace`. */
export interface TraceEstimateOptions {
  /** The number of products, at least 3. */
  readonly probes: number;
  /** The seed of the random vectors. Default 0. */
  readonly seed?: number;
}

/** Options of `spectrum`. */
export interface SpectrumOptions {
  /** The number of random vectors. Default 4. */
  readonly probes?: number;
  /** The number of products for each of them. Default 30. */
  readonly steps?: number;
  /** The seed of the random vectors. Default 0. */
  readonly seed?: number;
}

/** An estimated spectrum: some values, and the share of all eigenvalues that lies near each. */
export interface Spectrum {
  /** Ascending. */
  readonly values: readonly number[];
  /** The share of the eigenvalues that each value represents; they add up to 1. */
  readonly weights: readonly number[];
  /** Products that were taken. */
  readonly iterations: number;
}

/** The result of `solve`. */
export interface Solution {
  /** By parameter, `[...shape]` each, float32. */
  readonly solution: ByParameter;
  /** Products that were taken. */
  readonly iterations: number;
  /** The norm of the residual, over that of the right side. */
  readonly residual: number;
  /** Whether the residual is within the tolerance. */
  readonly converged: boolean;
  /** True if the damped matrix is not positive along some direction; the solution is then the last one before it was met. */
  readonly indefinite: boolean;
}

type Products = Program<{ product: Want<ByParameter> }>;

const makers: Readonly<Record<CurvatureKind, () => Want<ByParameter>>> = {
  hessian: () => want.hvp({ give: want.mean() }),
  ggn: () => want.ggnProduct({ give: want.mean() }),
  fisher: () => want.fisherProduct({ give: want.mean() }),
};

/**
 * The mean of the curvature matrices of all samples of a data set. The matrix is never formed: it is known by its products with
 * vectors, each of which reads the data once. `release` frees the runtime's memory.
 */
export class Curvature {
  readonly #space: Space;
  readonly #near: Record<string, Promise<KroneckerCurvature>> = {};

  private constructor(
    private readonly objective: Objective,
    private readonly data: Dataset,
    private readonly options: Omit<CurvatureOptions, keyof ObjectiveOptions>,
    private readonly products: Products,
  ) {
    this.#space = new Space(objective.parameters);
  }

  /**
   * See `curvature`.
   * @throws PergradError as `curvature`.
   */
  static async of(objective: Objective, data: Dataset, options: CurvatureOptions): Promise<Curvature> {
    const make = Object.hasOwn(makers, options.of) ? makers[options.of] : undefined;
    if (!make)
      throw invalidArgument(
        `The curvature is of "hessian", "ggn" or "fisher", not ${kindOf(options.of)}${meant(String(options.of), Object.keys(makers)) || '; say which: { of: "ggn" }.'}`,
      );
    requireAgain(data, "every product reads all of it");
    // The compiler is loaded when it is first used.
    const { Program } = await import("../program/program.js");
    const products = await Program.of(objective, { ...options, want: { product: make() } });
    return new Curvature(objective, data, options, products);
  }

  /** The number of elements of all parameters together. */
  get size(): number {
    return this.#space.size;
  }

  /**
   * The matrix times a vector, by parameter, `[...shape]` each, float32. For a parameter that is not given the vector is 0.
   * @throws PergradError MISSING_TENSOR, SHAPE_MISMATCH, NOT_FINITE if a sample's product is not finite (as every other
   *   method of this class), and what `runAll` throws.
   */
  async times(vector: Readonly<Record<string, Tensor>>): Promise<ByParameter> {
    return this.#space.split(await this.multiply(this.joined(vector)));
  }

  /** A vector by parameter as one array over all, `[size]`, in the order of the objective. */
  joined(vector: Readonly<Record<string, Tensor>>): Float64Array {
    return this.#space.join(vector);
  }

  /** The matrix times a vector over all parameters, `[size]`, in the order of the objective. Throws what `runAll` throws. */
  async multiply(vector: Float64Array): Promise<Float64Array> {
    const vectors = { product: this.#space.split(vector) };
    const { product } = await this.products.runAll(this.data, { vectors, notFinite: "throw" });
    return this.#space.join(product);
  }

  /**
   * The outermost eigenvalues, by Lanczos's method with full reorthogonalisation. Products are in float32, so the error of an
   * eigenvalue is about 1e-6 of the largest in size.
   * @throws PergradError INVALID_ARGUMENT, and what `runAll` throws.
   */
  async topEigenvalues(count = 1, options: EigenvalueOptions = {}): Promise<Eigenvalues> {
    checkOptions("topEigenvalues(count, options)", options, eigenvalueOptions);
    checkWhole("The number of eigenvalues (topEigenvalues)", count, 1);
    checkWord("The end of topEigenvalues", options.end, ["largest", "smallest", "either"]);
    checkIterations("topEigenvalues", options);
    checkSeed("topEigenvalues", options.seed);
    const { end = "largest", tolerance = 1e-5, maxIterations = Math.max(60, 8 * count + 20), seed = 0 } = options;
    const outermost = (values: readonly number[]) => {
      const all = values.map((_, k) => (end === "largest" ? values.length - 1 - k : k));
      if (end === "either") all.sort((a, b) => Math.abs(nth(values, b)) - Math.abs(nth(values, a)));
      return all.slice(0, count);
    };
    const within = ({ values, residuals }: { values: readonly number[]; residuals: readonly number[] }) => {
      const largest = Math.max(...values.map(Math.abs));
      return outermost(values).every((k) => (residuals[k] ?? 0) <= tolerance * largest);
    };
    let more = seed;
    const known = await lanczos((vector) => this.multiply(vector), {
      start: this.#space.random(seed),
      steps: maxIterations,
      enough: (ritz) => ritz.values.length >= count && within(ritz),
      again: () => this.#space.random(++more),
    });
    const chosen = outermost(known.values);
    const pick = (all: readonly number[]) => chosen.map((k) => all[k] ?? Number.NaN);
    return {
      values: pick(known.values),
      vectors: chosen.map((k) => this.#space.split(known.vector(k))),
      residuals: pick(known.residuals),
      iterations: known.steps,
      converged: (known.values.length >= count || known.steps >= this.size) && within(known),
    };
  }

  /** The exact trace. For the Hessian it takes a product for each element of the parameters. */
  async trace(): Promise<number> {
    const { of } = this.options;
    const { trace } = await overData(this.data, this.options)(this.objective, { trace: want.trace({ of }) });
    return trace.total.data.reduce((sum, each) => sum + each, 0) / trace.total.data.length;
  }

  /**
   * Estimates the trace from `probes` products, by Hutch++. It is exact if the rank of the matrix is below a third of `probes`.
   * @throws PergradError INVALID_ARGUMENT, and what `runAll` throws.
   */
  async estimateTrace(options: TraceEstimateOptions): Promise<EstimatedTrace> {
    checkOptions("estimateTrace(options)", options ?? {}, traceOptions);
    const { probes, seed = 0 } = options ?? {};
    if (probes === undefined)
      throw invalidArgument("estimateTrace needs probes, the number of random vectors; give at least 3.");
    checkWhole("The number of probes of estimateTrace", probes, 3);
    checkSeed("estimateTrace", seed);
    return hutchPlusPlus((vector) => this.multiply(vector), { size: this.size, products: probes, seed });
  }

  /**
   * Estimates the spectrum by stochastic Lanczos quadrature (Ubaru, Chen and Saad 2017; Ghorbani, Krishnan and Xiao 2019): the
   * eigenvalues that Lanczos's method finds from random vectors, each weighted by the share of the vector along its own
   * eigenvector. The mean of f(value) with these weights, times the number of parameters, estimates the trace of f of the matrix.
   * @throws PergradError INVALID_ARGUMENT, and what `runAll` throws.
   */
  async spectrum(options: SpectrumOptions = {}): Promise<Spectrum> {
    checkOptions("spectrum(options)", options, spectrumOptions);
    const { probes = 4, steps = 30, seed = 0 } = options;
    checkWhole("The number of probes of spectrum", probes, 1);
    checkWhole("The number of steps of spectrum", steps, 1);
    checkSeed("spectrum", seed);
    const found: { readonly value: number; readonly weight: number }[] = [];
    let iterations = 0;
    for (let k = 0; k < probes; k++) {
      const start = this.#space.random(seed + k);
      const ritz = await lanczos((vector) => this.multiply(vector), { start, steps });
      iterations += ritz.steps;
      ritz.values.forEach((value, j) => {
        found.push({ value, weight: nth(ritz.weights, j) / probes });
      });
    }
    found.sort((a, b) => a.value - b.value);
    return { values: found.map(({ value }) => value), weights: found.map(({ weight }) => weight), iterations };
  }

  /**
   * Solves (C + damping I) x = v by conjugate gradients. If the damped matrix is not positive definite, `indefinite` is true, and
   * the solution is the last one before that direction was met.
   * @param vector v, by parameter, `[...shape]` each; 0 for a parameter that is not given
   * @throws PergradError INVALID_ARGUMENT, MISSING_TENSOR, SHAPE_MISMATCH, and what `runAll` throws.
   */
  async solve(vector: Readonly<Record<string, Tensor>>, options: SolveOptions): Promise<Solution> {
    checkOptions("solve(vector, options)", options ?? {}, solveOptions);
    const { damping, tolerance = 1e-5, maxIterations = 250, preconditioner } = options ?? {};
    if (!(typeof damping === "number" && Number.isFinite(damping) && damping >= 0))
      throw invalidArgument(
        sentence`solve needs a damping, which must be a number from 0 up, not ${kindOf(damping)}; give one, such as ${option("damping", 0.01)}.`,
      );
    checkIterations("solve", { tolerance, maxIterations });
    const times = async (direction: Float64Array) => {
      const product = await this.multiply(direction);
      addTo(product, direction, damping);
      return product;
    };
    const right = this.joined(vector);
    const precondition = await this.#preconditioner(preconditioner, damping);
    const settings = { right, tolerance, maxIterations, precondition };
    const { solution, ...said } = await conjugateGradients(times, settings);
    return { solution: this.#space.split(solution), ...said };
  }

  /** Throws INVALID_ARGUMENT. */
  async #preconditioner(kind: SolveOptions["preconditioner"], damping: number): Promise<Times | undefined> {
    checkWord("The preconditioner of solve", kind, ["diagonal", "kronecker"]);
    if (kind === undefined) return undefined;
    if (damping === 0)
      throw invalidArgument(
        sentence`A preconditioner needs a damping above 0, because it may be singular without one; give one, such as ${option("damping", 0.01)}.`,
      );
    const { of: matrix, ...options } = this.options;
    const of = matrix === "fisher" ? "empirical" : "type2";
    const own = { ...options, loss: this.objective.loss, kind: of } as const;
    this.#near[kind] ??=
      kind === "diagonal"
        ? KroneckerCurvature.diagonal(this.objective, this.data, own)
        : KroneckerCurvature.of(this.objective, this.data, own);
    const near = await this.#near[kind];
    return async (vector) => this.#space.join(await near.solve(this.#space.split(vector), { damping }));
  }

  /** Frees the runtime's memory. Nothing can be computed afterwards. */
  async release(): Promise<void> {
    await this.products.release();
    for (const near of Object.values(this.#near)) await (await near.catch(() => undefined))?.release();
  }
}

/** Throws INVALID_ARGUMENT. */
function checkIterations(of: string, options: Pick<SolveOptions, "tolerance" | "maxIterations">): void {
  checkNumber(`The tolerance of ${of}`, options.tolerance, { above: 0 });
  checkWhole(`The maxIterations of ${of}`, options.maxIterations, 1);
}

/** Throws INVALID_ARGUMENT. */
function checkSeed(of: string, seed: unknown): void {
  checkWhole(`The seed of ${of}`, seed, 0, 2 ** 32 - 1);
}

const eigenvalueOptions: OptionNames<EigenvalueOptions> = {
  end: true,
  tolerance: true,
  maxIterations: true,
  seed: true,
};

const solveOptions: OptionNames<SolveOptions> = {
  damping: true,
  tolerance: true,
  maxIterations: true,
  preconditioner: true,
};

const traceOptions: OptionNames<TraceEstimateOptions> = { probes: true, seed: true };

const spectrumOptions: OptionNames<SpectrumOptions> = { probes: true, steps: true, seed: true };

const curvatureOptions: OptionNames<CurvatureOptions> = {
  ...objectiveOptions,
  of: true,
  threads: true,
  signal: true,
  onProgress: true,
  memoryBudget: true,
  microbatchSize: true,
};

/**
 * The curvature of a model's mean loss over a data set of any size: `times(v)`, `topEigenvalues(k)`, `trace()`,
 * `estimateTrace({ probes })`, `spectrum()` and `solve(v, { damping })`.
 * @param data read again for every product: a batch, a file's path, or batches that can be iterated again
 * @throws PergradError INVALID_ARGUMENT, and what `perSample` throws.
 */
export async function curvature(model: Model | Module, data: Dataset, options: CurvatureOptions): Promise<Curvature> {
  checkOptions("curvature(model, data, options)", options, curvatureOptions);
  const objective = await givenObjective(model, "curvature", options);
  return Curvature.of(objective, data, options);
}
