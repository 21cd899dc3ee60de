/** train: ordinary or private training, from an ONNX file to an ONNX file. */
import { setImmediate } from "node:timers/promises";
import { PergradError } from "../errors.js";
import { validate } from "../privacy/validate.js";
import { saveModel, withParameters } from "../save.js";
import { train, trainPrivately } from "../train/index.js";
import type { Parameters } from "../train/optimiser.js";
import type { PrivateStepResult, StepResult } from "../train/types.js";
import type { Io } from "./io.js";
import type { Progress } from "./progress.js";
import { interruptible } from "./signals.js";
import { type DataTask, dataTaskOf, refuseSameFile } from "./task.js";
import { checkTrainOptions, optimiserFor, type TrainCommandOptions } from "./train-options.js";
import { Tally } from "./train-report.js";

/** What a training came to. */
interface Outcome {
  readonly parameters: Parameters;
  readonly steps: number;
  readonly privacy?: { readonly epsilon: number; readonly private: boolean };
}

export async function trainModel(
  modelFile: string,
  options: TrainCommandOptions,
  io: Io,
  progress: Progress,
): Promise<void> {
  checkTrainOptions(options);
  await refuseSameFile(options.out, [modelFile, options.data]);
  const task = await dataTaskOf(modelFile, options, progress);
  if (task.samples === 0)
    throw new PergradError("INVALID_ARGUMENT", `"${task.dataFile}" holds no samples, so there is nothing to learn.`);
  if (options.private) warn(task, progress);
  progress.stage("compiling");
  const steps = options.steps ?? Math.ceil(((options.epochs ?? 0) * task.samples) / options.batchSize);
  await interruptible(async (signal) => {
    const outcome = await run(task, options, steps, progress, signal);
    progress.stop();
    if (outcome.steps < steps && signal.aborted) {
      io.stderr.write(`pergrad: ${interrupted(outcome.steps, steps, options)}\n`);
      return;
    }
    await saveModel(withParameters(task.model, outcome.parameters), options.out);
    io.stdout.write(`wrote ${options.out}: ${outcome.steps} steps of about ${options.batchSize} samples\n`);
    if (outcome.privacy) io.stdout.write(`${privacySentence(outcome.privacy, options)}\n`);
  });
}

function warn({ model, options }: DataTask, progress: Progress): void {
  const outputs =
    options.output === undefined ? model.graph.outputs.slice(0, 1).map(({ name }) => name) : [options.output];
  for (const { severity, node, problem, fix } of validate(model, { outputs }))
    if (severity === "warning") progress.note(`${node}: ${problem}; ${fix}.`);
}

function interrupted(done: number, steps: number, { checkpoint }: TrainCommandOptions): string {
  const stopped = `stopped after ${done} of ${steps} steps`;
  return checkpoint === undefined
    ? `${stopped}; nothing was written.`
    : `${stopped}; the same command with --resume goes on from "${checkpoint}".`;
}
