/** Peak memory of a program, in a process of its own. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { compileProgram } from "./programs.js";
import { workloads } from "./workloads.js";

const status = "/proc/self/status";

/** Bytes: the most that the process has held since `forget`. */
export function peakMemory(): number {
  const told = existsSync(status) ? /VmHWM:\s+(\d+) kB/.exec(readFileSync(status, "utf8"))?.[1] : undefined;
  return 1024 * (told === undefined ? process.resourceUsage().maxRSS : Number(told));
}

/** Where the system allows, the peak starts anew from what is held now. */
function forget(): void {
  try {
    writeFileSync("/proc/self/clear_refs", "5");
  } catch {
    // Elsewhere the peak so far stays: compiling takes less than running, but for the smallest of models.
  }
}

/**
 * Bytes that three runs take at their peak above what the process held before them, when the data, the
 * parameters and the loaded program were there already: intermediate values, results, and what the runtime
 * keeps for the next run.
 */
async function measure(workload: number, program: string): Promise<number> {
  const made = workloads[workload]?.();
  if (!made) throw new Error(`there is no workload ${workload}`);
  const compiled = await compileProgram(program, made);
  forget();
  const before = process.memoryUsage.rss();
  for (let run = 0; run < 3; run++) await compiled.run(made.data);
  return peakMemory() - before;
}

export function memoryOf(workload: number, program: string): number {
  const child = spawnSync(process.execPath, [fileURLToPath(import.meta.url), `${workload}`, program], {
    encoding: "utf8",
  });
  if (child.status !== 0) throw new Error(`measuring the memory of ${program} failed: ${child.stderr}`);
  return Number(child.stdout);
}

/** As `memoryOf` starts it. */
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , workload, program = ""] = process.argv;
  process.stdout.write(String(await measure(Number(workload), program)));
}
