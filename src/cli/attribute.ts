/** attribute: scores of training samples for queries, written to a file. */
import { leaveOut, scores, selfInfluence } from "../attribution/index.js";
import { asMethod, type Scores } from "../attribution/scores.js";
import type { Model } from "../graph/model.js";
import type { Column } from "../io/column.js";
import { writeTensors } from "../io/files.js";
import { checkTable, idsName, standardOutput, writeTable } from "../io/table.js";
import { counted } from "../meant.js";
import { runningOf } from "../program/options.js";
import type { SampleNames } from "../program/sample-names.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkpointOf } from "./checkpoints.js";
import { isTable } from "./compute.js";
import { feedsOf, readData, requireSamples } from "./data.js";
import type { Io } from "./io.js";
import { type MethodOptions, methodOf, requireFitting } from "./method-options.js";
import type { OnCluster } from "./on-cluster.js";
import type { Progress } from "./progress.js";
import { cleaningUp } from "./signals.js";
import { checkOut, type DataTask, dataTaskOf, type TaskOptions } from "./task.js";
import { UsageError } from "./usage.js";

/** The options as commander returns them. */
export interface AttributeOptions extends TaskOptions, MethodOptions, Pick<OnCluster, "ray" | "execution" | "ids"> {
  readonly train?: string;
  readonly data?: string;
  readonly query: string;
  readonly out: string;
  readonly self?: boolean;
  readonly microbatchSize?: number;
  readonly memoryBudget?: number;
}

export async function attribute(
  modelFile: string,
  files: readonly string[],
  options: AttributeOptions,
  io: Io,
  progress: Progress,
): Promise<void> {
  const train = await checkedTrain(modelFile, files, options);
  const task = await dataTaskOf(modelFile, { ...options, data: train }, progress);
  const queries = await queriesOf(task, options, progress);
  requireSamples(options.query, queries.samples);
  const models = await checkpointsIn(files, task.model, options, progress);
  const method = await methodOf(options);
  const settings = { ...task.options, ...runningOf(options), method };
  remark(options, asMethod(method).settings.of, task, progress);
  progress.stage("scoring");
  const found = await cleaningUp(
    async () => {
      const scored = await scores(models, task.feeds, queries.feeds, settings);
      const own = options.self ? { self: await selfInfluence(models, task.feeds, settings) } : {};
      const foretold = options.leaveOut ? await withoutEach(models, task.feeds, queries.feeds, settings) : {};
      await write(
        options.out,
        { scores: scored.scores, ...own, ...foretold },
        { samples: task.ids, queries: queries.ids },
        io,
      );
      return scored;
    },
    () => {
      progress.stop();
      io.stderr.write("pergrad: stopped; nothing was written.\n");
    },
  );
  progress.stop();
  if (options.out !== standardOutput) io.stdout.write(`wrote ${options.out}: ${summaryOf(found, models.length)}\n`);
}

/** The file of the training samples. Throws UsageError, and any error that writing would raise in the end. */
async function checkedTrain(modelFile: string, files: readonly string[], options: AttributeOptions): Promise<string> {
  requireFitting(options);
  if (options.leaveOut && files.length === 0)
    throw new UsageError("--leave-out needs several models for its error bar; give more checkpoints after MODEL.");
  const { train, out, query, projection } = options;
  if (options.data !== undefined)
    throw new UsageError("--data is for --ray; here --train FILE holds the training samples, so leave out --data.");
  if (train === undefined) throw new UsageError("The option --train <file> must be given, or else --ray with --data.");
  const read = [modelFile, ...files, train, query, ...(projection ? [projection] : [])];
  if (out !== standardOutput) await checkOut(out, read);
  if (isTable(out)) await checkTable(out);
  return train;
}

/** The results: scores [queries, samples], and whatever else was requested. */
interface Results {
  readonly scores: Tensor;
  readonly self?: Tensor;
  readonly change?: Tensor;
  readonly error?: Tensor;
}

interface Ids {
  readonly samples: SampleNames | undefined;
  readonly queries: SampleNames | undefined;
}

async function write(out: string, results: Results, ids: Ids, io: Io): Promise<void> {
  if (isTable(out)) return writeTable(out, pairsOf(results, ids), (text) => io.stdout.write(text));
  await writeTensors(out, {
    ...results,
    ...(ids.samples ? { ids: ids.samples.tensor } : {}),
    ...(ids.queries ? { query_ids: ids.queries.tensor } : {}),
  });
}

/** "2 queries, 10 training samples, 1 model, damping 0.01" */
function summaryOf({ scores: found, dampings }: Scores, models: number): string {
  const [queries = 0, samples = 0] = found.dims;
  const counts = [counted(queries, "query", "queries"), counted(samples, "training sample"), counted(models, "model")];
  return `${counts.join(", ")}${dampingsIn(dampings)}`;
}

/** ", damping 0.01, 0.02", or nothing. */
export function dampingsIn(dampings: readonly number[] = []): string {
  const shown = [...new Set(dampings.map((damping) => damping.toPrecision(3)))];
  return shown.length === 0 ? "" : `, damping ${shown.join(", ")}`;
}

/** Losses whose second derivative in the model's output is 0. */
const linearLosses = /^(nll|l1|output\b.*)$/s;

/** Notes on what may surprise. */
function remark(
  { method, inverse }: AttributeOptions,
  of: unknown,
  { objective, samples }: DataTask,
  progress: Progress,
): void {
  if (method === "trak" && objective.loss.name !== "cross_entropy")
    progress.note(
      `trak projects the gradients of the loss itself, because ${objective.loss.name} has no label whose odds it could take.`,
    );
  const loss = objective.loss.name;
  if (of === "ggn" && linearLosses.test(loss))
    progress.note(
      `the ggn of ${loss} is 0, because this loss is linear in the model's output, so these are the scores of graddot divided by the damping; use --curvature fisher${loss === "nll" ? ", or --loss cross_entropy, which is the same for logarithms of probabilities" : ""}.`,
    );
  if (method === "relatif" && inverse === "lissa")
    progress.note(
      `with --inverse lissa, relatif multiplies by the curvature thousands of times for each of the ${samples} training samples; ekfac, gram and diagonal are far faster.`,
    );
}

/** A row for each query and training sample. */
function pairsOf({ scores: found, self, change, error }: Results, ids: Ids): Column[] {
  const { dims, data } = found;
  const [sampleIds, queryIds] = [ids.samples?.names, ids.queries?.names];
  const [count = 0, samples = 0] = dims;
  const pairs = <T>(of: (query: number, sample: number) => T): T[] =>
    Array.from({ length: count * samples }, (_, k) => of(Math.floor(k / samples), k % samples));
  return [
    { name: "query", values: Int32Array.from(pairs((query) => query)) },
    ...(queryIds ? [{ name: "query_id", values: pairs((query) => queryIds[query] ?? null) }] : []),
    { name: "sample", values: Int32Array.from(pairs((_, sample) => sample)) },
    ...(sampleIds ? [{ name: "id", values: pairs((_, sample) => sampleIds[sample] ?? null) }] : []),
    { name: "score", values: Float32Array.from(data, Number) },
    ...Object.entries({ change, error }).flatMap(([name, each]) =>
      each ? [{ name, values: Float32Array.from(each.data, Number) }] : [],
    ),
    ...(self ? [{ name: "self", values: Float32Array.from(pairs((_, sample) => Number(self.data[sample]))) }] : []),
  ];
}

async function withoutEach(...given: Parameters<typeof leaveOut>): Promise<Record<string, Tensor>> {
  const { change, error } = await leaveOut(...given);
  return { change, error };
}

/** The queries, read in the same way as the training samples. */
async function queriesOf(task: DataTask, { query, allowNotFinite }: AttributeOptions, progress: Progress) {
  const data = await readData(query);
  // Inputs that --fix removed from the training data, and tensors that a note already named, are not reported again.
  const known = [...data].filter(([name]) => task.objective.expected.has(name) || name === idsName);
  return feedsOf(new Map(known), query, task.objective, allowNotFinite ?? false, progress);
}

/** The model and its further checkpoints, read from files. Throws UsageError, and what `checkpointOf` throws. */
export async function checkpointsIn(
  files: readonly string[],
  model: Model,
  options: AttributeOptions,
  progress: Progress,
): Promise<readonly Model[]> {
  const others: Model[] = [];
  for (const file of files) others.push(await checkpointOf(file, model, options, progress));
  return checkpointsOf(model, others, options, progress);
}

/** Throws UsageError. */
function checkpointsOf(
  model: Model,
  others: readonly Model[],
  { learningRates }: AttributeOptions,
  progress: Progress,
): readonly Model[] {
  const all = [model, ...others];
  if (!learningRates || learningRates.length === all.length) return all;
  if (others.length > 0 && learningRates.length === others.length) {
    progress.note(
      "There is one learning rate for each further checkpoint, so the weights in MODEL itself do not count.",
    );
    return others;
  }
  throw new UsageError(
    `--learning-rates has ${counted(learningRates.length, "number")}, but there ${all.length === 1 ? "is" : "are"} ${counted(all.length, "checkpoint")}, MODEL included; give one for each.`,
  );
}
