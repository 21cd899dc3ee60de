/** explain: how the commands would compute their results. */
import { join } from "node:path";
import { InvalidArgumentError } from "commander";
import { parameterValue } from "../compile/objective.js";
import { usualBatch } from "../gradients/cost.js";
import type { Explanation } from "../inspect/explanation.js";
import { type Observer, together } from "../inspect/observe.js";
import type { Profile } from "../inspect/profile.js";
import { RewriteLog } from "../inspect/rewrite-log.js";
import { StageFolder } from "../inspect/stage-folder.js";
import { Program } from "../program/program.js";
import { samplesBetween } from "../program/split.js";
import type { Tensor } from "../tensor/tensor.js";
import { type Want, want } from "../wants/want.js";
import { feedsOf, requireSamples, type Tensors } from "./data.js";
import type { Io } from "./io.js";
import { json } from "./json.js";
import type { Progress } from "./progress.js";
import { randomData } from "./random-data.js";
import { type Task, type TaskOptions, taskOf } from "./task.js";
import { UsageError } from "./usage.js";

export interface ExplainOptions extends TaskOptions {
  /** Each entry holds the wants of one program. */
  readonly want?: readonly (readonly string[])[];
  readonly json?: boolean;
  /** What to show instead of the plan: the graph that the runtime is given, the rewrites, or time and bytes by node. */
  readonly graph?: boolean;
  readonly rewrites?: boolean;
  readonly profile?: boolean;
  /** The most samples that a profile runs. */
  readonly samples?: number;
  /** A folder for the graph of each stage. */
  readonly saveStages?: string;
}

const makers: Readonly<Record<string, () => Want<unknown>>> = {
  grads: want.gradients,
  norms: want.norms,
  // How a sum is computed does not depend on the limit.
  "clipped-sum": () => want.clippedSum({ maxNorm: 1 }),
  mean: want.mean,
  sum: want.sum,
  moments: want.moments,
  "noise-scale": want.noiseScale,
  dot: () => want.dot(),
  gram: want.gram,
  cosine: want.cosine,
};

export const wantNames = Object.keys(makers).join(", ");

/** Parses "norms,clipped-sum", the wants of one program, and adds it to the earlier programs. */
export function programs(text: string, before: readonly (readonly string[])[] = []): readonly (readonly string[])[] {
  const names = text.split(",");
  const unknown = names.find((name) => !Object.hasOwn(makers, name));
  if (unknown === undefined) return [...before, [...new Set(names)]];
  throw new InvalidArgumentError(`it must be a list, separated by commas, of ${wantNames}`);
}

/** What `explain` prints besides the plan, or instead of it. */
interface Requested {
  readonly graph: boolean;
  readonly rewrites: boolean;
  readonly profile: boolean;
}

export async function explain(modelFile: string, options: ExplainOptions, io: Io, progress: Progress): Promise<void> {
  const { profile: profiled, samples, threads } = options;
  for (const [flag, value] of Object.entries({ "--samples": samples, "--threads": threads }))
    if (value !== undefined && !profiled)
      throw new UsageError(`${flag} is for --profile; give that too, or leave it out.`);
  const task = await taskOf(modelFile, options, progress);
  const batch = options.profile ? batchOf(task, options, progress) : undefined;
  const lists = options.want ?? [["grads"], ["norms"], ["clipped-sum"]];
  progress.stage("compiling", lists.length);
  const found: Explained[] = [];
  for (const [k, names] of lists.entries()) {
    const folder =
      options.saveStages && (lists.length === 1 ? options.saveStages : join(options.saveStages, names.join("+")));
    found.push(await explained(task, names, { batch, folder, observe: io.observe, threads, progress }));
    progress.update(k + 1);
  }
  progress.stop();
  const { graph = false, rewrites = false, profile = false } = options;
  const requested = { graph, rewrites, profile };
  const shown = found.map((each) => (options.json ? plainOf(each, requested) : textOf(each, requested)));
  io.stdout.write(options.json ? json(shown) : shown.join("\n"));
}

/** What is known about one program. */
interface Explained {
  readonly wants: readonly string[];
  readonly explanation: Explanation;
  readonly graph: string;
  readonly rewrites: RewriteLog;
  readonly profile: Profile | undefined;
}

interface ExplainSettings {
  readonly batch: Readonly<Record<string, Tensor>> | undefined;
  /** The folder that stages are written to. */
  readonly folder: string | undefined;
  readonly observe: Observer | undefined;
  readonly threads: number | undefined;
  readonly progress: Progress;
}

async function explained(
  task: Task,
  names: readonly string[],
  { batch, folder, observe, threads, progress }: ExplainSettings,
): Promise<Explained> {
  const wants = Object.fromEntries(names.flatMap((name) => (makers[name] ? [[name, makers[name]()]] : [])));
  const [log, stages] = [new RewriteLog(), new StageFolder()];
  const own = together(observe, { onRewrite: log.seen }, folder === undefined ? undefined : stages);
  const program = await Program.of(task.objective, {
    ...task.options,
    want: wants,
    observe: own,
    ...(threads === undefined ? {} : { threads }),
  });
  try {
    if (folder !== undefined) {
      for (const { file, problem } of await stages.save(folder))
        if (problem !== undefined) progress.note(`${join(folder, file)} was not written: ${problem}`);
      progress.note(`the stages of ${names.join(", ")} are in ${folder}.`);
    }
    const vectors = { ...(wants.dot && batch ? { vectors: { dot: vectorsOf(task) } } : {}) };
    const profile = batch && (await program.profile(batch, { ...vectors, allowNotFinite: true }));
    return { wants: names, explanation: program.explain(), graph: program.graph(), rewrites: log, profile };
  } finally {
    await program.release();
  }
}

/** If inner products are requested, the vectors are the parameters themselves. */
function vectorsOf({ objective }: Task): Record<string, Tensor> {
  return Object.fromEntries(
    [...objective.parameters].map(([name, value]) => [name, parameterValue(objective.model, value)]),
  );
}

/** The samples that a profile runs: the first of the data, or random ones. */
function batchOf(
  { objective, data }: Task & { readonly data?: Tensors },
  { data: dataFile, samples: wanted }: ExplainOptions,
  progress: Progress,
): Readonly<Record<string, Tensor>> {
  if (!data || dataFile === undefined) return randomData(objective, wanted ?? usualBatch);
  const { feeds, samples } = feedsOf(data, dataFile, objective, true, progress);
  requireSamples(dataFile, samples);
  return samplesBetween({ feeds }, objective.expected, 0, Math.min(samples, wanted ?? usualBatch)).feeds;
}

function textOf({ wants, explanation, graph, rewrites, profile }: Explained, requested: Requested): string {
  const texts = [
    ...(requested.graph ? [graph] : []),
    ...(requested.rewrites ? [`${rewrites}`] : []),
    ...(requested.profile && profile ? [`${profile}`] : []),
  ];
  const shown = texts.length === 0 ? [`${explanation}\n`] : texts;
  return `${wants.join(", ")}\n\n${shown.join("\n")}`;
}

function plainOf({ wants, explanation, graph, rewrites, profile }: Explained, requested: Requested) {
  const { rows, total, notes, constants } = explanation;
  return {
    wants,
    parameters: rows,
    total,
    notes,
    constants,
    ...(requested.graph ? { graph } : {}),
    ...(requested.rewrites ? { rewrites: rewrites.lines, counts: Object.fromEntries(rewrites.counts) } : {}),
    ...(requested.profile && profile ? { profile: plainProfile(profile) } : {}),
  };
}

function plainProfile({ samples, runs, milliseconds, peak, nodes, byOp, byPart }: Profile) {
  return { samples, runs, milliseconds, peak, nodes, byOp, byPart };
}
