/** Keeps a process on one core, so that contestants who take turns use the same core, whatever else runs. */
import { spawnSync } from "node:child_process";
import { cpus } from "node:os";
import type { Command } from "./process.js";

/** The last core, because systems put their own work on the first. */
const core = `${cpus().length - 1}`;

/** Whether the system can do this: Linux can, with `taskset`. */
export const pins = spawnSync("taskset", ["-c", core, "true"], { stdio: "ignore" }).status === 0;

/** On other systems the command stays as it is: it has one thread, on a core that the system chooses. */
export function onOneCore({ file, args }: Command): Command {
  return pins ? { file: "taskset", args: ["-c", core, file, ...args] } : { file, args };
}
