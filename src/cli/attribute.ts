/** attribute: scores of training samples for queries, written to a file. */
import { InvalidArgumentError } from "commander";
import type { SampleOptions } from "../attribution/checkpoint.js";
import {
  type GivenMethod,
  gradCos,
  gradDot,
  type InverseName,
  influence,
  leaveOut,
  loGra,
  relatIF,
  representerPoints,
  scores,
  selfInfluence,
  tracIn,
  trak,
} from "../attribution/index.js";
import { PergradError } from "../errors.js";
import type { Model } from "../graph/model.js";
import type { Column } from "../io/column.js";
import { readTensors, writeTensors } from "../io/files.js";
import { checkTable, idsName, standardOutput, writeTable } from "../io/table.js";
import { runningOf } from "../program/options.js";
import { isFloat, type Tensor } from "../tensor/tensor.js";
import { checkpointOf } from "./checkpoints.js";
import { isTable } from "./compute.js";
import { feedsOf, readData, requireSamples } from "./data.js";
import type { Io } from "./io.js";
import type { OnCluster } from "./on-cluster.js";
import type { Progress } from "./progress.js";
import { cleaningUp } from "./signals.js";
import { checkOut, type DataTask, dataTaskOf, type TaskOptions } from "./task.js";
import { flagOf, number, UsageError } from "./usage.js";

/** A method and its settings, as commander gives them. */
export interface MethodOptions {
  readonly method: (typeof methodWords)[number];
  readonly inverse?: keyof typeof inverses;
  readonly curvature?: "hessian" | "ggn" | "fisher";
  readonly damping?: number;
  readonly learningRates?: readonly number[];
  readonly cosine?: boolean;
  readonly by?: "loss" | "parameters";
  readonly dims?: number;
  readonly seed?: number;
  readonly projection?: string;
  readonly l2?: number;
  readonly layer?: string;
  readonly leaveOut?: boolean;
}

/** As commander gives them. */
export interface AttributeOptions extends TaskOptions, MethodOptions, Pick<OnCluster, "ray" | "execution" | "ids"> {
  readonly train?: string;
  readonly data?: string;
  readonly query: string;
  readonly out: string;
  readonly self?: boolean;
  readonly microbatchSize?: number;
  readonly memoryBudget?: number;
}

export const methodWords = [
  "graddot",
  "gradcos",
  "tracin",
  "trak",
  "logra",
  "influence",
  "relatif",
  "representer",
] as const;
const inverses = {
  exact: "exact",
  gram: "gram",
  ekfac: "ekfac",
  kfac: "kfac",
  cg: "cg",
  lissa: "lissa",
  arnoldi: "arnoldi",
  diagonal: "diagonal",
  datainf: "dataInf",
} as const satisfies Readonly<Record<string, InverseName>>;
export const inverseWords = Object.keys(inverses);
export const curvatureWords = ["hessian", "ggn", "fisher"] as const;

/** Options that only some methods take. */
const takenBy: readonly (readonly [option: keyof MethodOptions, ...methods: MethodOptions["method"][]])[] = [
  ["inverse", "influence", "relatif"],
  ["curvature", "influence", "relatif"],
  ["damping", "influence", "relatif", "trak", "logra"],
  ["learningRates", "tracin"],
  ["cosine", "tracin"],
  ["by", "relatif"],
  ["dims", "trak", "logra"],
  ["seed", "trak", "logra"],
  ["projection", "trak"],
  ["l2", "representer"],
  ["layer", "representer"],
  ["leaveOut", "influence"],
];

/** Reads "0.1,0.05". */
export function rates(text: string): readonly number[] {
  return text.split(",").map((each) => {
    try {
      return number(each, Number.isFinite, "a number");
    } catch (error) {
      if (!(error instanceof InvalidArgumentError)) throw error;
      throw new InvalidArgumentError("it must be numbers, separated by commas, one for each checkpoint");
    }
  });
}

export async function attribute(
  modelFile: string,
  files: readonly string[],
  options: AttributeOptions,
  io: Io,
  progress: Progress,
): Promise<void> {
  requireFitting(options);
  if (options.leaveOut && files.length === 0)
    throw new UsageError("--leave-out takes its error bar from several models; give more checkpoints after MODEL.");
  const { train } = options;
  if (train === undefined || options.data !== undefined)
    throw new UsageError("attribute needs --train FILE; --data, Parquet, is for --ray.");
  const read = [modelFile, ...files, train, options.query, ...(options.projection ? [options.projection] : [])];
  if (options.out !== standardOutput) await checkOut(options.out, read);
  const tables = isTable(options.out);
  if (tables) await checkTable(options.out);
  const task = await dataTaskOf(modelFile, { ...options, data: train }, progress);
  const { feeds: queries, ids: queryIds, samples: queryCount } = await queriesOf(task, options, progress);
  requireSamples(options.query, queryCount);
  const others: Model[] = [];
  for (const file of files) others.push(await checkpointOf(file, task.model, options, progress));
  const models = checkpointsOf(task.model, others, options, progress);
  const method = await methodOf(options);
  const settings: SampleOptions = {
    ...task.options,
    ...runningOf(options),
  };
  remark(options, task, progress);
  progress.stage("scoring");
  const found = await cleaningUp(
    async () => {
      const scored = await scores(models, task.feeds, queries, { ...settings, method });
      const own = options.self ? { self: await selfInfluence(models, task.feeds, { ...settings, method }) } : {};
      const foretold = options.leaveOut ? await withoutEach(models, task.feeds, queries, { ...settings, method }) : {};
      if (tables) {
        const columns = pairsOf(scored.scores, {
          samples: task.ids?.names,
          queries: queryIds?.names,
          ...own,
          ...foretold,
        });
        await writeTable(options.out, columns, (text) => io.stdout.write(text));
        return scored;
      }
      await writeTensors(options.out, {
        scores: scored.scores,
        ...own,
        ...foretold,
        ...(task.ids ? { ids: task.ids.tensor } : {}),
        ...(queryIds ? { query_ids: queryIds.tensor } : {}),
      });
      return scored;
    },
    () => {
      progress.stop();
      io.stderr.write("pergrad: stopped; nothing was written.\n");
    },
  );
  progress.stop();
  if (options.out === standardOutput) return;
  const [count = 0, samples = 0] = found.scores.dims;
  const plural = (n: number, what: string, many = `${what}s`) => `${n} ${n === 1 ? what : many}`;
  const dampings = [...new Set((found.dampings ?? []).map((damping) => damping.toPrecision(3)))];
  const damped = dampings.length === 0 ? "" : `, damping ${dampings.join(", ")}`;
  const asked = `${plural(count, "query", "queries")}, ${plural(samples, "training sample")}`;
  io.stdout.write(`wrote ${options.out}: ${asked}, ${plural(models.length, "model")}${damped}\n`);
}

/** What may surprise. */
function remark({ method, inverse }: AttributeOptions, { objective, samples }: DataTask, progress: Progress): void {
  if (method === "trak" && objective.loss.name !== "cross_entropy")
    progress.note(
      `trak projects the gradients of the loss itself: ${objective.loss.name} has no label whose odds they could be of.`,
    );
  if (method === "relatif" && inverse === "lissa")
    progress.note(
      `relatif multiplies the curvature some thousand times for each of the ${samples} training samples with --inverse lissa; ekfac, gram and diagonal take far less.`,
    );
}

interface PairNames {
  readonly samples: readonly string[] | undefined;
  readonly queries: readonly string[] | undefined;
  readonly self?: Tensor;
  readonly change?: Tensor;
  readonly error?: Tensor;
}

/** A row for each query and training sample. */
function pairsOf({ dims, data }: Tensor, { samples: ids, queries, self, change, error }: PairNames): Column[] {
  const [count = 0, samples = 0] = dims;
  const pairs = <T>(of: (query: number, sample: number) => T): T[] =>
    Array.from({ length: count * samples }, (_, k) => of(Math.floor(k / samples), k % samples));
  return [
    { name: "query", values: Int32Array.from(pairs((query) => query)) },
    ...(queries ? [{ name: "query_id", values: pairs((query) => queries[query] ?? null) }] : []),
    { name: "sample", values: Int32Array.from(pairs((_, sample) => sample)) },
    ...(ids ? [{ name: "id", values: pairs((_, sample) => ids[sample] ?? null) }] : []),
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

/** Throws UsageError. */
export function requireFitting(options: MethodOptions): void {
  for (const [name, ...methods] of takenBy) {
    if (options[name] === undefined || methods.includes(options.method)) continue;
    throw new UsageError(`${flagOf(name)} is for --method ${methods.join(" or ")}, not for ${options.method}.`);
  }
  if (options.method === "representer" && options.l2 === undefined)
    throw new UsageError("--method representer needs --l2 FACTOR, that of the penalty on the last layer's weights.");
  if (options.projection !== undefined && (options.dims !== undefined || options.seed !== undefined))
    throw new UsageError("--projection is given whole; leave out --dims and --seed.");
}

export async function methodOf(options: MethodOptions): Promise<GivenMethod> {
  const { method, damping, learningRates, cosine, dims, seed, projection, l2, layer, by } = options;
  const damped = damping === undefined ? {} : { damping };
  if (method === "graddot") return gradDot();
  if (method === "gradcos") return gradCos();
  if (method === "tracin")
    return tracIn({ ...(learningRates ? { learningRates } : {}), ...(cosine === undefined ? {} : { cosine }) });
  const projected = { ...(dims === undefined ? {} : { dims }), ...(seed === undefined ? {} : { seed }) };
  if (method === "logra") return loGra({ ...damped, ...projected });
  if (method === "trak")
    return trak({
      ...damped,
      ...projected,
      ...(projection === undefined ? {} : { projection: await projectionIn(projection) }),
    });
  if (method === "representer") return representerPoints({ l2: l2 ?? 0, ...(layer === undefined ? {} : { layer }) });
  const how = {
    ...damped,
    ...(options.inverse === undefined ? {} : { inverse: inverses[options.inverse] }),
    ...(options.curvature === undefined ? {} : { of: options.curvature }),
  };
  return method === "influence" ? influence(how) : relatIF({ ...how, ...(by === undefined ? {} : { by }) });
}

/** Throws MISSING_TENSOR. */
async function projectionIn(file: string): Promise<Tensor> {
  const tensor = (await readTensors(file)).get("projection");
  if (tensor && isFloat(tensor.dtype)) return tensor;
  throw new PergradError(
    "MISSING_TENSOR",
    `"${file}" lacks "projection", numbers [parameters, dims]; give a file that holds them.`,
  );
}

/** The queries, as the training samples were taken. */
async function queriesOf(task: DataTask, { query, allowNotFinite }: AttributeOptions, progress: Progress) {
  const data = await readData(query);
  // What --fix took away from the training data, or a note told of, is told once.
  const known = [...data].filter(([name]) => task.objective.expected.has(name) || name === idsName);
  return feedsOf(new Map(known), query, task.objective, allowNotFinite ?? false, progress);
}

/** Throws UsageError. */
export function checkpointsOf(
  model: Model,
  others: readonly Model[],
  { learningRates }: AttributeOptions,
  progress: Progress,
): readonly Model[] {
  const all = [model, ...others];
  if (!learningRates || learningRates.length === all.length) return all;
  if (others.length > 0 && learningRates.length === others.length) {
    progress.note("There is a learning rate for each further checkpoint, so the weights in MODEL itself do not count.");
    return others;
  }
  throw new UsageError(
    `There are ${all.length} checkpoints, MODEL among them, but ${learningRates.length} --learning-rates; give one for each.`,
  );
}
