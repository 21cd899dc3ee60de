/**
 * A build of pergrad as a contestant: a process of its own, with one thread, that speaks the peers' protocol
 * (peers/protocol.py) without files. Its arguments are the folder of the build and the workload. The build brings its
 * own workloads, because options may have had other names in it.
 */
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import type { perSample } from "../src/index.js";
import type { loopOf, runnerOf, wanted } from "./programs.js";
import type { makeWorkload, workloads } from "./workloads.js";

const [folder = "", id = ""] = process.argv.slice(2);
const of = async <T>(path: string) => (await import(pathToFileURL(join(folder, path)).href)) as T;
const library = await of<{ readonly perSample: typeof perSample }>("src/index.js");
const programs = await of<Programs>("bench/programs.js");
const given = await of<Workloads>("bench/workloads.js");

interface Programs {
  readonly wanted: typeof wanted;
  readonly runnerOf: typeof runnerOf;
  /** Builds of 0.1.0 and before lack it; these time the loop only within one process. */
  readonly loopOf?: typeof loopOf;
}

interface Workloads {
  readonly makeWorkload: typeof makeWorkload;
  readonly workloads: typeof workloads;
}

const naive = "naive loop";

function made() {
  const spec = given.workloads.find((each) => each.id === id);
  if (!spec) throw new RangeError(`the build has no workload ${id}`);
  return given.makeWorkload(spec);
}

const workload = made();
const runs = new Map<string, () => Promise<void>>();

/** Compiles a program and runs it once. */
async function make(name: string): Promise<void> {
  const { wanted, runnerOf, loopOf } = programs;
  const own = name === naive ? "mean gradient" : (name as keyof typeof wanted);
  const { model, loss } = workload;
  const program = await library.perSample(model, { loss, want: wanted[own], threads: 1 });
  const run = name === naive ? loopOf?.(workload, program) : runnerOf(own, workload, program);
  if (!run) throw new RangeError(`the build has no ${name}`);
  await run();
  runs.set(name, run);
}

async function time(name: string, times: number): Promise<{ milliseconds: number; cpu: number }> {
  const run = runs.get(name);
  if (!run) throw new RangeError(`${name} is not ready`);
  const before = process.cpuUsage();
  const start = performance.now();
  for (let k = 0; k < times; k++) await run();
  const milliseconds = (performance.now() - start) / times;
  const { user, system } = process.cpuUsage(before);
  return { milliseconds, cpu: (user + system) / 1000 / times };
}

interface Request {
  readonly do: string;
  readonly name?: string;
  readonly times?: number;
}

async function answerTo({ do: what, name = "", times = 1 }: Request): Promise<object> {
  if (what === "prepare")
    return { alternatives: [...Object.keys(programs.wanted), ...(programs.loopOf ? [naive] : [])] };
  if (what === "make") {
    await make(name);
    return {};
  }
  return time(name, times);
}

const answer = (content: object) => process.stdout.write(`${JSON.stringify(content)}\n`);
answer({ peer: "pergrad", versions: {} });
for await (const line of createInterface({ input: process.stdin })) {
  try {
    answer(await answerTo(JSON.parse(line) as Request));
  } catch (error) {
    answer({ error: error instanceof Error ? error.message : String(error) });
  }
}
