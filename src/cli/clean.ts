/** clean: scores for wrong labels, copies, outliers and samples that teach nothing, as a table. */
import { issuesOf } from "../cleaning/scoring.js";
import type { CleaningTraining, Issues } from "../cleaning/types.js";
import { type Column, samplesColumns } from "../io/column.js";
import { checkTable, standardOutput, writeTable } from "../io/table.js";
import { contentOf } from "../report/collect.js";
import { checkClassNames, showOf } from "../report/shown.js";
import { pageFiles, writePage } from "../report/write.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkpointOf } from "./checkpoints.js";
import { fileTaskOf } from "./file-task.js";
import type { Io } from "./io.js";
import type { Progress } from "./progress.js";
import { type ShowOptions, showing } from "./report.js";
import { checkOut, checkPage, dataTaskOf, type TaskOptions, threadsOf } from "./task.js";
import { checkOptimizer, type OptimizerOptions, optimizerFor, optimizerOptions } from "./train-options.js";
import { flagOf, UsageError } from "./usage.js";

export interface CleanCommandOptions extends TaskOptions, OptimizerOptions, ShowOptions {
  readonly report?: string;
  readonly data: string;
  readonly out: string;
  readonly checkpoint?: readonly string[];
  readonly dims?: number;
  readonly neighbours?: number;
  readonly damping?: number;
  readonly epochs?: number;
  readonly batchSize?: number;
  readonly folds?: number;
}

/** Options that only a page uses. `--ids` also names the samples in the table. */
const shownOnly = ["show", "rate", "texts", "classNames", "title"] as const;

/** Throws UsageError. */
function requireReport(options: CleanCommandOptions): void {
  const given = shownOnly.find((name) => options[name] !== undefined);
  if (given === undefined || options.report !== undefined) return;
  throw new UsageError(`${flagOf(given)} is for the page of --report; give --report FILE too, or leave it out.`);
}

/**
 * Refuses, before the work, what cannot be written.
 * @returns the page's file of numbers in whose place the table is written, if there is one
 * @throws UsageError, PergradError FILE_UNWRITABLE.
 */
async function checkOutputs(modelFile: string, options: CleanCommandOptions): Promise<string | undefined> {
  requireReport(options);
  const { out, report, data, ids, texts, checkpoint = [] } = options;
  const read = [modelFile, data, ids, texts, ...checkpoint].filter((file) => file !== undefined);
  if (out !== standardOutput) await checkOut(out, read);
  await checkTable(out);
  return report === undefined ? undefined : await checkPage(report, read, out);
}

export async function clean(
  modelFile: string,
  options: CleanCommandOptions,
  io: Io,
  progress: Progress,
): Promise<void> {
  const training = trainingOf(options);
  const same = await checkOutputs(modelFile, options);
  // The samples of a page are read one by one, from memory.
  const held = options.report === undefined ? undefined : await dataTaskOf(modelFile, options, progress);
  const task = held ?? (await fileTaskOf(modelFile, options, progress));
  const { checkpoint: files = [], dims, neighbours, damping } = options;
  if (neighbours !== undefined && neighbours >= task.samples)
    throw new UsageError(
      `--neighbours ${neighbours} is too many for ${task.samples} samples; give at most ${task.samples - 1}.`,
    );
  const shown = await showing(options, task);
  if (held) {
    checkClassNames(held.objective, shown.classNames);
    showOf(held.objective, held.feeds, shown);
  }
  const checkpoints: Readonly<Record<string, Tensor<"float32">>>[] = [];
  for (const file of files) checkpoints.push((await checkpointOf(file, task.model, options, progress)).parameters);
  const { issues, model } = await issuesOf(task.objective, held?.feeds ?? task.dataFile, {
    ...task.options,
    // A file that is read whole has already been checked for NaN and infinity.
    allowNotFinite: held !== undefined || (options.allowNotFinite ?? false),
    ...(files.length > 0 ? { checkpoints } : {}),
    ...(training ? { training } : {}),
    ...(dims === undefined ? {} : { dims }),
    ...(neighbours === undefined ? {} : { neighbours }),
    ...(damping === undefined ? {} : { damping }),
    ...threadsOf(options),
    onNotFinite: ({ message }) => progress.warn(`${message.slice(0, -1)}; such samples have the outlier score 1.`),
    onStage: (stage) => progress.stage(stage),
  });
  if (held) progress.stage("report");
  const content =
    held && (await contentOf({ ...held.objective, model }, held.feeds, { ...shown, scores: issues.scores }));
  await writeTable(options.out, columnsOf(issues, shown.ids), (text) => io.stdout.write(text));
  if (content && options.report !== undefined)
    await writePage({ ...content, ...(issues.suggested ? { suggested: issues.suggested } : {}) }, options.report, same);
  progress.stop();
  if (options.out !== standardOutput) {
    const pages = options.report === undefined ? [] : pageFiles(options.report).filter((file) => file !== same);
    io.stdout.write(`wrote ${[options.out, ...pages].join(", ")}: ${summary(issues)}\n`);
  }
}

/** A row for each sample: its name, its scores, and the measures behind them. */
export function columnsOf(issues: Issues, ids?: readonly string[]): Column[] {
  const { scores, measures, labels, suggested, predictions } = issues;
  return [
    ...samplesColumns(issues.samples, ids),
    { name: "label_score", values: scores.label },
    { name: "duplicate_score", values: scores.duplicate },
    { name: "outlier_score", values: scores.outlier },
    { name: "uninformative_score", values: scores.uninformative },
    ...(labels && suggested && predictions
      ? [
          { name: "label", values: labels },
          { name: "suggested_label", values: suggested },
          { name: "predicted_label", values: predictions },
        ]
      : []),
    { name: "nearest", values: issues.nearest },
    { name: "same_as", values: issues.sameAs },
    ...Object.entries(measures).flatMap(([name, values]) => (values ? [{ name: snake(name), values }] : [])),
  ];
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function summary({ samples, scores, sameAs }: Issues): string {
  const above = (values: Float32Array) => values.filter((score) => score > 0.5).length;
  const same = sameAs.filter((other, n) => other >= 0 && other < n).length;
  return `${samples} samples; above 0.5: ${above(scores.label)} by label, ${above(scores.duplicate)} by copies (${same} with the inputs of an earlier one), ${above(scores.outlier)} by outliers`;
}

/** Throws UsageError. */
function trainingOf(options: CleanCommandOptions): CleaningTraining | undefined {
  const { epochs, batchSize, folds } = options;
  if (epochs === undefined) {
    const given = (["folds", "batchSize", ...optimizerOptions] as const).find((name) => options[name] !== undefined);
    if (given !== undefined)
      throw new UsageError(`${flagOf(given)} is for training the model here; give --epochs too, or leave it out.`);
    return undefined;
  }
  if (batchSize === undefined)
    throw new UsageError("--epochs needs --batch-size, the samples per step; give that too.");
  if (options.checkpoint)
    throw new UsageError("--checkpoint is for a model that was trained elsewhere; leave out --checkpoint or --epochs.");
  checkOptimizer(options);
  const optimizer = (steps: number) => optimizerFor(options, steps);
  return { optimizer, epochs, batchSize, ...(folds === undefined ? {} : { folds }) };
}
