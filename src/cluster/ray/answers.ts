/** A long job on a Ray cluster that answers the questions of a folder. */
import { randomBytes } from "node:crypto";
import { rm, utimes } from "node:fs/promises";
import { join } from "node:path";
import { PergradError } from "../../errors.js";
import { makeFolder, writeFileSafely } from "../../io/atomic.js";
import type { Answering } from "../../target/onnxruntime/folder-runtime.js";
import { packedFiles } from "../package.js";
import type { RayAddress } from "./address.js";
import { isEnded, RayJobs } from "./jobs.js";
import { lastLineOf } from "./lines.js";

const entry = "pergrad_ray_answers.py";

/** Milliseconds between two signs of life; the job waits for 120 seconds without one (pergrad_ray_answers.py). */
const beat = 5000;

/** How often the job is started again after its driver has died. */
const restarts = 3;

/** Throws CLUSTER_UNREACHABLE, CLUSTER_REFUSED, CLUSTER_VERSION, CLUSTER_JOB, FILE_UNWRITABLE. */
export async function answersOnRay(address: RayAddress, folder: string): Promise<Answering> {
  const jobs = new RayJobs(address);
  await jobs.version();
  await makeFolder(folder);
  const [alive, stop] = [join(folder, "alive"), join(folder, "stop")];
  await rm(stop, { force: true });
  await writeFileSafely(alive, new Uint8Array());
  const { name, zip } = await packedFiles({ folder }, entry);
  await jobs.upload(name, zip);
  const begin = async () => {
    const id = `pergrad-${randomBytes(8).toString("hex")}`;
    await jobs.submit(id, `python ${entry}`, name);
    return id;
  };
  let id = await begin();
  let begun = 1;
  const timer = setInterval(() => utimes(alive, new Date(), new Date()).catch(() => undefined), beat);
  timer.unref();
  let looking: Promise<void> | undefined;
  const look = async () => {
    if (!isEnded(await jobs.state(id))) return;
    if (begun++ > restarts)
      throw new PergradError(
        "CLUSTER_JOB",
        `The job ${id} on ${jobs.url} ended, like ${restarts} before it: ${lastLineOf(await jobs.logs(id))}; look at its log.`,
      );
    // The questions still lie in the folder.
    id = await begin();
  };
  return {
    // Many answers are awaited at the same time: one look serves them all.
    check: () => {
      looking ??= look().finally(() => {
        looking = undefined;
      });
      return looking;
    },
    release: async () => {
      clearInterval(timer);
      await writeFileSafely(stop, new Uint8Array());
      await jobs.stop(id).catch(() => undefined);
    },
  };
}
