/** Peak memory of a workload's programs, each in a process of its own; memory-process.ts defines it. */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { clippedSum, elementsOf, type ProgramName, plain, programNames } from "./programs.js";
import { peakSource } from "./resident.js";
import type { Workload } from "./workloads.js";

/** Bytes. */
export interface ProgramMemory {
  readonly name: ProgramName;
  /** Memory that is alive at once: every tensor is allocated and freed separately. */
  readonly needed: number;
  /** With the runtime's own settings, for the two programs that the target is about. */
  readonly arena?: number;
}

export interface Memory {
  /** Present if the system reported the peak. */
  readonly source: string;
  /** Bytes of the gradients of all samples: one float per sample and parameter element. */
  readonly materialised: number;
  readonly programs: readonly ProgramMemory[];
}

/** Makes the GNU allocator return freed memory at once: memory freed before the first run would otherwise hide its needs. */
const allocator = {
  MALLOC_ARENA_MAX: "1",
  MALLOC_MMAP_THRESHOLD_: "65536",
  MALLOC_TRIM_THRESHOLD_: "65536",
  MALLOC_TOP_PAD_: "0",
};

/** Bytes. */
export function peak(id: string, name: string, allocation: "needed" | "arena"): Promise<number> {
  const file = fileURLToPath(new URL("memory-process.js", import.meta.url));
  return new Promise((resolve, reject) => {
    const child = fork(file, [id, name, allocation], {
      execArgv: ["--expose-gc"],
      env: { ...process.env, ...allocator },
    });
    let told: number | undefined;
    child.on("message", (bytes) => {
      told = Number(bytes);
    });
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      if (told !== undefined) resolve(told);
      else reject(new Error(`measuring the memory of "${name}" ended with ${signal ?? `exit code ${code}`}`));
    });
  });
}

export async function measureMemory(workload: Workload): Promise<Memory> {
  const programs: ProgramMemory[] = [];
  for (const name of programNames) {
    const needed = await peak(workload.id, name, "needed");
    const own = name === plain || name === clippedSum ? { arena: await peak(workload.id, name, "arena") } : {};
    programs.push({ name, needed, ...own });
  }
  return { source: peakSource, materialised: 4 * workload.samples * elementsOf(workload), programs };
}
