/** Private training, step by step (DP-SGD: Abadi et al. 2016, "Deep learning with differential privacy"). */

import { checkOptions as checkNames } from "../arguments.js";
import { PergradError } from "../errors.js";
import type { Model } from "../graph/model.js";
import type { Module } from "../nn/module.js";
import {
  type AdaptiveClipping,
  checkAdaptive,
  gradientNoiseMultiplier,
  nextNorm,
} from "../privacy/adaptive-clipping.js";
import { epsilon, PldAccountant } from "../privacy/index.js";
import { composed, type GaussianMechanism, isNotPrivate } from "../privacy/mechanism.js";
import { withNoise } from "../privacy/noise.js";
import { checkSeed, type Purpose, type RandomBits, secretBits, seededBits, Words } from "../privacy/random-bits.js";
import { BatchClipper } from "./clipped-batch.js";
import type { ClippedBatch } from "./clipped-part.js";
import type { Parameters } from "./optimizer.js";
import { privateTraining } from "./option-names.js";
import { type Sampler, samplerOf } from "./samplers.js";
import { releasedOnFailure, type Setup, setup } from "./setup.js";
import { firstState, paid, requireFitting, requirePaid } from "./state.js";
import { Stepping } from "./stepping.js";
import { requireFiniteStep } from "./stopped.js";
import { asGradients } from "./sums.js";
import type { PrivateStepOptions, PrivateStepResult, TrainerState, TrainingSet } from "./types.js";

/**
 * Takes private steps: each draws a batch, sums its clipped gradients, adds noise, and takes the
 * optimizer's step. An empty batch is a step like any other. For a loop of your own:
 * `while (trainer.nextEpsilon <= 3) console.log(await trainer.step())`.
 */
export class PrivateTrainer<S> extends Stepping<S, PrivateStepResult> {
  readonly #options: PrivateStepOptions<S>;
  readonly #clipper: BatchClipper<S>;
  readonly #adaptive: AdaptiveClipping | null;
  /** Remembers one step's losses, so that each next epsilon takes a few milliseconds. */
  readonly #pld = new PldAccountant();
  /**
   * Whether this trainer has paid for the current epoch. Only shuffled sampling pays by the epoch. What was paid before a restart
   * was perhaps for other batches, so each trainer pays for its own.
   */
  #epochPaid = false;

  private constructor(
    own: Setup,
    options: PrivateStepOptions<S>,
    sampler: Sampler,
    clipper: BatchClipper<S>,
    state: TrainerState<S>,
  ) {
    super(own, sampler, state);
    this.#options = options;
    this.#clipper = clipper;
    this.#adaptive = adaptiveOf(options);
  }

  /**
   * Sets up a model and its data; takes no step yet.
   * @throws PergradError what `perSample` throws, and what running the whole data set would: MISSING_TENSOR, DTYPE_MISMATCH,
   * SHAPE_MISMATCH, BATCH_MISMATCH, LABEL_OUT_OF_RANGE; INVALID_ARGUMENT for options out of their range.
   */
  static async create<S>(
    model: Model | Module,
    dataset: TrainingSet | string,
    options: PrivateStepOptions<S>,
  ): Promise<PrivateTrainer<S>> {
    checkNames("PrivateTrainer.create(model, data, options)", options, privateTraining);
    return PrivateTrainer.over(await setup(model, dataset, options, true), options);
  }

  /**
   * The same for a setup, which is released with the trainer, or at once if this fails.
   * @throws PergradError as `create`.
   */
  static over<S>(own: Setup, options: PrivateStepOptions<S>): Promise<PrivateTrainer<S>> {
    return releasedOnFailure(own.data, () => PrivateTrainer.#over(own, options));
  }

  static async #over<S>(own: Setup, options: PrivateStepOptions<S>): Promise<PrivateTrainer<S>> {
    checkOptions(options);
    if (options.from) {
      requireFitting(options.from, own.parameters, options.optimizer);
      requirePaid(options.from);
    }
    const state = options.from ?? begin(own.parameters, options);
    checkState(state, options);
    const { batchSize, sampling = "poisson" } = options;
    const { seed, order } = state;
    const sampler = samplerOf(sampling, { samples: own.data.samples, batchSize, seed, order });
    return new PrivateTrainer(own, options, sampler, await BatchClipper.compile(own, options), state);
  }

  /** The probability that a sample is in a step's batch. */
  get samplingRate(): number {
    return this.sampler.batchSize / this.own.data.samples;
  }

  /** False if the generator is seeded or a step had no noise. */
  get private(): boolean {
    const { seed, ledger } = this.current;
    return seed === null && !isNotPrivate(composed(ledger));
  }

  /** Epsilon so far, at `delta`. */
  get epsilon(): number {
    return this.#epsilonOf(this.current);
  }

  /** Epsilon after one more step. */
  get nextEpsilon(): number {
    return this.#epsilonOf(paid(this.current, this.#price()));
  }

  /** The trained parameters alone. */
  get parameters(): Parameters {
    return this.current.parameters;
  }

  override async release(): Promise<void> {
    await this.own.data.release();
    await this.#clipper.release();
  }

  protected override async take(): Promise<PrivateStepResult> {
    const start = performance.now();
    const before = this.current;
    const groups = this.#groups();
    const batch = this.sampler.draw(before.steps);
    const spent = this.#price();
    await this.#options.record?.(spent);
    // From here on the step is paid for, even if its result is never seen: that it failed is information too.
    this.current = { ...before, ...paid(before, spent) };
    this.#epochPaid = false;
    const found = await this.#clipper.run(batch, before.steps, { parameters: before.parameters, groups });
    const sensitivity = Math.hypot(...Object.values(groups));
    this.current = { ...this.current, ...this.#released(found, sensitivity), steps: before.steps + 1 };
    this.#epochPaid = true;
    return this.#result(found, batch.length, sensitivity, start);
  }

  /** The norms of this step's clipping, by group. */
  #groups(): Record<string, number> {
    const current = this.current.maxNorm;
    return Object.fromEntries(this.#clipper.groups.map(({ name, maxNorm }) => [name, current ?? maxNorm]));
  }

  /**
   * The batches of shuffled sampling are disjoint, so all batches of an epoch together cost what one costs, without amplification
   * by sampling (parallel composition). After a restart, or a step that failed, the rest of the epoch is paid for again, because
   * its samples may be used a second time.
   */
  #price(): GaussianMechanism {
    const { noiseMultiplier } = this.#options;
    if (this.sampler.sampling !== "shuffled")
      return { kind: "gaussian", noiseMultiplier, samplingRate: this.samplingRate, steps: 1 };
    const first = this.current.steps % this.sampler.stepsPerEpoch === 0;
    return { kind: "gaussian", noiseMultiplier, samplingRate: 1, steps: first || !this.#epochPaid ? 1 : 0 };
  }

  /** The only place where information about the data leaves the trainer: through noise. */
  #released(found: ClippedBatch, sensitivity: number): Pick<TrainerState<S>, "parameters" | "optimizer" | "maxNorm"> {
    const { parameters, optimizer: moments, maxNorm } = this.current;
    const { noiseMultiplier, optimizer } = this.#options;
    const { batchSize } = this.sampler;
    const noisy = withNoise(found.sums, {
      sensitivity,
      noiseMultiplier: this.#adaptive ? gradientNoiseMultiplier(noiseMultiplier, this.#adaptive) : noiseMultiplier,
      // Divided by the expected size: the actual one would tell whether a sample is in the batch.
      scale: 1 / batchSize,
      bits: this.#bits("noise"),
    });
    const stepped = optimizer.step(parameters, asGradients(parameters, noisy), moments);
    requireFiniteStep(this.current.steps + 1, stepped);
    const next =
      this.#adaptive && maxNorm !== null
        ? nextNorm(maxNorm, this.#adaptive, {
            within: found.within,
            beyond: found.clipped + found.dropped.length,
            batchSize,
            bits: this.#bits("count"),
          })
        : null;
    return { parameters: stepped.parameters, optimizer: stepped.state, maxNorm: next };
  }

  #bits(purpose: Purpose): RandomBits {
    const { seed, steps } = this.current;
    return seed === null ? secretBits : seededBits(seed, purpose, steps);
  }

  #result(found: ClippedBatch, samples: number, sensitivity: number, start: number): PrivateStepResult {
    const state = this.current;
    const epsilonOf = this.#epsilonOf.bind(this);
    return {
      step: state.steps,
      samples,
      loss: found.figures.loss,
      accuracy: found.figures.accuracy,
      clipped: found.clipped,
      dropped: found.dropped.length,
      droppedSamples: found.dropped,
      sensitivity,
      private: this.private,
      seconds: (performance.now() - start) / 1000,
      get epsilon() {
        return epsilonOf(state);
      },
    };
  }

  #epsilonOf({ ledger }: Pick<TrainerState<S>, "ledger">): number {
    const { delta, accountant = "pld" } = this.#options;
    return accountant === "pld" ? this.#pld.epsilonUpper(ledger, delta) : epsilon(ledger, { delta, accountant });
  }
}

function adaptiveOf<S>({ adaptive, batchSize }: PrivateStepOptions<S>): AdaptiveClipping | null {
  return adaptive ? { targetQuantile: 0.5, learningRate: 0.2, countNoise: batchSize / 20, ...adaptive } : null;
}

function checkOptions<S>(options: PrivateStepOptions<S>): void {
  const { noiseMultiplier, sampling, delta, seed, maxNorm, groups } = options;
  const wrong = (message: string) => new PergradError("INVALID_ARGUMENT", message);
  if (!(noiseMultiplier >= 0 && Number.isFinite(noiseMultiplier)))
    throw wrong(`noiseMultiplier is ${noiseMultiplier}; it must be a finite number from 0 up.`);
  if (!(delta > 0 && delta < 1)) throw wrong(`delta is ${delta}; it must be above 0 and below 1.`);
  if (seed !== undefined) checkSeed(seed);
  if (sampling === "uniform") {
    const advice = 'use "poisson", or "shuffled", which is accounted for without amplification';
    throw wrong(`There is no accountant for batches of a fixed size that are drawn uniformly; ${advice}.`);
  }
  const adaptive = adaptiveOf(options);
  if (!adaptive) return;
  if (typeof maxNorm !== "number" || groups)
    throw wrong("Adaptive clipping clips the whole gradient; give maxNorm as one number, and no groups.");
  if (options.automatic) throw wrong("Clipping is either adaptive or automatic; leave one of them out.");
  checkAdaptive(adaptive);
  gradientNoiseMultiplier(noiseMultiplier, adaptive);
}

function begin<S>(parameters: Parameters, options: PrivateStepOptions<S>): TrainerState<S> {
  const { optimizer, seed, maxNorm } = options;
  return firstState(parameters, optimizer, {
    maxNorm: options.adaptive && typeof maxNorm === "number" ? maxNorm : null,
    order: seed ?? new Words(secretBits).next(),
    seed: seed ?? null,
  });
}

/** Throws INVALID_ARGUMENT for another seed: the noise of a seeded state is known, and stays so. */
function checkState<S>({ seed, maxNorm }: TrainerState<S>, options: PrivateStepOptions<S>): void {
  if (seed !== (options.seed ?? null)) {
    const before = seed === null ? "without a seed" : `with the seed ${seed}`;
    throw new PergradError("INVALID_ARGUMENT", `The state to resume from was made ${before}; give the same seed.`);
  }
  if ((maxNorm === null) === (options.adaptive === undefined)) return;
  const before = maxNorm === null ? "without" : "with";
  throw new PergradError(
    "INVALID_ARGUMENT",
    `The state to resume from was made ${before} adaptive clipping; give the same options.`,
  );
}
