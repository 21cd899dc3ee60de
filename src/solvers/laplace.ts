/** Laplace approximations: the parameters' distribution as a Gaussian around those that were trained. */

import { checkOptions, invalidArgument, kindOf, type OptionNames } from "../arguments.js";
import {
  type Objective,
  type ObjectiveOptions,
  objectiveOf,
  parameterValue,
  targetName,
} from "../compile/objective.js";
import { differentiableOf } from "../compile/results.js";
import { asMatrix } from "../curvature/kronecker.js";
import { type Independent, inRows, lastLayer } from "../curvature/posterior.js";
import type { Model } from "../graph/model.js";
import type { Value } from "../graph/value.js";
import { losses as makers } from "../nn/losses.js";
import type { Module } from "../nn/module.js";
import { elementFactor } from "../ops/build.js";
import { build } from "../ops/registry.js";
import type { Dataset } from "../program/given-data.js";
import { givenObjective } from "../program/given-objective.js";
import type { MemoryOptions } from "../program/microbatches.js";
import { objectiveOptions, runningOf } from "../program/options.js";
import type { Program } from "../program/program.js";
import type { Progress } from "../program/stream.js";
import { Traced } from "../trace/traced.js";
import { ggnMatrix, type Predicted, predictions } from "../wants/posterior.js";
import { type FloatTensor, type Want, want } from "../wants/want.js";
import { requireAgain } from "./again.js";
import { type SideEigenpairs, sideOf } from "./eigenvectors.js";
import { basisOf, diagonalParts, type OverData, overData, partsWithBiasesApart } from "./kronecker-parts.js";
import { maximum } from "./maximum.js";
import { Space } from "./vectors.js";

/** Options of `laplace`. */
export interface LaplaceOptions extends ObjectiveOptions, MemoryOptions {
  /**
   * What is kept of the generalised Gauss-Newton matrix G. "diagonal": its diagonal. "kronecker": for each weight a Kronecker
   * product (KFAC, "expand"), and for a layer's bias its second factor. "lastLayer": all of it for the last layer, with the
   * other parameters held fixed. "full": all of it.
   */
  readonly structure: "diagonal" | "kronecker" | "lastLayer" | "full";
  /**
   * The precision of the parameters' prior distribution, a Gaussian around 0: a number above 0, or "marginalLikelihood", the
   * precision under which the data is the most likely.
   */
  readonly priorPrecision: number | "marginalLikelihood";
  /** For mse: the standard deviation of the targets around the outputs. Default 1. */
  readonly noise?: number;
  /** Threads that the runtime may use. Default: all cores. */
  readonly threads?: number;
  /** Ends all work before the next batch, with the signal's reason as the error. Default: no signal. */
  readonly signal?: AbortSignal;
  /** Called with the samples done so far, after each part of every reading of the data. Default: nothing is called. */
  readonly onProgress?: (progress: Progress) => void;
}

/** What the model predicts for M new samples. E is the number of elements of a sample's output. */
export interface Prediction {
  /** The model's own output, the mean of the distribution, `[M, ...]`. */
  readonly output: FloatTensor;
  /** The covariance of the output's elements, `[M, E, E]`, for the model linearised in its parameters. */
  readonly covariance: FloatTensor;
  /**
   * The probability of each class or label, in the shape of the output: softmax or sigmoid of
   * output / sqrt(1 + pi/8 variance) (MacKay 1992, the probit approximation). Null for mse.
   */
  readonly probabilities: FloatTensor | null;
}

interface Posterior {
  readonly parts: readonly (Pick<Independent, "matrixOf"> & {
    readonly rows: SideEigenpairs | null;
    readonly columns: SideEigenpairs;
    /** The eigenvalues of the mean over the samples. */
    readonly eigenvalues: Float64Array;
  })[];
  readonly samples: number;
  /** What the loss is multiplied by to give the negative log-likelihood. */
  readonly factor: number;
  /** The log-likelihood of the data under the trained parameters. */
  readonly logLikelihood: number;
  readonly squaredNorm: number;
}

/** The most numbers of Jacobians that are held at a time. */
const mostNumbers = 2 ** 24;

/** The eigenvectors of a larger dense matrix take too long. */
const mostParameters = 4096;

/** A Gaussian distribution of a model's parameters. `release` frees the runtime's memory. */
export class Laplace {
  /** The precision of the prior distribution. */
  readonly priorPrecision: number;
  #program: Promise<Program<{ predicted: Want<Predicted> }>> | undefined;

  private constructor(
    private readonly objective: Objective,
    private readonly options: LaplaceOptions,
    private readonly posterior: Posterior,
  ) {
    const { priorPrecision: given } = options;
    this.priorPrecision =
      given === "marginalLikelihood" ? Math.exp(maximum((log) => this.logMarginalLikelihoodAt(Math.exp(log)))) : given;
  }

  /**
   * See `laplace`.
   * @throws PergradError as `laplace`.
   */
  static async of(given: Objective, data: Dataset, options: LaplaceOptions): Promise<Laplace> {
    requireOptions(options);
    requireAgain(data, "a Laplace approximation reads all of it twice");
    const factor = factorOf(given, options);
    const objective = options.structure === "lastLayer" ? ofLastLayer(given) : given;
    const over = overData(data, options);
    const { losses } = await over(objective, { losses: want.losses() });
    const samples = losses.data.length;
    const parts = await partsOf(objective, over, options);
    const sum = losses.data.reduce((total, loss) => total + loss, 0);
    const { noise = 1 } = options;
    const elements = elementFactor(objective.output.shape.slice(1));
    const constant = isGaussian(given) ? samples * elements * Math.log(noise * Math.sqrt(2 * Math.PI)) : 0;
    const squaredNorm = [...objective.parameters.values()].reduce(
      (total, value) =>
        Array.from<number | bigint, number>(parameterValue(objective.model, value).data, Number).reduce(
          (own, x) => own + x * x,
          total,
        ),
      0,
    );
    return new Laplace(objective, options, {
      parts,
      samples,
      factor,
      logLikelihood: -factor * sum - constant,
      squaredNorm,
    });
  }

  /** The names of the parameters that have a distribution; all others are fixed. */
  get parameters(): string[] {
    return [...this.objective.parameters.keys()];
  }

  /** The logarithm of the determinant of the posterior precision, less that of the prior's. */
  get logDeterminantRatio(): number {
    return this.#logDeterminantRatio(this.priorPrecision);
  }

  #logDeterminantRatio(priorPrecision: number): number {
    const { parts, samples, factor } = this.posterior;
    const scale = (samples * factor) / priorPrecision;
    return parts.reduce(
      (total, { eigenvalues }) => eigenvalues.reduce((sum, value) => sum + Math.log1p(scale * value), total),
      0,
    );
  }

  /** The logarithm of the data's probability under the model and the prior distribution, as the approximation gives it. */
  get logMarginalLikelihood(): number {
    return this.logMarginalLikelihoodAt(this.priorPrecision);
  }

  /**
   * The same for another prior precision: - k sum l_n - (log det(posterior) - log det(prior) + precision |theta|^2) / 2.
   */
  logMarginalLikelihoodAt(priorPrecision: number): number {
    const { logLikelihood, squaredNorm } = this.posterior;
    return logLikelihood - (this.#logDeterminantRatio(priorPrecision) + priorPrecision * squaredNorm) / 2;
  }

  /**
   * What the model predicts for new inputs.
   * @param inputs as `run` takes them, without the target
   * @throws PergradError what `run` throws.
   */
  async predict(inputs: Dataset): Promise<Prediction> {
    this.#program ??= this.#compile();
    const { predicted } = await (await this.#program).runAll(inputs);
    const { output, covariance, chances } = predicted;
    return { output, covariance, probabilities: chances };
  }

  async #compile(): Promise<Program<{ predicted: Want<Predicted> }>> {
    const { model, loss, expected, parameters, output } = this.objective;
    const { memoryBudget, outputSampleAxis } = this.options;
    const name = this.options.output ?? loss.output;
    // Only the output is left of the loss, so no target is needed.
    const plain = objectiveOf(model, {
      loss: makers.output(name),
      ...(outputSampleAxis === undefined ? {} : { outputSampleAxis }),
    });
    const target = expected.get(targetName)?.value.shape ?? null;
    const { likelihood } = loss;
    const chances =
      likelihood && likelihood.kind !== "gaussian"
        ? (own: Value, variances: Value) => likelihood.chances(new Traced(probit(own, variances)), target).value
        : null;
    const { size } = new Space(parameters);
    const numbers = Math.max(1, size * elementFactor(output.shape.slice(1)));
    const { Program } = await import("../program/program.js");
    return Program.of(
      { ...plain, parameters },
      {
        loss: plain.loss,
        want: { predicted: predictions(this.#independent(), chances) },
        ...(memoryBudget === undefined ? { microbatchSize: Math.max(1, Math.floor(mostNumbers / numbers)) } : {}),
        ...runningOf(this.options),
      },
    );
  }

  #independent(): Independent[] {
    const { parts, samples, factor } = this.posterior;
    const like = this.objective.losses;
    return parts.map(({ rows, columns, eigenvalues, matrixOf }) => ({
      matrixOf,
      basis: basisOf({ rows, columns }, like),
      deviations: build.floats(
        eigenvalues.map((value) => 1 / Math.sqrt(samples * factor * value + this.priorPrecision)),
        [rows?.size ?? 1, columns.size],
        like,
      ),
    }));
  }

  /** Frees the runtime's memory. Nothing can be predicted afterwards. */
  async release(): Promise<void> {
    await (await this.#program?.catch(() => undefined))?.release();
  }
}

/** Outputs scaled so that softmax or sigmoid of them approximates its mean over their distribution. */
function probit(output: Value, variances: Value): Value {
  const widened = build.add(build.scale(variances, Math.PI / 8), build.scalar(1, variances));
  return build.div(output, build.sqrt(widened));
}

function isGaussian({ loss }: Objective): boolean {
  return loss.likelihood?.kind === "gaussian";
}

/** What the loss is multiplied by to give the negative log-likelihood, which is a sum. Throws INVALID_ARGUMENT. */
function factorOf(objective: Objective, { noise }: LaplaceOptions): number {
  const { loss } = objective;
  if (!loss.likelihood)
    throw invalidArgument(
      `A Laplace approximation needs a loss that is a likelihood: cross_entropy, bce_with_logits or mse; "${loss.name}" is not one of these.`,
    );
  if (noise !== undefined && !isGaussian(objective))
    throw invalidArgument(
      `The noise describes how targets scatter around outputs, which "${loss.name}" does not model; leave it out.`,
    );
  const { terms } = differentiableOf(objective, { options: {} }, false);
  return isGaussian(objective) ? terms / (2 * (noise ?? 1) ** 2) : terms;
}

function ofLastLayer(objective: Objective): Objective {
  const names = lastLayer(objective);
  return {
    ...objective,
    parameters: new Map([...objective.parameters].filter(([name]) => names.includes(name))),
  };
}

async function partsOf(
  objective: Objective,
  over: OverData,
  { structure, threads }: Pick<LaplaceOptions, "structure" | "threads">,
): Promise<Posterior["parts"]> {
  if (structure === "diagonal" || structure === "kronecker") {
    const parts =
      structure === "kronecker"
        ? await partsWithBiasesApart(objective, over, threads)
        : (await diagonalParts(objective, over, "type2")).map((part) => ({
            ...part,
            matrixOf: (values: ReadonlyMap<string, Value>) => asMatrix(part.block, values),
          }));
    return parts.map(({ rows, columns, eigenvalues, matrixOf }) => ({
      rows,
      columns,
      eigenvalues: Float64Array.from(eigenvalues.data, (value) => Math.max(0, value)),
      matrixOf,
    }));
  }
  const { size } = new Space(objective.parameters);
  if (size > mostParameters)
    throw invalidArgument(
      `The structure "${structure}" is for up to ${mostParameters} parameters, but there are ${size}; use "kronecker", or select fewer parameters.`,
    );
  const { matrix } = await over(objective, { matrix: ggnMatrix() });
  const columns = await sideOf(matrix, threads);
  const matrixOf = (values: ReadonlyMap<string, Value>) => build.unsqueeze(inRows(values), [1]);
  return [{ rows: null, columns, eigenvalues: columns.values, matrixOf }];
}

/** Throws INVALID_ARGUMENT. */
function requireOptions({ structure, priorPrecision, noise = 1 }: LaplaceOptions): void {
  if (!["diagonal", "kronecker", "lastLayer", "full"].includes(structure))
    throw invalidArgument(
      `The structure of laplace must be "diagonal", "kronecker", "lastLayer" or "full", not ${kindOf(structure)}.`,
    );
  if (priorPrecision !== "marginalLikelihood" && !isPositive(priorPrecision))
    throw invalidArgument(
      `The priorPrecision of laplace must be a number above 0 or "marginalLikelihood", not ${kindOf(priorPrecision)}.`,
    );
  if (!isPositive(noise)) throw invalidArgument(`The noise of laplace must be a number above 0, not ${kindOf(noise)}.`);
}

function isPositive(value: unknown): boolean {
  return typeof value === "number" && Number.isFinite(value) && value > 0;
}

const laplaceOptions: OptionNames<LaplaceOptions> = {
  ...objectiveOptions,
  structure: true,
  priorPrecision: true,
  noise: true,
  threads: true,
  signal: true,
  onProgress: true,
  memoryBudget: true,
  microbatchSize: true,
};

/**
 * The Laplace approximation of a trained model's parameters (MacKay 1992; Daxberger et al. 2021, "Laplace Redux"): a Gaussian
 * around them, whose precision is N k G + priorPrecision I. G is the mean over the data of the generalised Gauss-Newton
 * matrices. k is the factor that turns the loss, a mean over each sample's terms, into the negative log-likelihood: the number
 * of labels; for mse, the number of elements over 2 noise^2. `predict` says what the model predicts for new inputs, and
 * `logMarginalLikelihood` how well model and prior explain the data.
 * @param data read twice: a batch, a file's path, or batches that can be iterated again
 * @throws PergradError what `perSample` and `runAll` throw, and INVALID_ARGUMENT for a loss that is no likelihood.
 */
export async function laplace(model: Model | Module, data: Dataset, options: LaplaceOptions): Promise<Laplace> {
  checkOptions("laplace(model, data, options)", options, laplaceOptions);
  const objective = await givenObjective(model, "laplace", options);
  return Laplace.of(objective, data, options);
}
