/** grads, norms, clipped-sum: results of all samples, computed in batches and streamed into a file. */
import { setImmediate } from "node:timers/promises";
import { PergradError } from "../errors.js";
import { bindShape } from "../graph/dim.js";
import type { TensorLayout } from "../io/bytes.js";
import { formatToWrite, openTensors } from "../io/files.js";
import { checkTable, idsName, standardOutput, TableWriter, tableFormat } from "../io/table.js";
import type { TensorWriter } from "../io/writer.js";
import { counted } from "../meant.js";
import { mergedNotFinite } from "../program/found-not-finite.js";
import type { NotFiniteSample } from "../program/not-finite.js";
import { Program } from "../program/program.js";
import { arrayOf, sizeOf } from "../tensor/tensor.js";
import { type Results, type Wants, want } from "../wants/want.js";
import type { Io } from "./io.js";
import { warningOf } from "./not-finite.js";
import { type OnCluster, onCluster } from "./on-cluster.js";
import type { Progress } from "./progress.js";
import { cleaningUp } from "./signals.js";
import { checkOut, type DataTask, dataTaskOf, type Task, type TaskOptions, threadsOf } from "./task.js";
import { type MaxNorm, UsageError } from "./usage.js";

export interface ComputeOptions extends TaskOptions, OnCluster {
  readonly data: string;
  readonly out: string;
  readonly microbatchSize?: number;
  /** In bytes. */
  readonly memoryBudget?: number;
  /** The number of worker threads. */
  readonly workers?: number;
}

export interface GradsOptions extends ComputeOptions {
  readonly float16?: boolean;
}

/** Dimensions of one sample's gradient, by parameter. */
type Shapes = ReadonlyMap<string, readonly number[]>;

/** One kind of result. */
export interface WrittenResult<W extends Wants> {
  readonly want: W;
  readonly layout: ReadonlyMap<string, TensorLayout>;
  /** Takes the results of the samples from `from` on. */
  take(results: Results<W>, from: number, samples: number, writer: TensorWriter): Promise<void>;
  /** @param found takes samples that are not finite */
  finish?(writer: TensorWriter, found: (samples: readonly NotFiniteSample[]) => void): Promise<void>;
  /** What to do about non-finite samples, and its effect, as the end of a sentence. */
  readonly notFinite?: { readonly mode: "leave out" | "ignore"; readonly consequence: string };
}

export async function grads(modelFile: string, options: GradsOptions, io: Io, progress: Progress): Promise<void> {
  const gradients = options.float16 ? want.gradients({ storage: "float16" }) : want.gradients();
  if (options.ray !== undefined)
    return onCluster(modelFile, options, io, progress, () => ({ losses: want.losses(), gradients }));
  const task = await begin(modelFile, options, progress);
  const shapes = shapesOf(task, "losses");
  const dtype = options.float16 ? "float16" : "float32";
  const layouts = [...shapes].map(([name, dims]): [string, TensorLayout] => {
    return [name, { dtype, dims: [task.samples, ...dims] }];
  });
  await compute(task, options, io, progress, {
    want: { losses: want.losses(), gradients },
    layout: new Map([["losses", floats(task.samples)], ...layouts]),
    take: async ({ losses, gradients }, from, samples, writer) => {
      await writer.write("losses", from, losses.data);
      for (const [name, dims] of shapes) {
        const size = sizeOf(dims);
        await writer.write(name, from * size, gradients[name]?.data ?? new (arrayOf(dtype))(samples * size));
      }
    },
  });
}

export async function norms(modelFile: string, options: ComputeOptions, io: Io, progress: Progress): Promise<void> {
  if (options.ray !== undefined) return onCluster(modelFile, options, io, progress, () => ({ norms: want.norms() }));
  const task = await begin(modelFile, options, progress);
  const names = [...task.objective.parameters.keys()];
  await compute(task, options, io, progress, {
    want: { norms: want.norms() },
    layout: new Map([
      ["norms", floats(task.samples)],
      ...names.map((name) => [`norms/${name}`, floats(task.samples)] as const),
    ]),
    take: async ({ norms: { total, parameters } }, from, samples, writer) => {
      await writer.write("norms", from, total.data);
      for (const name of names) await writer.write(`norms/${name}`, from, dataOf(parameters, name, samples));
    },
  });
}

export interface ProjectCommandOptions extends ComputeOptions {
  readonly dims: number;
  readonly seed?: number;
}

/** Projects each sample's gradient to a few numbers. */
export async function project(
  modelFile: string,
  options: ProjectCommandOptions,
  io: Io,
  progress: Progress,
): Promise<void> {
  const { dims, seed } = options;
  const own = { projected: want.project({ dims, ...(seed === undefined ? {} : { seed }) }) };
  if (options.ray !== undefined) return onCluster(modelFile, options, io, progress, () => own);
  const task = await begin(modelFile, options, progress);
  await compute(task, options, io, progress, {
    want: own,
    layout: new Map([["projected", floats(task.samples, dims)]]),
    take: ({ projected }, from, _samples, writer) => writer.write("projected", from * dims, projected.data),
  });
}

export async function clippedSum(
  modelFile: string,
  options: ComputeOptions & { readonly maxNorm: MaxNorm; readonly leaveOutNotFinite?: boolean },
  io: Io,
  progress: Progress,
): Promise<void> {
  const leaveOut = options.leaveOutNotFinite ?? false;
  if (options.ray !== undefined) {
    const settings = { ...options, ...(leaveOut ? { notFinite: "leave out" as const } : {}) };
    return onCluster(modelFile, settings, io, progress, (task) => ({
      clipped: want.clippedSum({ maxNorm: limitsOf(options.maxNorm, task) }),
    }));
  }
  const task = await begin(modelFile, options, progress);
  const shapes = shapesOf(task, "norms");
  const sums = new Map([...shapes].map(([name, dims]) => [name, new Float64Array(sizeOf(dims))]));
  await compute(task, options, io, progress, {
    // The norms show in which parameters a gradient is not finite.
    want: { clipped: want.clippedSum({ maxNorm: limitsOf(options.maxNorm, task) }), norms: want.norms() },
    notFinite: {
      mode: leaveOut ? "leave out" : "ignore",
      consequence: leaveOut
        ? "such samples are left out of the sum"
        : "such samples spoil the sum: --leave-out-not-finite leaves them out and counts them",
    },
    layout: new Map([
      ["norms", floats(task.samples)],
      ...[...shapes].map(([name, dims]) => [name, floats(...dims)] as const),
    ]),
    take: async ({ clipped }, from, _samples, writer) => {
      await writer.write("norms", from, clipped.norms.data);
      for (const [name, sum] of sums) {
        const part = dataOf(clipped.sum, name, sum.length);
        for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (part[i] as number);
      }
    },
    finish: async (writer) => {
      for (const [name, sum] of sums) await writer.write(name, 0, Float32Array.from(sum));
    },
  });
}

export function floats(...dims: readonly number[]): TensorLayout {
  return { dtype: "float32", dims };
}

/** A parameter that reaches the loss only through steps without a derivative has no result: its gradient is zero. */
export function dataOf(
  byParameter: Readonly<Record<string, { readonly data: Float32Array }>>,
  name: string,
  size: number,
): Float32Array {
  return byParameter[name]?.data ?? new Float32Array(size);
}

export async function begin(
  modelFile: string,
  options: ComputeOptions,
  progress: Progress,
  others: readonly string[] = [],
): Promise<DataTask> {
  if (options.out !== standardOutput) await checkOut(options.out, [modelFile, options.data, ...others]);
  if (isTable(options.out)) await checkTable(options.out);
  return dataTaskOf(modelFile, options, progress);
}

/** Checks the name of a result file before any file is opened. Throws UsageError. */
export function outputFile(path: string): string {
  return named(path, formatToWrite);
}

/** The same for a table. */
export function tableFile(path: string): string {
  return named(path, tableFormat);
}

function named(path: string, format: (path: string) => string): string {
  try {
    format(path);
    return path;
  } catch (error) {
    throw error instanceof PergradError ? new UsageError(error.message, { cause: error }) : error;
  }
}

/** @param taken a tensor name in the file that another result uses */
function shapesOf({ objective }: DataTask, taken: string): Shapes {
  if (objective.parameters.has(taken)) {
    throw new PergradError(
      "INVALID_MODEL",
      `The parameter "${taken}" has the name under which the ${taken} are written; rename it, or leave it out with --parameters '!${taken}'.`,
    );
  }
  return new Map([...objective.parameters].map(([name, { shape }]) => [name, bindShape(shape, 0)]));
}

/** Limits for each parameter must name exactly the parameters that are differentiated. */
function limitsOf(maxNorm: MaxNorm, { objective }: Task): number | Record<string, number> {
  if (typeof maxNorm === "number") return maxNorm;
  const names = [...objective.parameters.keys()];
  const unknown = [...maxNorm.keys()].find((name) => !names.includes(name));
  const lacking = names.find((name) => !maxNorm.has(name));
  if (unknown !== undefined || lacking !== undefined) {
    const problem =
      unknown !== undefined ? `names "${unknown}", which is none of them` : `has no limit for "${lacking}"`;
    const list = names.map((name) => `"${name}"`).join(", ");
    throw new UsageError(`--max-norm ${problem}: give NAME=C for each of the parameters ${list}.`);
  }
  return Object.fromEntries(maxNorm);
}

export async function compute<W extends Wants>(
  task: DataTask,
  options: ComputeOptions,
  io: Io,
  progress: Progress,
  result: WrittenResult<W>,
): Promise<void> {
  progress.stage("compiling");
  const { memoryBudget, workers } = options;
  const program = await Program.of(task.objective, {
    ...task.options,
    ...threadsOf(options),
    ...(memoryBudget === undefined ? {} : { memoryBudget }),
    ...(workers === undefined ? {} : { workers }),
    ...(io.observe ? { observe: io.observe } : {}),
    want: result.want,
  });
  const notFinite: NotFiniteSample[] = [];
  try {
    await cleaningUp(
      () => stream(task, options, io, program, result, progress, notFinite),
      () => {
        progress.stop();
        io.stderr.write(`pergrad: stopped after ${progress.done} of ${task.samples} samples; nothing was written.\n`);
      },
    );
  } finally {
    await program.release();
  }
  progress.stop();
  const each = mergedNotFinite(notFinite);
  if (each.length > 0) progress.warn(await warningOf(each, task, options, result.notFinite?.consequence));
  const summary = `${counted(task.samples, "sample")}, ${counted(task.objective.parameters.size, "parameter")}`;
  const left = result.notFinite?.mode === "leave out" ? `, ${each.length} left out of the sum` : "";
  if (options.out !== standardOutput) io.stdout.write(`wrote ${options.out}: ${summary}${left}\n`);
}

/** Whether a result is written as a table rather than tensors. */
export function isTable(out: string): boolean {
  return !/\.(safetensors|npz)$/i.test(out);
}

async function stream<W extends Wants>(
  task: DataTask,
  options: ComputeOptions,
  io: Io,
  program: Program<W>,
  result: WrittenResult<W>,
  progress: Progress,
  notFinite: NotFiniteSample[],
): Promise<void> {
  const { microbatchSize } = options;
  // A result of the same name takes precedence.
  const ids = result.layout.has(idsName) ? undefined : task.ids;
  const writer = isTable(options.out)
    ? new TableWriter(options.out, result.layout, (text) => io.stdout.write(text), ids?.names)
    : await openTensors(options.out, ids ? new Map([...result.layout, [idsName, ids.tensor]]) : result.layout);
  try {
    if (ids && !isTable(options.out)) await writer.write(idsName, 0, ids.tensor.data);
    progress.stage("samples", task.samples);
    // The whole file has already been checked for NaN and infinity.
    const chunks = program.stream(task.feeds, {
      ...(microbatchSize === undefined ? {} : { chunkSize: microbatchSize }),
      allowNotFinite: true,
      inPlace: true,
      reuse: true,
      notFinite: result.notFinite?.mode ?? "ignore",
      onNotFinite: ({ samples }) => notFinite.push(...samples),
    });
    for await (const { from, to, results } of chunks) {
      await result.take(results, from, to - from, writer);
      progress.update(to);
      // A run of the model blocks the event loop: this lets signals arrive.
      await setImmediate();
    }
    await result.finish?.(writer, (samples) => notFinite.push(...samples));
    await writer.commit();
  } finally {
    await writer.abort();
  }
}
