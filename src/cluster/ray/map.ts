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
import { type JobReport, lastLineOf, reportIn } from "./lines.js";

const entry = "pergrad_ray.py";

/** Milliseconds between two polls of a job: at first, and at most. */
const [firstPause, longestPause] = [300, 3000];

/**
 * Throws CLUSTER_UNREACHABLE, CLUSTER_REFUSED, CLUSTER_VERSION, CLUSTER_JOB, TOO_LARGE, FILE_UNREADABLE, what `givenOf`
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
  return runJob(jobs, await mapJob(program, data, options), options);
}

/** Runs a job to its end. Throws what `mapOnRay` throws. */
export async function runJob(jobs: RayJobs, { job, files }: Job, options: JobOptions): Promise<Mapped> {
  const { signal } = options;
  const { name, zip } = await packedFiles(job, entry, files);
  await jobs.upload(name, zip);
  const id = `pergrad-${randomBytes(8).toString("hex")}`;
  try {
    await jobs.submit(id, `python ${entry}`, name, signal);
    const report = await follow(jobs, id, options);
    return await resultIn(job.out, report, job.most === undefined);
  } catch (error) {
    // Whatever went wrong here, nothing must be left running there.
    await jobs.stop(id).catch(() => undefined);
    throw signal?.aborted ? signal.reason : error;
  }
}

/** Waits until a job has ended. Throws CLUSTER_JOB if it failed, and the signal's reason if the signal ended it. */
async function follow(jobs: RayJobs, id: string, { signal, onProgress, out }: JobOptions): Promise<JobReport> {
  let before: ClusterProgress | undefined;
  for (let pause = firstPause; ; pause = Math.min(longestPause, pause * 1.3)) {
    signal?.throwIfAborted();
    const state = await stateOf(jobs, id, out);
    const log = state.status === "PENDING" ? "" : await jobs.logs(id);
    const report = reportIn(log);
    if (report.progress && isNew(report.progress, before)) onProgress?.(report.progress);
    before = report.progress ?? before;
    if (!isEnded(state)) {
      await sleep(pause, undefined, signal ? { signal } : {}).catch(() => undefined);
      continue;
    }
    if (state.status === "SUCCEEDED" && report.done) return report;
    throw failure(jobs, id, state, report, log);
  }
}

/** Throws CLUSTER_UNREACHABLE, which says where the finished parts are. */
async function stateOf(jobs: RayJobs, id: string, out: string): Promise<JobState> {
  try {
    return await jobs.state(id);
  } catch (error) {
    if (!(error instanceof PergradError) || error.code !== "CLUSTER_UNREACHABLE") throw error;
    throw new PergradError(
      "CLUSTER_UNREACHABLE",
      `The Ray cluster at ${jobs.url} no longer answers; the parts that it has written stay in "${out}", so start it again and repeat the call.`,
      { cause: error },
    );
  }
}

function isNew({ parts, of }: ClusterProgress, before: ClusterProgress | undefined): boolean {
  return parts !== before?.parts || of !== before.of;
}

function failure(
  jobs: RayJobs,
  id: string,
  { status, message }: JobState,
  { error }: JobReport,
  log: string,
): PergradError {
  if (error) return new PergradError("CLUSTER_JOB", sentence(error.message));
  const why = (lastLineOf(log) || (message.split("\n", 1)[0] ?? "")).replace(/\.$/, "");
  const what = status === "STOPPED" ? "was stopped by somebody else" : "failed";
  return new PergradError(
    "CLUSTER_JOB",
    `The job ${id} on ${jobs.url} ${what}: ${why}; the parts that it has written stay, so repeat the call.`,
  );
}

const sentence = (text: string): string => (/[.?!]$/.test(text) ? text : `${text}.`);

/**
 * What a job has left in its folder. Throws CLUSTER_JOB if this machine does not see all of it.
 * @param writesParts whether the job has a file for each part
 */
async function resultIn(out: string, { done, notes }: JobReport, writesParts: boolean): Promise<Mapped> {
  const { parts, samples } = done ?? { parts: 0, samples: 0 };
  const found = (await readdir(out).catch(() => [])).filter((name) => /^part-\d+\.parquet$/.test(name));
  const doneFile = await stat(join(out, "done.json")).catch(() => undefined);
  if (doneFile && (found.length >= parts || !writesParts)) return { out, parts, samples, ...(notes ? { notes } : {}) };
  throw new PergradError(
    "CLUSTER_JOB",
    `The job wrote ${parts} parts to "${out}", but this machine sees ${found.length} of them; put the folder on a disk that the nodes and this machine share.`,
  );
}
