/** Builds of pergrad, ours and optionally that of another commit. Each of their programs has a process of its own with one thread. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Alternative, interleave, type Timing } from "./measure.js";
import { onOneCore } from "./peers/one-core.js";
import { PeerProcess } from "./peers/process.js";
import { titleOf } from "./results.js";
import type { Workload, WorkloadSpec } from "./workloads.js";

/** The folder of the build that contains this file; if it runs from its source, as in tests, that of the last build. */
export const ownBuild = fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "../dist" : "..", import.meta.url));

/** Seconds to compile a program and run it once, and seconds for a round. */
const limit = 300;

export interface Build {
  readonly alternatives: readonly Alternative[];
  stop(): void;
}

/**
 * Compiles all of a build's programs of a workload, each in a process of its own, and runs each once. In one process,
 * a program would pay for the memory that another has left to the garbage collector. Throws PeerFailure.
 */
export async function startBuild(folder: string, { id }: Pick<Workload, "id">): Promise<Build> {
  const command = {
    file: globalThis.process.execPath,
    args: [join(ownBuild, "bench", "build-process.js"), folder, id],
  };
  const processes: PeerProcess[] = [];
  const started = async () => {
    const { process } = await PeerProcess.start(onOneCore(command), 1);
    processes.push(process);
    return process;
  };
  const stop = () => {
    for (const process of processes) process.stop();
  };
  try {
    const first = await started();
    const { alternatives: names } = await first.ask({ do: "prepare" }, limit);
    const alternatives: Alternative[] = [];
    for (const name of names as readonly string[]) {
      const process = alternatives.length === 0 ? first : await started();
      await process.ask({ do: "make", name }, limit);
      alternatives.push({ name, run: (times) => process.time(name, times, limit) });
    }
    return { alternatives, stop };
  } catch (error) {
    stop();
    throw error;
  }
}

/** The limit of a program's time over that of the same program of another build. */
const slower = 1.02;

/**
 * Compares our build with another, program by program, as a table in Markdown.
 * @param folder the other checkout, which is built
 * @param seconds of interleaved runs for each workload
 */
export async function besideBuild(
  folder: string,
  specs: readonly WorkloadSpec[],
  seconds: number,
  told: (line: string) => void,
): Promise<void> {
  told(`| workload | program | CPU ms, ours | CPU ms, theirs | ours / theirs, CPU | wall | over ${slower} |`);
  told("|---|---|---:|---:|---:|---:|---|");
  for (const spec of specs) {
    const own = await startBuild(ownBuild, spec);
    const other = await startBuild(folder, spec).catch((error: unknown) => {
      own.stop();
      throw error;
    });
    try {
      const timings = await interleave([...own.alternatives, ...other.alternatives], seconds);
      const theirs = timings.slice(own.alternatives.length);
      for (const timing of timings.slice(0, own.alternatives.length)) {
        const same = theirs.find(({ name }) => name === timing.name);
        if (same) told(row(titleOf(spec), timing, same));
      }
    } finally {
      own.stop();
      other.stop();
    }
  }
}

/** By the fastest tenths, because disturbances only ever make a run longer. */
function row(title: string, ours: Timing, theirs: Timing): string {
  const [own, other] = [ours.cpu?.low ?? Number.NaN, theirs.cpu?.low ?? Number.NaN];
  const ratio = own / other;
  const cells = [title, ours.name, own.toFixed(3), other.toFixed(3), ratio.toFixed(3)];
  return `| ${[...cells, (ours.low / theirs.low).toFixed(3), ratio > slower ? "yes" : ""].join(" | ")} |`;
}
