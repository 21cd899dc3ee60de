/** A program over a data set, as a job on a Ray cluster. */
import { randomBytes } from "node:crypto";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { PergradError } from "../../errors.js";
import { type Job, mapJob } from "../job.js";
import { packedFiles } from "../package.js";
import type { ClusterProgress, JobOptions, MapOptions, Mapped, MappedProgram } from "../types.js";
import type { RayAddress } from "./address.js";
import { isEnded, type JobState, RayJobs } from "./jobs.js";
import { lastLineOf, type Told, toldIn } from "./lines.js";

const entry = "pergrad_ray.py";

/** Milliseconds between two looks at a job: at first, and at most. */
const [soon, later] = [300, 3000];

/**
 * Throws CLUSTER_UNREACHABLE, CLUSTER_REFUSED, CLUSTER_VERSION, CLUSTER_JOB, TOO_LARGE, FILE_UNREADABLE, what `besideOf`
 * throws, and the signal's reason.
 */
export async function mapOnRay(
  address: RayAddress,
  program: MappedProgram,
  data: string,
  options: MapOptions,
): Promise<Mapped> {
  options.signal?.throwIfAborted();
  const jobs = new RayJobs(address);
  await jobs.version();
  return ranOn(jobs, await mapJob(program, data, options), options);
}

/** Runs a job to its end. Throws as `mapOnRay`. */
export async function ranOn(jobs: RayJobs, { job, files }: Job, options: JobOptions): Promise<Mapped> {
  const { signal } = options;
  const { name, zip } = await packedFiles(job, entry, files);
  await jobs.upload(name, zip);
  const id = `pergrad-${randomBytes(8).toString("hex")}`;
  try {
    await jobs.submit(id, `python ${entry}`, name, signal);
    const told = await followed(jobs, id, options);
    return await checked(told, job.out);
  } catch (error) {
    // Whatever went wrong here, nothing is left running there.
    await jobs.stop(id).catch(() => undefined);
    throw signal?.aborted ? signal.reason : error;
  }
}

/** Waits until a job has ended. Throws CLUSTER_JOB where it failed, and the signal's reason. */
async function followed(jobs: RayJobs, id: string, { signal, onProgress, out }: JobOptions): Promise<Told> {
  let before: ClusterProgress | undefined;
  for (let pause = soon; ; pause = Math.min(later, pause * 1.3)) {
    signal?.throwIfAborted();
    const state = await lookedAt(jobs, id, out);
    const log = state.status === "PENDING" ? "" : await jobs.logs(id);
    const told = toldIn(log);
    if (told.progress && isNew(told.progress, before)) onProgress?.(told.progress);
    before = told.progress ?? before;
    if (!isEnded(state)) {
      await sleep(pause, undefined, signal ? { signal } : {}).catch(() => undefined);
      continue;
    }
    if (state.status === "SUCCEEDED" && told.done) return told;
    throw failure(jobs, id, state, told, log);
  }
}

/** Throws CLUSTER_UNREACHABLE, which says what is not lost. */
async function lookedAt(jobs: RayJobs, id: string, out: string): Promise<JobState> {
  try {
    return await jobs.state(id);
  } catch (error) {
    if (!(error instanceof PergradError) || error.code !== "CLUSTER_UNREACHABLE") throw error;
    throw new PergradError(
      "CLUSTER_UNREACHABLE",
      `The Ray cluster at ${jobs.url} answers no longer; the parts that it has written stay in "${out}", so start it and give the same call again.`,
      { cause: error },
    );
  }
}

function isNew({ parts, of }: ClusterProgress, before: ClusterProgress | undefined): boolean {
  return parts !== before?.parts || of !== before.of;
}

function failure(jobs: RayJobs, id: string, { status, message }: JobState, told: Told, log: string): PergradError {
  if (told.error) return new PergradError("CLUSTER_JOB", sentence(told.error.message));
  const why = (lastLineOf(log) || (message.split("\n", 1)[0] ?? "")).replace(/\.$/, "");
  const what = status === "STOPPED" ? "was stopped by somebody else" : "failed";
  return new PergradError(
    "CLUSTER_JOB",
    `The job ${id} on ${jobs.url} ${what}: ${why}; the parts that it has written stay, so give the same call again.`,
  );
}

const sentence = (text: string): string => (/[.?!]$/.test(text) ? text : `${text}.`);

/** Whether what the job says it wrote is to be seen from here. Throws CLUSTER_JOB. */
async function checked({ done, notes }: Told, out: string): Promise<Mapped> {
  const { parts, samples } = done ?? { parts: 0, samples: 0 };
  const found = (await readdir(out).catch(() => [])).filter((name) => /^part-\d+\.parquet$/.test(name));
  const closed = await stat(join(out, "done.json")).catch(() => undefined);
  if (closed && found.length >= parts) return { out, parts, samples, ...(notes ? { notes } : {}) };
  throw new PergradError(
    "CLUSTER_JOB",
    `The job wrote ${parts} parts to "${out}", and ${found.length} of them are to be seen from here; put the folder on a disk that the nodes and this machine share.`,
  );
}
