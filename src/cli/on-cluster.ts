/** --ray: the same results, computed by a cluster's workers and written as parts into a folder. */
import { cluster, ray } from "../cluster/cluster.js";
import type { RayAddress } from "../cluster/ray/address.js";
import type { ClusterProgress, JobOptions, MapOptions } from "../cluster/types.js";
import { PergradError } from "../errors.js";
import { readTensors } from "../io/files.js";
import { standardOutput } from "../io/table.js";
import { Program } from "../program/program.js";
import type { ExecutionProvider } from "../target/runtime.js";
import type { Wants } from "../wants/want.js";
import type { Io } from "./io.js";
import type { Progress } from "./progress.js";
import { interruptible } from "./signals.js";
import { type Task, type TaskOptions, taskOf } from "./task.js";
import { flagOf, UsageError } from "./usage.js";

/** The options of commands that a cluster can compute. */
export interface OnCluster {
  readonly ray?: string;
  /** A file with the inputs that all samples share. */
  readonly shared?: string;
  /** The execution providers on the nodes, the preferred first. */
  readonly execution?: readonly ExecutionProvider[];
  /** The column with the samples' ids. */
  readonly ids?: string;
}

interface OnClusterOptions extends TaskOptions, OnCluster, Pick<MapOptions, "notFinite"> {
  readonly data: string;
  readonly out: string;
  readonly microbatchSize?: number;
  readonly memoryBudget?: number;
  readonly workers?: number;
}

/**
 * The data is not read here, so --dim must set sizes that the model leaves open. Throws UsageError, and what compiling
 * and `map` throw.
 */
export async function onCluster(
  modelFile: string,
  options: OnClusterOptions,
  io: Io,
  progress: Progress,
  wantsOf: (task: Task) => Wants,
): Promise<void> {
  const { data, out, microbatchSize, allowNotFinite, notFinite, execution, ids } = options;
  const workers = cluster(addressOf(options));
  requireFolders(data, out);
  const shared = options.shared === undefined ? undefined : Object.fromEntries(await readTensors(options.shared));
  const { data: _, ...ofModel } = options;
  const task = await taskOf(modelFile, ofModel, progress);
  for (const each of task.objective.notes) progress.note(each);
  progress.stage("compiling");
  const program = await Program.of(task.objective, {
    ...task.options,
    ...(io.observe ? { observe: io.observe } : {}),
    ...(allowNotFinite ? { allowNotFinite } : {}),
    want: wantsOf(task),
  });
  try {
    progress.stage("handing in");
    const done = await followed(options, io, progress, (following) =>
      workers.map(program, data, {
        out,
        ...following,
        ...(microbatchSize === undefined ? {} : { microbatchSize }),
        ...(allowNotFinite ? { allowNotFinite } : {}),
        ...(notFinite ? { notFinite } : {}),
        ...(shared ? { shared } : {}),
        ...(execution ? { execution } : {}),
        ...(ids === undefined ? {} : { ids }),
      }),
    );
    for (const each of done?.notes ?? []) progress.note(each);
    if (done) io.stdout.write(`wrote ${out}: ${done.samples} samples, ${done.parts} parts\n`);
  } finally {
    await program.release();
  }
}

/** Waits for a job and shows its progress; undefined if a signal stopped it. */
export async function followed<R>(
  { out }: { readonly out: string },
  io: Io,
  progress: Progress,
  job: (following: Pick<JobOptions, "signal" | "onProgress">) => Promise<R>,
): Promise<R | undefined> {
  const onProgress = ({ parts, of }: ClusterProgress) => {
    progress.stage("parts", of);
    progress.update(parts);
  };
  const done = await interruptible((signal) =>
    job({ signal, onProgress }).catch((error: unknown) => {
      if (!signal.aborted) throw error;
      progress.stop();
      io.stderr.write(
        `pergrad: stopped the job; the finished parts stay in ${out}, and the same command resumes it.\n`,
      );
      return undefined;
    }),
  );
  progress.stop();
  return done;
}

const dataFile = /\.(safetensors|npz|npy|csv|tsv|jsonl|ndjson|json|arrow|feather|onnx)$/i;
const resultFile = /\.(safetensors|npz|csv|jsonl|json|parquet)$/i;

/** A cluster reads and writes folders: checked before it is contacted. Throws UsageError. */
export function requireFolders(data: string, out: string): void {
  if (dataFile.test(data))
    throw new UsageError(`With --ray, --data must be a folder or a glob of Parquet files, but it is "${data}".`);
  if (resultFile.test(out) || out === standardOutput)
    throw new UsageError(`With --ray, --out must be the folder for the parts of the result, but it is "${out}".`);
}

/** Throws UsageError. */
export function addressOf(
  options: OnCluster & Pick<OnClusterOptions, "threads" | "memoryBudget" | "workers">,
): RayAddress {
  for (const name of ["threads", "memoryBudget", "workers"] as const)
    if (options[name] !== undefined)
      throw new UsageError(
        `The workers of a cluster choose ${flagOf(name)} themselves; leave out ${flagOf(name)} or --ray.`,
      );
  try {
    return ray(options.ray ?? "");
  } catch (error) {
    throw error instanceof PergradError ? new UsageError(error.message, { cause: error }) : error;
  }
}
