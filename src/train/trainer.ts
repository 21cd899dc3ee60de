/** Ordinary training, step by step: each step follows the mean gradient of a batch. */

import { checkOptions } from "../arguments.js";
import type { Model } from "../graph/model.js";
import type { Module } from "../nn/module.js";
import { checkSeed } from "../privacy/random-bits.js";
import { type NotFinite, type NotFiniteSample, renumbered } from "../program/not-finite.js";
import type { Program } from "../program/program.js";
import { type FloatTensor, type Want, want } from "../wants/want.js";
import type { Diagnosed } from "./diagnosed.js";
import { Figures, scores } from "./figures.js";
import type { Parameters } from "./optimizer.js";
import { plainTraining } from "./option-names.js";
import { type Sampler, samplerOf } from "./samplers.js";
import { feedsFor, microbatches, planned, releasedOnFailure, type Setup, setup } from "./setup.js";
import { firstState, noiseless, paid, requireFitting } from "./state.js";
import { Stepping } from "./stepping.js";
import { requireFiniteStep, stepNotTaken } from "./stopped.js";
import { asGradients, Sums, scaled } from "./sums.js";
import type { PlainStepOptions, StepResult, TrainerState, TrainingSet } from "./types.js";

function begin<S>(parameters: Parameters, { optimizer, seed = 0 }: PlainStepOptions<S>): TrainerState<S> {
  checkSeed(seed);
  return firstState(parameters, optimizer, { maxNorm: null, order: seed, seed });
}

interface Wanted {
  readonly sum: ReturnType<typeof want.sum>;
  readonly losses: Want<FloatTensor>;
  readonly scores: Want<FloatTensor | null>;
  readonly [name: string]: Want<unknown>;
}

/** Code that diagnoses steps is loaded only if it is requested. */
async function diagnosedFor<S>({ objective }: Setup, options: PlainStepOptions<S>): Promise<Diagnosed | null> {
  if (!options.diagnose) return null;
  const { Diagnosed } = await import("./diagnosed.js");
  return Diagnosed.of(objective, options.diagnose, options);
}

/** Takes one step after another. An empty batch moves the parameters as a gradient of 0 does. */
export class Trainer<S> extends Stepping<S, StepResult> {
  readonly #options: PlainStepOptions<S>;
  readonly #program: Program<Wanted>;
  readonly #sums: Sums;
  readonly #diagnosed: Diagnosed | null;

  private constructor(
    own: Setup,
    options: PlainStepOptions<S>,
    sampler: Sampler,
    program: Program<Wanted>,
    state: TrainerState<S>,
    diagnosed: Diagnosed | null,
  ) {
    super(own, sampler, state);
    this.#diagnosed = diagnosed;
    this.#options = options;
    this.#program = program;
    this.#sums = new Sums(own.parameters);
  }

  /** Throws what `perSample` throws and what running the whole data set would, NOT_FINITE included; INVALID_ARGUMENT. */
  static async create<S>(
    model: Model | Module,
    dataset: TrainingSet | string,
    options: PlainStepOptions<S>,
  ): Promise<Trainer<S>> {
    checkOptions("Trainer.create(model, data, options)", options, plainTraining);
    return Trainer.over(await setup(model, dataset, options, false), options);
  }

  /** The same for a setup, which is released with the trainer, or at once if this fails. */
  static over<S>(own: Setup, options: PlainStepOptions<S>): Promise<Trainer<S>> {
    return releasedOnFailure(own.data, () => Trainer.#over(own, options));
  }

  static async #over<S>(own: Setup, options: PlainStepOptions<S>): Promise<Trainer<S>> {
    if (options.from) requireFitting(options.from, own.parameters, options.optimizer);
    const state = options.from ?? begin(own.parameters, options);
    const { batchSize, sampling = "shuffled" } = options;
    const { seed, order } = state;
    const sampler = samplerOf(sampling, { samples: own.data.samples, batchSize, seed, order });
    const wants: Wanted = { sum: want.sum(), losses: want.losses(), scores: scores(own.objective) };
    // The compiler and the runtime are loaded when they are first used.
    const { Program } = await import("../program/program.js");
    const program = await Program.of(own.objective, { ...planned(options), holdParameters: false, want: wants });
    const diagnosed = await releasedOnFailure(program, () => diagnosedFor(own, options));
    return new Trainer(own, options, sampler, program, state, diagnosed);
  }

  override async release(): Promise<void> {
    await this.own.data.release();
    await this.#program.release();
    await this.#diagnosed?.release();
  }

  protected override async take(): Promise<StepResult> {
    const start = performance.now();
    const { steps, parameters, optimizer } = this.current;
    const batch = this.sampler.draw(steps);
    const sums = this.#sums;
    sums.clear();
    const figures = new Figures();
    for (const samples of microbatches(batch, this.#options.microbatchSize)) {
      const feeds = await feedsFor(this.own, this.#options, steps, samples);
      const found = await this.#program.run(feeds, { parameters, notFinite: "ignore" });
      sums.add(found.sum);
      figures.add(found.losses, found.scores, feeds.target);
    }
    if (!sums.finite) throw stepNotTaken(steps + 1, await this.#notFinite(batch));
    const means = scaled(sums.values, 1 / Math.max(1, batch.length));
    const stepped = this.#options.optimizer.step(parameters, asGradients(parameters, means), optimizer);
    requireFiniteStep(steps + 1, stepped);
    this.current = {
      ...this.current,
      // A private training that resumes from here must not count this step as free.
      ...paid(this.current, noiseless),
      steps: steps + 1,
      parameters: stepped.parameters,
      optimizer: stepped.state,
    };
    if (this.#diagnosed?.asks(steps + 1, batch.length)) {
      const feeds = await feedsFor(this.own, this.#options, steps, batch);
      await this.#diagnosed.step(steps + 1, feeds, parameters, stepped.parameters);
    }
    return {
      step: steps + 1,
      samples: batch.length,
      loss: figures.loss,
      accuracy: figures.accuracy,
      seconds: (performance.now() - start) / 1000,
    };
  }

  /** The samples of a batch whose gradients are not finite; searched only if the sum is not finite. */
  async #notFinite(batch: Uint32Array): Promise<NotFiniteSample[]> {
    const { steps, parameters } = this.current;
    const found: NotFiniteSample[] = [];
    for (const samples of microbatches(batch, this.#options.microbatchSize)) {
      const onNotFinite = (report: NotFinite) => found.push(...renumbered(report.samples, (n) => samples[n] as number));
      const feeds = await feedsFor(this.own, this.#options, steps, samples);
      await this.#program.run(feeds, { parameters, notFinite: "leave out", onNotFinite });
    }
    return found;
  }
}
