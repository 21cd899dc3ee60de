/** The benchmark's command line. */
import { parseArgs } from "node:util";
import { type Gpt2Name, gpt2Names } from "./gpt2.js";
import { defaultFolder } from "./peers/installed.js";
import { type WorkloadSpec, workloads } from "./workloads.js";

export interface BenchOptions {
  /** Seconds of interleaved runs for each workload. */
  readonly seconds: number;
  readonly workloads: readonly WorkloadSpec[];
  /** Part of real models' names; an empty text keeps all of them, null leaves them out. */
  readonly real: string | null;
  /** A large model, which is measured alone. */
  readonly large: Gpt2Name | null;
  /** Whether to measure the rate at which gradients arrive in JavaScript. */
  readonly stream: boolean;
  /** The folder of the peers; null if there are none. */
  readonly peers: string | null;
  /** Another checkout, which is built and measured beside ours; null if there is none. */
  readonly beside: string | null;
  /** The models whose compile is measured beside the other checkout's, without any other measurement; null if not wanted. */
  readonly compile: readonly string[] | null;
  readonly write: boolean;
  /** Whether nothing is left out. */
  readonly whole: boolean;
  readonly page: boolean;
  /** Measures only second derivatives, beside the mean gradient. */
  readonly curvature: boolean;
  /** Measures only attribution, beside peers. */
  readonly attribution: boolean;
  /** Measures only the peak memory of indexing, beside that of norms. */
  readonly indexMemory: boolean;
  /** The number of samples of an index whose queries are measured, and nothing else; null if not wanted. */
  readonly query: number | null;
}

/** The command was used wrongly; the message says how. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

const known = {
  seconds: { type: "string" },
  only: { type: "string" },
  quick: { type: "boolean", default: false },
  peers: { type: "boolean", default: false },
  "peers-folder": { type: "string", default: defaultFolder },
  beside: { type: "string" },
  compile: { type: "boolean", default: false },
  write: { type: "boolean", default: false },
  page: { type: "boolean", default: false },
  curvature: { type: "boolean", default: false },
  attribution: { type: "boolean", default: false },
  "index-memory": { type: "boolean", default: false },
  query: { type: "string" },
  help: { type: "boolean", default: false },
} as const;

export const usage = `Usage: npm run bench -- [options]

  --only ID          one workload (${workloads.map(({ id }) => id).join(", ")}),
                     or all that have ID in their names, or "real" for the real models,
                     or "stream" for the rate of gradients into JavaScript,
                     or a large model, which is measured only so (${gpt2Names.join(", ")})
  --peers            beside PyTorch, Opacus, JAX, jax-js and tfjs, as far as "npm run peers" could set them up
  --peers-folder DIR where it did (default ${defaultFolder})
  --beside DIR       our workloads beside the same of another checkout, which is built
                     (DIR/dist), one thread each on one core, and nothing else
  --compile          with --beside: what compiling the workloads' norms takes instead, and
                     those of rec and gpt2 (--only ID for one), in new processes and in
                     such as compiled before, and of it what the runtime takes
  --seconds S        seconds of runs for each workload (default 12, with peers 20)
  --quick            as few runs as possible: to see that all works
  --write            write docs/benchmarks.json, .md and .svg (with --only, what
                     was measured takes the place of what they held of it)
  --curvature        second derivatives beside the mean gradient, one thread, and
                     nothing else (pin the command to one core: taskset -c 1)
  --attribution      indices and EK-FAC scores beside dattri, TRAK and kronfluence, one
                     thread, and nothing else (with --peers, pin the command to one
                     core: taskset -c 1; --write puts the table into docs/attribution.md,
                     with --only mnist-cnn or gpt the rows of that)
  --index-memory     the peak memory of indexing a batch beside that of its norms,
                     each in a process of its own, and nothing else
  --query N          100 queries of an index of N samples (1000000 takes 7 GB of the
                     temporary folder) beside a plain pass over its bytes, one
                     thread, and nothing else (taskset -c 1)
  --page             measure nothing: write the page and the chart anew from docs/benchmarks.json
`;

/** Throws UsageError. */
export function benchOptions(args: readonly string[]): BenchOptions | "help" {
  const given = parsed(args);
  if (given.help) return "help";
  const seconds = given.quick ? 0 : Number(given.seconds ?? (given.peers ? 20 : 12));
  if (!(seconds >= 0 && Number.isFinite(seconds))) throw new UsageError(`--seconds takes a number from 0 up.`);
  if (given.write && given.quick) throw new UsageError("--write needs a measurement without --quick.");
  if (given.write && given.curvature) throw new UsageError("--curvature is not written into the page.");
  if (given.write && given.beside !== undefined) throw new UsageError("--beside is not written into the page.");
  if (given.attribution && !given.peers) throw new UsageError("--attribution measures beside peers: add --peers.");
  if (given.compile && given.beside === undefined)
    throw new UsageError("--compile measures beside another checkout: add --beside DIR.");
  const query = given.query === undefined ? null : Number(given.query);
  if (query !== null && !(Number.isSafeInteger(query) && query >= 1))
    throw new UsageError("--query takes a number of samples.");
  const { only } = given;
  const large = gpt2Names.find((name) => name === only) ?? null;
  const byId = workloads.filter(({ id }) => id === only);
  const chosen =
    byId.length > 0 || large ? byId : workloads.filter(({ name }) => only === undefined || name.includes(only));
  const stream = only === undefined || only === "stream";
  const real = only === undefined || only === "real" ? "" : chosen.length > 0 || stream || large ? null : only;
  return {
    seconds,
    workloads: only === "real" ? [] : chosen,
    real,
    large,
    stream,
    peers: given.peers ? given["peers-folder"] : null,
    beside: given.beside ?? null,
    compile: given.compile ? (only === undefined ? [...workloads.map(({ id }) => id), "rec", "gpt2"] : [only]) : null,
    write: given.write,
    whole: only === undefined,
    page: given.page,
    curvature: given.curvature,
    attribution: given.attribution,
    indexMemory: given["index-memory"],
    query,
  };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: known }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error));
  }
}
