/** train: ordinary or private training, from an ONNX file to an ONNX file. */

import { basename } from "node:path";
import { setImmediate } from "node:timers/promises";
import { PergradError } from "../errors.js";
import type { Model } from "../graph/model.js";
import type { Observer } from "../inspect/observe.js";
import { saveModel } from "../onnx/write/save.js";
import { validate } from "../privacy/validate.js";
import { type TrainingPage, trainingPage } from "../report/training-page.js";
import { TrainingStopped, train, trainPrivately } from "../train/index.js";
import { stepsOfEpochs, stepsPerEpoch } from "../train/samplers.js";
import { protects } from "../train/train.js";
import type { PrivatelyTrained, PrivateStepResult, StepResult, Trained } from "../train/types.js";
import { countNotFinite } from "./data.js";
import { type FileTask, fileTaskOf } from "./file-task.js";
import type { Io } from "./io.js";
import type { Progress } from "./progress.js";
import { interruptible } from "./signals.js";
import { checkOut } from "./task.js";
import {
  checkTrainOptions,
  given,
  optimizerFor,
  type Privacy,
  privacyOf,
  type TrainCommandOptions,
} from "./train-options.js";
import { Dropped, Tally } from "./train-report.js";

/** The outcome of a training. */
interface Outcome {
  readonly model: Model;
  readonly steps: number;
  readonly guarantee?: string;
  /** Why training stopped, if a step would have spoilt the weights. */
  readonly stopped?: PergradError;
}

export async function trainModel(
  modelFile: string,
  options: TrainCommandOptions,
  io: Io,
  progress: Progress,
): Promise<void> {
  checkTrainOptions(options);
  const privacy = privacyOf(options);
  await checkOut(options.out, [modelFile, options.data]);
  if (options.diagnosePage !== undefined) await checkOut(options.diagnosePage, [modelFile, options.data]);
  const task = await fileTaskOf(modelFile, options, progress, privacy !== null && !options.allowNotFinite);
  if (privacy) warn(task, privacy, progress);
  const steps = stepsOf(options, task.samples);
  await interruptible(async (signal) => {
    const dropped = new Dropped();
    const {
      model,
      steps: done,
      guarantee,
      stopped,
    } = await run({ task, options, privacy, steps, progress, signal, dropped, observe: io.observe });
    progress.stop();
    const interrupted = signal.aborted && done < steps;
    if (interrupted) io.stderr.write(`pergrad: ${interruption(done, steps, options)}\n`);
    if (interrupted && (options.checkpoint !== undefined || done === 0)) return;
    if (stopped && done === 0) throw stopped;
    if (!stopped) requireConverging(task.model, model, done);
    await saveModel(model, options.out, guarantee === undefined ? {} : { metadata: { "pergrad.privacy": guarantee } });
    const fewer =
      stopped || interrupted
        ? ` of ${steps}`
        : done < steps
          ? ` of ${steps}, because interrupted steps have used up the rest of the privacy budget`
          : "";
    io.stdout.write(`wrote ${options.out}: ${done} ${done === 1 && fewer === "" ? "step" : "steps"}${fewer}\n`);
    if (guarantee !== undefined) io.stdout.write(`${guarantee}\n`);
    if (dropped.count > 0) {
      const counted = (samples: readonly number[]) => countNotFinite(task.dataFile, task.objective, samples);
      io.stdout.write(`${await dropped.summary(counted)}\n`);
    }
    if (stopped)
      throw new PergradError(
        "NOT_FINITE",
        `${stopped.message.replace(/\.$/, "")}; "${options.out}" holds the weights after step ${done} of ${steps}, the last ones that are finite.`,
      );
  });
}

/** No training that learns anything makes weights grow by more than this. */
const maxGrowth = 1e5;

/**
 * Refuses weights that are still finite but have left all bounds. It reads only weights, which costs no privacy.
 * @throws PergradError NOT_FINITE.
 */
function requireConverging(before: Model, after: Model, steps: number): void {
  for (const [name, { data }] of Object.entries(after.parameters)) {
    const [first, last] = [largest(before.parameters[name]?.data ?? []), largest(data)];
    if (last <= maxGrowth * Math.max(1, first)) continue;
    const grew = `"${name}" grew from at most ${first.toPrecision(2)} to ${last.toPrecision(2)} in ${steps} steps`;
    throw new PergradError(
      "NOT_FINITE",
      `The training diverged: ${grew}, so nothing was written; try a smaller learning rate.`,
    );
  }
}

function largest(data: ArrayLike<number>): number {
  let found = 0;
  for (let i = 0; i < data.length; i++) found = Math.max(found, Math.abs(data[i] as number));
  return found;
}

/** Warns about what the guarantee does not cover. */
function warn({ model, options, samples }: FileTask, { delta }: Privacy, progress: Progress): void {
  if (!protects(delta, samples))
    progress.warn(
      `--delta ${delta} is not below 1 / samples (${samples}), so the guarantee protects little; give a smaller one.`,
    );
  const output = options.output ?? model.graph.outputs[0]?.name;
  for (const { severity, node, problem, fix } of validate(model, output === undefined ? {} : { outputs: [output] }))
    if (severity === "warning") progress.note(`${node}: ${problem}; ${fix}.`);
}

/** The number of steps of the whole training, counted for these epochs as the trainers do. */
function stepsOf(
  { steps, epochs = 0, batchSize, sampling, private: secret }: TrainCommandOptions,
  samples: number,
): number {
  if (steps !== undefined) return steps;
  return stepsOfEpochs(epochs, stepsPerEpoch(sampling ?? (secret ? "poisson" : "shuffled"), samples, batchSize));
}

interface Run {
  readonly task: FileTask;
  readonly options: TrainCommandOptions;
  readonly privacy: Privacy | null;
  readonly steps: number;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  readonly dropped: Dropped;
  readonly observe: Observer | undefined;
}

async function run({ task, options, privacy, steps, progress, signal, dropped, observe }: Run): Promise<Outcome> {
  progress.stage("compiling");
  const common = {
    ...task.options,
    optimizer: optimizerFor(options, Math.max(1, steps)),
    batchSize: options.batchSize,
    steps,
    signal,
    onStep: reporter(steps, progress, dropped),
    inPlace: true,
    ...given("observe", observe),
    ...given("threads", options.threads),
    ...given("microbatchSize", options.microbatchSize),
    ...given("sampling", options.sampling),
    ...given("seed", options.seed),
    ...checkpointOf(options),
  };
  const page = await pageFor(options);
  const diagnosed = page ? { diagnose: { onDiagnostics: page, ...given("every", options.diagnoseEvery) } } : {};
  try {
    return outcomeOf(
      privacy
        ? await trainPrivately(task.model, task.dataFile, { ...common, ...privacy })
        : await train(task.model, task.dataFile, { ...common, ...diagnosed }),
    );
  } catch (error) {
    if (!(error instanceof TrainingStopped)) throw error;
    return { ...outcomeOf(error.trained), stopped: error };
  } finally {
    await page?.end();
  }
}

async function pageFor({ diagnosePage, out }: TrainCommandOptions): Promise<TrainingPage | null> {
  return diagnosePage === undefined ? null : trainingPage(diagnosePage, { title: `Training ${basename(out)}` });
}

function outcomeOf({ model, state, ...more }: Trained<unknown> | PrivatelyTrained<unknown>): Outcome {
  return { model, steps: state.steps, ...("guarantee" in more ? { guarantee: more.guarantee } : {}) };
}

function interruption(done: number, steps: number, { checkpoint, out }: TrainCommandOptions): string {
  const stopped = `stopped after ${done} of ${steps} steps`;
  if (checkpoint !== undefined) return `${stopped}; the same command resumes from "${checkpoint}".`;
  if (done === 0) return `${stopped}; nothing was written.`;
  return `${stopped}; "${out}" holds the weights of the last step (with --checkpoint FOLDER, the same command would resume).`;
}

function checkpointOf({ checkpoint: folder, checkpointEvery }: TrainCommandOptions) {
  return folder === undefined ? {} : { checkpoint: { folder, ...given("every", checkpointEvery) } };
}

/** The approximate number of lines that report on a training. */
const lines = 10;

function reporter(
  steps: number,
  progress: Progress,
  dropped: Dropped,
): (result: StepResult | PrivateStepResult) => Promise<void> {
  const tally = new Tally();
  let begun = false;
  return async (result) => {
    if (!begun) progress.stage("training", steps);
    begun = true;
    tally.add(result);
    if ("droppedSamples" in result) dropped.add(result.droppedSamples);
    progress.update(result.step);
    // Prints a line after each tenth of the steps, and after the last.
    if (Math.floor((result.step * lines) / steps) > Math.floor(((result.step - 1) * lines) / steps))
      progress.line(tally.line(steps, result));
    // A run of the model blocks the event loop: this lets signals arrive.
    await setImmediate();
  };
}
