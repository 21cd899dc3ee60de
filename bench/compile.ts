/** Compile times beside another commit's build: in new processes, and in processes that have compiled before. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { ownBuild } from "./builds.js";
import { onOneCore } from "./peers/one-core.js";

/** What a process of compile-process.ts prints: milliseconds of CPU time. */
export interface Compiles {
  /** The time to import the package. */
  readonly imported: number;
  /** For each compile in turn: our own part, and the time that the runtime takes to load a program. */
  readonly compiles: readonly { readonly own: number; readonly runtime: number }[];
}

/** Compiles in each process; the last half of them are warm. */
const perProcess = 6;

function measured(folder: string, id: string, program: string): Compiles {
  const file = join(ownBuild, "bench", "compile-process.js");
  const args = [file, folder, id, program, `${perProcess}`];
  const command = onOneCore({ file: process.execPath, args });
  const { stdout, stderr, status } = spawnSync(command.file, command.args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`compiling ${id} of ${folder} failed: ${stderr}`);
  return JSON.parse(stdout) as Compiles;
}

/** By the shortest time, because disturbances only ever make a compile longer. */
function shortest(runs: readonly Compiles[]) {
  const least = (times: readonly number[]) => Math.min(...times);
  const cold = runs.flatMap(({ compiles }) => compiles.slice(0, 1));
  const warm = runs.flatMap(({ compiles }) => compiles.slice(perProcess / 2));
  return {
    import: least(runs.map(({ imported }) => imported)),
    "own, cold": least(cold.map(({ own }) => own)),
    "runtime, cold": least(cold.map(({ runtime }) => runtime)),
    "all, cold": least(cold.map(({ own, runtime }) => own + runtime)),
    "own, warm": least(warm.map(({ own }) => own)),
    "runtime, warm": least(warm.map(({ runtime }) => runtime)),
    "all, warm": least(warm.map(({ own, runtime }) => own + runtime)),
  };
}

/**
 * The CPU time that compiling norms takes, as a table in Markdown.
 * @param folder the other checkout's build
 * @param ids workloads, `gpt2`, or the text in brackets after a real model's name
 * @param rounds processes of each build, taking turns
 */
export function compileBeside(
  folder: string,
  ids: readonly string[],
  rounds: number,
  told: (line: string) => void,
): void {
  told("| model | what | CPU ms, ours | CPU ms, theirs | ours / theirs |");
  told("|---|---|---:|---:|---:|");
  for (const id of ids) {
    const turns = Array.from({ length: rounds }, () => [ownBuild, folder].map((each) => measured(each, id, "norms")));
    const [ours, theirs] = [0, 1].map((k) => shortest(turns.flatMap((turn) => turn[k] ?? [])));
    if (!ours || !theirs) continue;
    for (const what of Object.keys(ours) as (keyof typeof ours)[]) {
      const [own, other] = [ours[what], theirs[what]];
      told(`| ${[id, what, own.toFixed(0), other.toFixed(0), (own / other).toFixed(2)].join(" | ")} |`);
    }
  }
}
