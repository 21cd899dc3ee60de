/** Complete trainings. */
import { checkOptions } from "../arguments.js";
import { PergradError } from "../errors.js";
import type { Model } from "../graph/model.js";
import type { Module } from "../nn/module.js";
import { noiseMultiplierFor } from "../privacy/index.js";
import type { GaussianMechanism } from "../privacy/mechanism.js";
import { observed } from "../program/environment.js";
import type { Checkpoints } from "./checkpoints.js";
import { plainTraining, privateTraining } from "./option-names.js";
import { PrivateTrainer } from "./private-trainer.js";
import type { Settings } from "./run-folder.js";
import { stepsOfEpochs, stepsPerEpoch } from "./samplers.js";
import { releasedOnFailure, setup } from "./setup.js";
import type { Stepping } from "./stepping.js";
import { TrainingStopped } from "./stopped.js";
import { Trainer } from "./trainer.js";
import type {
  ClippingOptions,
  Kept,
  Length,
  PrivatelyTrained,
  PrivateStepOptions,
  PrivateTrainOptions,
  Sampling,
  StepResult,
  TrainEvents,
  Trained,
  TrainerState,
  TrainingSet,
  TrainOptions,
} from "./types.js";

/**
 * Trains on the mean gradients of batches.
 * @param dataset by the inputs' names, or the path of a .safetensors or .npz file. A file is read once, to check it,
 *   and then batch by batch: it must not change until the end.
 * @throws PergradError what `Trainer.create` throws; with a file or `checkpoint`, FILE_UNREADABLE and FILE_UNWRITABLE;
 *   `TrainingStopped`, which holds the training so far, if a step would make numbers that are not finite.
 */
export async function train<S>(
  model: Model | Module,
  dataset: TrainingSet | string,
  given: TrainOptions<S>,
): Promise<Trained<S>> {
  checkOptions("train(model, data, options)", given, plainTraining);
  const options = observed(given);
  const own = await setup(model, dataset, options, false);
  const checkpoints = await releasedOnFailure(own.data, () => checkpointsOf<S>(options, {}));
  const make = () => Trainer.over(own, { ...withoutSignal(options), ...startOf(checkpoints) });
  return using(make, checkpoints, async (trainer) => {
    const result = () => ({ model: trainer.model, state: trainer.state() });
    await loop(trainer, stepsFor(options, trainer.stepsPerEpoch), options, checkpoints, result, () => true);
    return result();
  });
}

/**
 * Trains with differential privacy: with a given noise, or with the noise that reaches `targetEpsilon` at the last step. That
 * epsilon is never exceeded: if a crash lost steps, or a shuffled epoch was interrupted, the run takes fewer. Samples whose
 * gradients are not finite are dropped and counted.
 * @param dataset as `train` takes it
 * @throws PergradError what `PrivateTrainer.create` throws; with a file or `checkpoint`, FILE_UNREADABLE and FILE_UNWRITABLE;
 * `TrainingStopped` as `train` does.
 */
export async function trainPrivately<S>(
  model: Model | Module,
  dataset: TrainingSet | string,
  given: PrivateTrainOptions<S>,
): Promise<PrivatelyTrained<S>> {
  checkOptions("trainPrivately(model, data, options)", given, privateTraining);
  const options = observed(given);
  const own = await setup(model, dataset, options, true);
  const { samples } = own.data;
  const { steps, noiseMultiplier, checkpoints } = await releasedOnFailure(own.data, () =>
    lengthAndNoise(options, samples),
  );
  const record = async (spent: GaussianMechanism) => {
    await checkpoints?.record(spent);
    await options.record?.(spent);
  };
  const stepping = { ...withoutSignal(options), noiseMultiplier, record, ...startOf(checkpoints) };
  const make = () => PrivateTrainer.over(own, stepping);
  return using(make, checkpoints, async (trainer) => {
    const { targetEpsilon } = options;
    const hasTarget = targetEpsilon !== undefined && !isPlanned(trainer, noiseMultiplier, options.sampling);
    const result = () => finished(trainer, { ...options, noiseMultiplier }, samples);
    await loop(trainer, steps, options, checkpoints, result, () => !hasTarget || trainer.nextEpsilon <= targetEpsilon);
    return result();
  });
}

/**
 * The number of steps and the noise of a private training, and its folder. Throws INVALID_ARGUMENT, FILE_UNREADABLE.
 */
async function lengthAndNoise<S>(options: PrivateTrainOptions<S>, samples: number) {
  const { sampling = "poisson", batchSize } = options;
  const steps = stepsFor(options, stepsPerEpoch(sampling, samples, batchSize));
  const noiseMultiplier = noiseFor(options, samples, steps);
  const checkpoints = await checkpointsOf<S>(options, {
    samples,
    ...planned(options, steps),
    "noise multiplier": noiseMultiplier,
  });
  return { steps, noiseMultiplier, checkpoints };
}

/**
 * The epsilon that the noise was chosen for, if one was requested: part of the settings, because the noise follows from
 * it.
 */
function planned<S>({ targetEpsilon, delta }: PrivateTrainOptions<S>, steps: number): Settings {
  return targetEpsilon === undefined ? {} : { "target epsilon": targetEpsilon, delta, "number of steps": steps };
}

/**
 * A signal ends a training after the current step; a program with the signal would end inside a step that is already
 * paid for.
 */
function withoutSignal<O extends { readonly signal?: AbortSignal }>(options: O): Omit<O, "signal"> {
  const { signal: _, ...stepping } = options;
  return stepping;
}

/** Whether the planned noise already covers what was spent before; if not, epsilon must be checked at each step. */
function isPlanned<S>(trainer: PrivateTrainer<S>, noiseMultiplier: number, sampling: Sampling | undefined): boolean {
  const { steps, recorded, ledger } = trainer.state();
  // A shuffled epoch that is resumed is paid for again.
  if (sampling === "shuffled" && steps > 0) return false;
  return recorded === steps && ledger.every((spent) => spent.noiseMultiplier === noiseMultiplier);
}

/** Makes a trainer for the action, and releases it and its checkpoints afterwards. */
async function using<S, T extends { release(): Promise<void> }, R>(
  make: () => Promise<T>,
  checkpoints: Checkpoints<S> | undefined,
  action: (trainer: T) => Promise<R>,
): Promise<R> {
  try {
    const trainer = await make();
    try {
      return await action(trainer);
    } finally {
      await trainer.release();
    }
  } finally {
    await checkpoints?.close();
  }
}

interface CheckpointedOptions<S> extends Kept {
  readonly batchSize: number;
  readonly sampling?: Sampling;
  readonly maxNorm?: ClippingOptions["maxNorm"];
  readonly from?: TrainerState<S>;
}

/** Throws INVALID_ARGUMENT, FILE_UNREADABLE. */
async function checkpointsOf<S>(
  { checkpoint, batchSize, sampling, maxNorm, from }: CheckpointedOptions<S>,
  more: Settings,
): Promise<Checkpoints<S> | undefined> {
  if (!checkpoint) return undefined;
  if (from) throw new PergradError("INVALID_ARGUMENT", "A run with checkpoints has its own state; leave out `from`.");
  const { Checkpoints } = await import("./checkpoints.js");
  return Checkpoints.open<S>(checkpoint, {
    "batch size": batchSize,
    ...(sampling === undefined ? {} : { sampling }),
    ...(maxNorm === undefined ? {} : { "clipping norm": JSON.stringify(maxNorm) }),
    ...more,
  });
}

function startOf<S>(checkpoints: Checkpoints<S> | undefined): { readonly from?: TrainerState<S> } {
  return checkpoints?.from ? { from: checkpoints.from } : {};
}

async function loop<S, R extends StepResult>(
  trainer: Stepping<S, R>,
  steps: number,
  { onStep, signal }: TrainEvents<R>,
  checkpoints: Checkpoints<S> | undefined,
  trained: () => Trained<S>,
  mayStep: () => boolean,
): Promise<void> {
  await checkpoints?.begin(trainer.state());
  while (trainer.steps < steps && !signal?.aborted && mayStep()) {
    const result = await stepOf(trainer, checkpoints, trained);
    await checkpoints?.stepped(trainer.state());
    await onStep?.(result, { steps });
  }
  await checkpoints?.save(trainer.state());
}

/**
 * If a step is not taken because its numbers are not finite, the training before it is kept. Throws TrainingStopped.
 */
async function stepOf<S, R extends StepResult>(
  trainer: Stepping<S, R>,
  checkpoints: Checkpoints<S> | undefined,
  trained: () => Trained<S>,
): Promise<R> {
  try {
    return await trainer.step();
  } catch (error) {
    if (!(error instanceof PergradError) || error.code !== "NOT_FINITE") throw error;
    await checkpoints?.save(trainer.state());
    throw new TrainingStopped(error.message, trained(), { cause: error });
  }
}

/** Throws INVALID_ARGUMENT. */
function stepsFor({ steps, epochs }: Length, perEpoch: number): number {
  const whole = (value: number) => Number.isSafeInteger(value) && value >= 0;
  if (steps !== undefined && epochs === undefined && whole(steps)) return steps;
  if (epochs !== undefined && steps === undefined && epochs >= 0 && Number.isFinite(epochs))
    return stepsOfEpochs(epochs, perEpoch);
  const given = steps === undefined ? `epochs: ${epochs}` : `steps: ${steps}, epochs: ${epochs}`;
  throw new PergradError(
    "INVALID_ARGUMENT",
    `Give either steps, a whole number from 0 up, or epochs, a number from 0 up, not ${given}.`,
  );
}

function noiseFor<S>(options: PrivateTrainOptions<S>, samples: number, steps: number): number {
  const { noiseMultiplier, targetEpsilon, delta, accountant, batchSize, sampling } = options;
  if (noiseMultiplier !== undefined && targetEpsilon === undefined) return noiseMultiplier;
  if (targetEpsilon === undefined || noiseMultiplier !== undefined)
    throw new PergradError(
      "INVALID_ARGUMENT",
      "Give either noiseMultiplier or targetEpsilon, which decides how much noise is added.",
    );
  const perEpoch = Math.ceil(samples / batchSize);
  const shuffled = sampling === "shuffled";
  const noise = noiseMultiplierFor({
    targetEpsilon,
    delta,
    samplingRate: shuffled ? 1 : Math.min(1, batchSize / samples),
    steps: shuffled ? Math.ceil(steps / perEpoch) : steps,
    ...(accountant ? { accountant } : {}),
  });
  if (Number.isFinite(noise)) return noise;
  throw new PergradError(
    "INVALID_ARGUMENT",
    `No amount of noise is enough for an epsilon of ${targetEpsilon} at delta ${delta}; give a larger epsilon or delta.`,
  );
}

function finished<S>(trainer: PrivateTrainer<S>, options: PrivateStepOptions<S>, samples: number): PrivatelyTrained<S> {
  const { delta, noiseMultiplier } = options;
  const { epsilon } = trainer;
  return {
    model: trainer.model,
    state: trainer.state(),
    private: trainer.private && Number.isFinite(epsilon),
    guarantee: guarantee(epsilon, options, samples),
    epsilon,
    delta,
    noiseMultiplier,
    samplingRate: trainer.samplingRate,
  };
}

/** To three decimals, never rounded down, so that the printed value also holds. */
export function epsilonText(epsilon: number): string {
  return Number.isFinite(epsilon) ? (Math.ceil(epsilon * 1000) / 1000).toFixed(3) : "infinite";
}

/** Whether a delta means anything: publishing one random sample as it is satisfies any larger one. */
export function protects(delta: number, samples: number): boolean {
  return delta < 1 / samples;
}

/** The guarantee of a training on this many samples. */
export function guarantee<S>(
  epsilon: number,
  { delta, seed, sampling }: PrivateStepOptions<S>,
  samples: number,
): string {
  if (!Number.isFinite(epsilon)) return "NOT PRIVATE: there were steps without noise, or with far too little.";
  const cost = `epsilon ${epsilonText(epsilon)} at delta ${delta}`;
  if (seed !== undefined)
    return `NOT PRIVATE: noise and batches came from the seed ${seed}. With secret ones it would be ${cost}.`;
  const [neighbours, batches] =
    sampling === "shuffled"
      ? ["one sample replaced by nothing", "disjoint batches in each epoch"]
      : ["one sample added or removed", "Poisson sampling"];
  const weak = protects(delta, samples)
    ? ""
    : ` WARNING: delta is not below 1 / samples (${samples}); this protects little.`;
  return `Differentially private: ${cost}, for ${neighbours}, by ${batches}.${weak}`;
}
