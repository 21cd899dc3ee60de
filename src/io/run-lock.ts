/**
 * A folder that a long run writes to belongs to one process at a time: two would overwrite each other (and spend one
 * privacy budget twice).
 */
import { link, readFile, rename, rm, writeFile } from "node:fs/promises";
import { PergradError } from "../errors.js";
import { unwritable } from "./failure.js";

/**
 * The holder of a lock. The start time distinguishes a process from a later one with the same number, as in containers.
 */
const own = `${process.pid} ${performance.timeOrigin}`;

/** Several processes may find the same stale lock, and all but one must look again. */
const attempts = 5;

export class RunLock {
  private constructor(private readonly path: string) {}

  /** Takes the lock, even from a process that has died. Throws FILE_UNWRITABLE, also if another process holds it. */
  static async take(path: string): Promise<RunLock> {
    for (let attempt = 0; attempt < attempts; attempt++) {
      if (await create(path)) return new RunLock(path);
      const holder = await holderOf(path);
      if (holder === undefined) continue;
      if (isAlive(holder) || !(await removeStale(path, holder))) throw inUse(path, holder);
    }
    throw inUse(path, "");
  }

  async release(): Promise<void> {
    if ((await holderOf(this.path)) === own) await rm(this.path, { force: true });
  }
}

/** False if there already is a lock. */
async function create(path: string): Promise<boolean> {
  try {
    await writeFile(path, own, { flag: "wx" });
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw unwritable(path, error);
  }
}

/** Undefined if the lock has gone in the meantime. */
async function holderOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw unwritable(path, error);
  }
}

/** A lock that does not name its holder counts as held. */
function isAlive(holder: string): boolean {
  const pid = Number(/^(\d+) /.exec(holder)?.[1]);
  if (!(pid > 0)) return true;
  if (pid === process.pid) return holder === own;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) !== "ESRCH";
  }
}

/**
 * Moves a dead process's lock out of the way before removing it: another process may have replaced it by its own lock,
 * which is then put back. Returns false in that case.
 */
async function removeStale(path: string, holder: string): Promise<boolean> {
  const aside = `${path}.${process.pid}`;
  try {
    await rename(path, aside);
    const stale = (await readFile(aside, "utf8")) === holder;
    if (!stale) await link(aside, path);
    await rm(aside);
    return stale;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return true;
    throw unwritable(path, error);
  }
}

function inUse(path: string, holder: string): PergradError {
  const [pid] = holder.split(" ");
  const by = pid ? `process ${pid}` : "another process";
  const advice = `wait for it to end, or remove "${path}" if no process uses the folder`;
  return new PergradError("FILE_UNWRITABLE", `The folder is in use by ${by}: ${advice}.`);
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
