/** What the gradients of a batch say about its size, the step that follows them, and the learning rate. */

import { checkOptions, checkSwitch, type OptionNames } from "../arguments.js";
import type { Objective, ObjectiveOptions } from "../compile/objective.js";
import type { Model } from "../graph/model.js";
import type { Module } from "../nn/module.js";
import type { Dataset } from "../program/given-data.js";
import { givenObjective } from "../program/given-objective.js";
import type { MemoryOptions } from "../program/microbatches.js";
import { objectiveOptions } from "../program/options.js";
import type { Program } from "../program/program.js";
import type { Progress } from "../program/stream.js";
import { areFinite } from "../tensor/finite.js";
import type { Dots } from "../wants/inner-products.js";
import type { Moments } from "../wants/statistics.js";
import { type ByParameter, type FloatTensor, type Want, want } from "../wants/want.js";
import { requireAgain } from "./again.js";
import { meanOf, varianceOf } from "./vectors.js";

/** Options of `diagnostics`. */
export interface DiagnosticsOptions extends ObjectiveOptions, MemoryOptions {
  /** Also compute `ticTrace` and `ticDiagonal`, from the exact diagonal of the GGN. Default false. */
  readonly curvature?: boolean;
  /** Threads that the runtime may use. Default: all cores. */
  readonly threads?: number;
  /** Ends all work before the next batch, with the signal's reason as the error. Default: no signal. */
  readonly signal?: AbortSignal;
  /** Called with the samples done so far, after each part of every reading of the data. Default: nothing is called. */
  readonly onProgress?: (progress: Progress) => void;
}

/**
 * Diagnostics of one batch of N samples: g_n are their gradients, g is the mean gradient, and v the variance of each element
 * over the samples (divided by N - 1). They are NaN for fewer than two samples. The definitions are those of Cockpit 1.0.2
 * (Schneider et al. 2021, "Cockpit: A practical debugging tool for the training of deep neural networks").
 */
export interface Diagnostics {
  /** The number of samples, N. */
  readonly samples: number;
  /** The mean loss. */
  readonly loss: number;
  /** The 2-norm of g. */
  readonly gradientNorm: number;
  /** sqrt(sum v / (N |g|^2)): the batch is too small if this is above 1 or so (Byrd et al. 2012, "Sample size selection"). */
  readonly normTest: number;
  /**
   * The standard deviation of g_n . g over |g|^2, over sqrt(N): how far the direction of the step is certain (Bollapragada
   * et al. 2017, "Adaptive sampling strategies").
   */
  readonly innerProductTest: number;
  /** The same for the part of g_n orthogonal to g, over |g|. */
  readonly orthogonalityTest: number;
  /**
   * The gradient's signal-to-noise ratio, mean over the elements: g^2 / (v (N - 1) / N + 1e-5) (Liu et al. 2020,
   * "Understanding why neural networks generalize well through GSNR").
   */
  readonly meanSignalToNoise: number;
  /** 1 - N mean(g^2 / (v + 1e-5)): above 0, the gradient can no longer be told from noise (Mahsereci et al. 2017, "Early stopping without a validation set"). */
  readonly earlyStopping: number;
  /** (N - 1) / N sum v / loss; times the learning rate it is the batch size of CABS (Balles et al. 2017, "Coupling adaptive batch sizes"). */
  readonly cabsOverLearningRate: number;
  /** sum v / |g|^2 without bias: the batch size at which signal and noise are equal; below 0 if the batch shows no signal. See `want.noiseScale`. */
  readonly noiseScale: number;
  /** mean |g_n|^2 / (trace of the GGN + 1e-7) (Thomas et al. 2020, "On the interplay between noise and curvature"); null unless `curvature` is asked for. */
  readonly ticTrace: number | null;
  /** The sum over the elements of mean g_n^2 / (diagonal of the GGN + 1e-7); null unless `curvature` is asked for. */
  readonly ticDiagonal: number | null;
}

/** The losses of a batch at one end of a step, and their slope along it. */
export interface Slope {
  /** Mean, and the variance of that mean. */
  readonly loss: number;
  readonly lossVariance: number;
  /** The derivative of the mean loss along the whole step, and the variance of that mean. */
  readonly slope: number;
  readonly slopeVariance: number;
}

/** The parameters at which diagnostics are computed. */
interface At {
  /** By parameter. Default: the model's own. */
  readonly parameters?: ByParameter;
}

const first = { moments: want.moments(), norms: want.norms(), losses: want.losses() };
const second = { losses: want.losses(), dots: want.dot() };

interface Statistics {
  readonly moments: Moments;
  readonly norms: { readonly total: FloatTensor };
  readonly losses: FloatTensor;
}

/** Programs for the diagnostics of one batch after another. */
export class DiagnosticsPrograms {
  private constructor(
    private readonly statistics: Program<typeof first>,
    private readonly dots: Program<typeof second>,
    private readonly diagonal: Program<{ diagonal: Want<ByParameter> }> | null,
  ) {}

  /** Throws what `perSample` throws. */
  static async of(
    objective: Objective,
    { curvature = false, ...options }: Omit<DiagnosticsOptions, keyof ObjectiveOptions> & { holdParameters?: boolean },
  ): Promise<DiagnosticsPrograms> {
    const { Program } = await import("../program/program.js");
    const own = { ...options, loss: objective.loss };
    const wanted = { diagonal: want.ggnDiagonal({ mean: true }) };
    return new DiagnosticsPrograms(
      await Program.of(objective, { ...own, want: first }),
      await Program.of(objective, { ...own, want: second }),
      curvature ? await Program.of(objective, { ...own, want: wanted }) : null,
    );
  }

  /** Reads the data twice, and once more for the curvature. Throws what `runAll` throws. */
  async at(data: Dataset, at: At = {}): Promise<Diagnostics> {
    const found = await this.statistics.runAll(data, at);
    const { mean } = found.moments;
    const finite = Object.values(mean).every((each) => areFinite(each.data));
    // The samples that make it not finite have been reported: its products with the others would blame these too.
    const after = finite ? at : ({ ...at, notFinite: "ignore" } as const);
    const { dots } = await this.dots.runAll(data, { ...after, vectors: { dots: mean } });
    const diagonal = (await this.diagonal?.runAll(data, after))?.diagonal;
    return figuresOf(found, dots, diagonal);
  }

  /** The losses along a step of the parameters, `[...shape]` each. Throws what `runAll` throws. */
  async along(step: ByParameter, data: Dataset, at: At): Promise<Slope> {
    const { losses, dots } = await this.dots.runAll(data, { ...at, vectors: { dots: step } });
    const slopes = dots.total.data;
    return {
      loss: meanOf(losses.data),
      lossVariance: varianceOf(losses.data) / losses.data.length,
      slope: meanOf(slopes),
      slopeVariance: varianceOf(slopes) / slopes.length,
    };
  }

  async release(): Promise<void> {
    await this.statistics.release();
    await this.dots.release();
    await this.diagonal?.release();
  }
}

/** Sums over all elements of all parameters. */
interface ElementSums {
  squaredMean: number;
  variance: number;
  signalToNoise: number;
  evidence: number;
  ggn: number;
  overGgn: number;
  elements: number;
}

function elementSums({ mean, secondMoment, variance }: Moments, samples: number, ggn?: ByParameter): ElementSums {
  const sums = { squaredMean: 0, variance: 0, signalToNoise: 0, evidence: 0, ggn: 0, overGgn: 0, elements: 0 };
  for (const name of Object.keys(mean)) {
    const [means, squares, variances] = [mean[name], secondMoment[name], variance[name]].map((each) => each?.data);
    const diagonal = ggn?.[name]?.data;
    for (let i = 0; i < (means?.length ?? 0); i++) {
      const [g, v] = [means?.[i] ?? 0, variances?.[i] ?? 0];
      sums.squaredMean += g * g;
      sums.variance += v;
      sums.signalToNoise += (g * g) / ((v * (samples - 1)) / samples + 1e-5);
      sums.evidence += (g * g) / (v + 1e-5);
      sums.ggn += diagonal?.[i] ?? 0;
      sums.overGgn += (squares?.[i] ?? 0) / ((diagonal?.[i] ?? 0) + 1e-7);
      sums.elements++;
    }
  }
  return sums;
}

function figuresOf({ moments, norms, losses }: Statistics, { total }: Dots, ggn: ByParameter | undefined): Diagnostics {
  const samples = losses.data.length;
  const sums = elementSums(moments, samples, ggn);
  const { squaredMean, variance, elements } = sums;
  const pairs = samples < 2 ? Number.NaN : (samples - 1) * samples;
  const loss = meanOf(losses.data);
  const squaredNorms = norms.total.data.reduce((sum, norm) => sum + norm * norm, 0);
  const spread = total.data.reduce((sum, dot) => sum + (dot - squaredMean) ** 2, 0);
  // By Pythagoras; rounding may leave something below 0 where all gradients are parallel.
  const orthogonal = total.data.reduce((sum, dot) => sum + dot * dot, 0) / squaredMean;
  const signal = squaredMean - variance / samples;
  return {
    samples,
    loss,
    gradientNorm: Math.sqrt(squaredMean),
    normTest: Math.sqrt(variance / (samples * squaredMean)),
    innerProductTest: Math.sqrt(spread / (pairs * squaredMean ** 2)),
    orthogonalityTest: Math.sqrt(Math.max(0, squaredNorms - orthogonal) / (pairs * squaredMean)),
    meanSignalToNoise: sums.signalToNoise / elements,
    earlyStopping: 1 - (samples * sums.evidence) / elements,
    cabsOverLearningRate: ((samples - 1) * variance) / (samples * loss),
    noiseScale: variance / signal,
    ticTrace: ggn ? squaredNorms / samples / (sums.ggn + 1e-7) : null,
    ticDiagonal: ggn ? sums.overGgn : null,
  };
}

const diagnosticsOptions: OptionNames<DiagnosticsOptions> = {
  ...objectiveOptions,
  curvature: true,
  threads: true,
  signal: true,
  onProgress: true,
  memoryBudget: true,
  microbatchSize: true,
};

/**
 * Diagnostics of a model's gradients over a batch or a data set: whether the batch is large enough, and whether the gradient still
 * shows a signal.
 * @param data read twice, with `curvature` three times: a batch, a file's path, or batches that can be iterated again
 * @throws PergradError INVALID_ARGUMENT, and what `perSample` and `run` throw.
 */
export async function diagnostics(
  model: Model | Module,
  data: Dataset,
  options: DiagnosticsOptions,
): Promise<Diagnostics> {
  checkOptions("diagnostics(model, data, options)", options, diagnosticsOptions);
  checkSwitch("The option curvature of diagnostics", options.curvature);
  requireAgain(data, "diagnostics read all of it twice");
  const objective = await givenObjective(model, "diagnostics", options);
  const programs = await DiagnosticsPrograms.of(objective, options);
  try {
    return await programs.at(data);
  } finally {
    await programs.release();
  }
}
