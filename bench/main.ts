/** `npm run bench`: what per-sample results cost beside the plain mean gradient of the same batch, measured in turn. */
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { perSample, type Tensor, want } from "../src/index.js";
import { takeSamples } from "../src/samples.js";
import { matmulSpeed } from "./matmul.js";
import { type Alternative, interleave, type Timing } from "./measure.js";
import { measureRealModels } from "./real-models.js";
import { report } from "./report.js";
import { type Workload, workloads } from "./workloads.js";

export interface Measured {
  readonly workload: string;
  readonly samples: number;
  /** Milliseconds to trace, plan, emit and load each program. */
  readonly compile: Readonly<Record<string, number>>;
  readonly timings: readonly Timing[];
}

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly node: string;
  /** GFLOPS of a 1024x1024x1024 MatMul on ONNX Runtime. */
  readonly matmul: number;
}

/** The name of the alternative that all others are compared with. */
export const plain = "mean gradient";

async function programs({ model, loss }: Workload, compile: Record<string, number>) {
  const timed = async <T>(name: string, make: () => Promise<T>): Promise<T> => {
    const start = performance.now();
    const made = await make();
    compile[name] = performance.now() - start;
    return made;
  };
  const clipped = want.clippedSum({ maxNorm: 1 });
  return {
    mean: await timed(plain, () => perSample(model, { loss, want: { mean: want.mean() } })),
    // The loop has a session of its own: it must not warm that of the mean gradient.
    one: await perSample(model, { loss, want: { mean: want.mean() } }),
    norms: await timed("norms", () => perSample(model, { loss, want: { norms: want.norms() } })),
    clipped: await timed("norms + clipped sum", () =>
      perSample(model, { loss, want: { norms: want.norms(), clipped } }),
    ),
    all: await timed("norms + clipped sum + mean", () =>
      perSample(model, { loss, want: { norms: want.norms(), clipped, mean: want.mean() } }),
    ),
    gradients: await timed("all gradients", () => perSample(model, { loss, want: { gradients: want.gradients() } })),
  };
}

async function measure(workload: Workload, seconds: number): Promise<Measured> {
  const compile: Record<string, number> = {};
  const made = await programs(workload, compile);
  const { data, samples } = workload;
  const one = (tensor: Tensor, n: number) => takeSamples(tensor, 0, n, n + 1);
  const loop = async () => {
    for (let n = 0; n < samples; n++) await made.one.run({ x: one(data.x, n), target: one(data.target, n) });
  };
  const alternatives: Alternative[] = [
    { name: plain, run: async () => void (await made.mean.run(data)) },
    { name: "norms", run: async () => void (await made.norms.run(data)) },
    { name: "norms + clipped sum", run: async () => void (await made.clipped.run(data)) },
    { name: "norms + clipped sum + mean", run: async () => void (await made.all.run(data)) },
    { name: "all gradients", run: async () => void (await made.gradients.run(data)) },
    { name: "naive loop", run: loop },
  ];
  const timings = await interleave(alternatives, seconds);
  await Promise.all(Object.values(made).map((program) => program.release()));
  return { workload: workload.name, samples, compile, timings };
}

const { values: options } = parseArgs({
  options: {
    /** Seconds for each workload. */
    seconds: { type: "string", default: "8" },
    /** Part of a workload's name. */
    only: { type: "string", default: "" },
    /** Write docs/benchmarks.md and docs/benchmarks.json. */
    write: { type: "boolean", default: false },
  },
});

const seconds = Number(options.seconds);
const machine: Machine = {
  processor: cpus()[0]?.model.trim() ?? "unknown",
  cores: cpus().length,
  node: process.version,
  matmul: await matmulSpeed(Math.min(2, seconds)),
};
const results: Measured[] = [];
for (const make of workloads) {
  const workload = make();
  if (!workload.name.includes(options.only)) continue;
  process.stderr.write(`${workload.name} ...\n`);
  results.push(await measure(workload, seconds));
}
const real = await measureRealModels(seconds, options.only);
const text = report(machine, results, real);
process.stdout.write(`${text}\n`);
if (options.write) {
  writeFileSync(join("docs", "benchmarks.md"), `${text}\n`);
  writeFileSync(join("docs", "benchmarks.json"), `${JSON.stringify({ machine, results, real }, null, 2)}\n`);
}
