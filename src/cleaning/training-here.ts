/** Trains the model on all samples, and on all samples outside each fold, to predict the fold's samples. */

import { checkOptions, checkWhole, invalidArgument, kindOf, type OptionNames } from "../arguments.js";
import type { Objective } from "../compile/objective.js";
import type { Model } from "../graph/model.js";
import { withParameters } from "../graph/with-parameters.js";
import { entryOf, present } from "../present.js";
import { type Running, runningOf } from "../program/options.js";
import { Program } from "../program/program.js";
import { option, sentence } from "../sentence.js";
import type { Data } from "../tensor/data.js";
import { random } from "../tensor/random.js";
import { permutation } from "../train/batches.js";
import type { TrainingData } from "../train/dataset.js";
import { scoresWhere } from "../train/figures.js";
import { Trainer } from "../train/trainer.js";
import { marginOf, softmax } from "./by-class.js";
import type { Parameters } from "./following.js";
import type { Targets } from "./targets.js";
import type { CleaningTraining } from "./types.js";

/** The number of samples read at a time for predictions. */
const readAtOnce = 256;

/** Lends a data set to code that would release it: it stays open. */
const lent = (data: TrainingData): TrainingData => ({
  samples: data.samples,
  take: (samples) => data.take(samples),
  release: async () => {},
});

/** Some samples of a data set, which stays open. */
class Subset implements TrainingData {
  constructor(
    private readonly all: TrainingData,
    private readonly numbers: Uint32Array,
  ) {}

  get samples(): number {
    return this.numbers.length;
  }

  take(samples: Uint32Array): Promise<Readonly<Record<string, Data>>> {
    return this.all.take(samples.map((n) => this.numbers[n] ?? 0));
  }

  /** All of its samples, a few at a time. */
  async *batches(): AsyncGenerator<Readonly<Record<string, Data>>, void, undefined> {
    for (let from = 0; from < this.samples; from += readAtOnce)
      yield this.all.take(this.numbers.subarray(from, from + readAtOnce));
  }

  async release(): Promise<void> {}
}

/** Predictions of models for samples that they were not trained on. */
export interface OutOfSample {
  /** Log-probability of the label minus the largest other one, `[N]`. */
  readonly margins: Float32Array;
  /** -log of the label's probability, `[N]`. */
  readonly losses: Float32Array;
  /** `[N, C]` */
  readonly probabilities: Float32Array;
}

export interface TrainedHere {
  readonly model: Model;
  /** The parameters after each epoch. */
  readonly checkpoints: readonly Parameters[];
  /** For classes only. */
  readonly outOfSample?: OutOfSample;
}

export interface TrainingTask {
  readonly objective: Objective;
  /** All samples. */
  readonly data: TrainingData;
  readonly running: Pick<Running, "threads" | "signal">;
}

const trainingOptions: OptionNames<CleaningTraining> = { optimizer: true, epochs: true, batchSize: true, folds: true };

/** Throws INVALID_ARGUMENT. */
export function checkTraining(training: CleaningTraining): void {
  checkOptions("The training of findIssues", training, trainingOptions);
  const { optimizer, epochs, batchSize, folds } = training;
  if (typeof optimizer !== "function")
    throw invalidArgument(
      `The optimizer of findIssues' training must be a function of the number of steps, not ${kindOf(optimizer)}; give one, such as () => adam({ learningRate: 1e-3 }).`,
    );
  for (const [name, value] of Object.entries({ epochs, batchSize }))
    if (value === undefined) throw invalidArgument(`The training of findIssues needs ${name}; give a whole number.`);
  checkWhole("The number of epochs of findIssues", epochs, 1);
  checkWhole("The batchSize of findIssues", batchSize, 1);
  checkWhole(sentence`The number of folds (${option("folds")})`, folds, 2);
}

/** Throws INVALID_ARGUMENT, and what training throws. */
export async function trainHere(task: TrainingTask, targets: Targets, options: CleaningTraining): Promise<TrainedHere> {
  const { samples } = task.data;
  const { folds = Math.min(5, samples) } = options;
  checkWhole(sentence`The number of folds (${option("folds")})`, folds, 2, samples);
  if (options.folds !== undefined && targets.kind !== "classes")
    throw invalidArgument(
      sentence`Cross-validation needs samples with one class label each; leave out ${option("folds")}.`,
    );
  checkBatchSize(options.batchSize, samples, targets.kind === "classes" ? folds : undefined);
  const checkpoints = await train({ ...task, data: lent(task.data) }, options);
  const model = withParameters(task.objective.model, checkpoints[checkpoints.length - 1] ?? {});
  if (targets.kind !== "classes") return { model, checkpoints };
  return { model, checkpoints, outOfSample: await crossValidate(task, targets, folds, options) };
}

/** Throws INVALID_ARGUMENT if a training would have fewer samples than a batch; each fold leaves some of them out. */
function checkBatchSize(batchSize: number, samples: number, folds: number | undefined): void {
  const least = samples - (folds === undefined ? 0 : Math.ceil(samples / folds));
  if (batchSize <= least) return;
  const trained = folds === undefined ? "" : `, and cross-validation by ${folds} folds trains on ${least} of them`;
  throw invalidArgument(
    sentence`A batch of ${batchSize} is too large: there are ${samples} samples${trained}; give a ${option("batchSize")} of at most ${least}.`,
  );
}

/** The parameters after each epoch. */
async function train(task: TrainingTask, { optimizer, epochs, batchSize }: CleaningTraining): Promise<Parameters[]> {
  const { objective, data, running } = task;
  const { threads, signal } = running;
  const first = [...objective.parameters.keys()].map((name) => [name, entryOf(objective.model.parameters, name)]);
  const own = { objective, data, parameters: Object.fromEntries(first) };
  const perEpoch = Math.ceil(data.samples / batchSize);
  const trainer = await Trainer.over(own, {
    loss: objective.loss,
    optimizer: optimizer(perEpoch * epochs),
    batchSize,
    ...(threads === undefined ? {} : { threads }),
  });
  try {
    const found: Parameters[] = [];
    for (let epoch = 1; epoch <= epochs; epoch++) {
      while (trainer.steps < epoch * perEpoch) {
        signal?.throwIfAborted();
        await trainer.step();
      }
      found.push(trainer.model.parameters);
    }
    return found;
  } finally {
    await trainer.release();
  }
}

/** The predictions for each fold's samples by a model trained on the others, from the same initial parameters. */
async function crossValidate(
  task: TrainingTask,
  { classes, labels }: Extract<Targets, { kind: "classes" }>,
  folds: number,
  options: CleaningTraining,
): Promise<OutOfSample> {
  const { objective, data, running } = task;
  const { samples } = data;
  const probabilities = new Float32Array(samples * classes);
  const [margins, losses] = [new Float32Array(samples), new Float32Array(samples)];
  const order = permutation(samples, random(1));
  const program = await Program.of(objective, {
    loss: objective.loss,
    holdParameters: false,
    ...runningOf(running),
    want: { scores: scoresWhere(true, objective) },
  });
  try {
    for (let fold = 0; fold < folds; fold++) {
      const left = order.filter((_, k) => k % folds === fold);
      const kept = order.filter((_, k) => k % folds !== fold);
      const checkpoints = await train({ ...task, data: new Subset(data, kept) }, options);
      const run = { parameters: checkpoints[checkpoints.length - 1] ?? {}, inPlace: true } as const;
      const { scores } = await program.runAll(new Subset(data, left).batches(), run);
      left.forEach((n, k) => {
        const own = softmax(present(scores).data.subarray(k * classes, (k + 1) * classes));
        probabilities.set(own, n * classes);
        const logs = own.map((p) => Math.log(Math.max(p, 1e-30)));
        const label = labels[n] ?? 0;
        margins[n] = marginOf(logs, label);
        losses[n] = label < 0 ? 0 : -(logs[label] ?? 0);
      });
    }
  } finally {
    await program.release();
  }
  return { margins, losses, probabilities };
}
