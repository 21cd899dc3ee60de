/** Peak memory of a workload's programs, each in a process of its own; memory-process.ts says what it is. */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type ProgramName, programNames } from "./programs.js";
import { peakSource } from "./resident.js";
import type { Workload } from "./workloads.js";

/** Bytes. */
export interface ProgramMemory {
  readonly name: ProgramName;
  /** Alive at once: every tensor allocated and freed for itself. */
  readonly needed: number;
  /** With the runtime's own settings. */
  readonly arena: number;
}

export interface Memory {
  /** Where the system told the peak. */
  readonly source: string;
  /** Bytes of the gradients of all samples, each a float for every parameter's element. */
  readonly materialised: number;
  readonly programs: readonly ProgramMemory[];
}

/** The GNU allocator returns what is freed at once: else what was freed before the first run would hide its needs. */
const allocator = {
  MALLOC_ARENA_MAX: "1",
  MALLOC_MMAP_THRESHOLD_: "65536",
  MALLOC_TRIM_THRESHOLD_: "65536",
  MALLOC_TOP_PAD_: "0",
};

function peak(index: number, name: ProgramName, allocation: "needed" | "arena"): Promise<number> {
  const file = fileURLToPath(new URL("memory-process.js", import.meta.url));
  return new Promise((resolve, reject) => {
    const child = fork(file, [`${index}`, name, allocation], {
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

/** @param index the workload's place among all workloads, as processes cannot hand each other models */
export async function measureMemory(index: number, { model, samples }: Workload): Promise<Memory> {
  const elements = Object.values(model.parameters).reduce((total, { data }) => total + data.length, 0);
  const programs: ProgramMemory[] = [];
  for (const name of programNames) {
    programs.push({ name, needed: await peak(index, name, "needed"), arena: await peak(index, name, "arena") });
  }
  return { source: peakSource, materialised: 4 * samples * elements, programs };
}
