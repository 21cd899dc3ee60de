/** `npm run bench`: what per-sample results cost beside the plain mean gradient of the same batch, measured in turn. */
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Tensor } from "../src/index.js";
import { takeSamples } from "../src/samples.js";
import { matmulSpeed } from "./matmul.js";
import { type Alternative, interleave, type Timing } from "./measure.js";
import { type Memory, measureMemory } from "./memory.js";
import { compileProgram, plain, programNames } from "./programs.js";
import { measureRealModels } from "./real-models.js";
import { report } from "./report.js";
import { measureSteps, type StepTimings } from "./steps.js";
import { type Workload, workloads } from "./workloads.js";

export interface Measured {
  readonly workload: string;
  readonly samples: number;
  /** Numbers in all parameters. */
  readonly elements: number;
  /** Milliseconds to trace, plan, emit and load each program. */
  readonly compile: Readonly<Record<string, number>>;
  readonly memory: Memory;
  readonly timings: readonly Timing[];
  readonly steps: StepTimings;
}

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly node: string;
  /** GFLOPS of a 1024x1024x1024 MatMul on ONNX Runtime. */
  readonly matmul: number;
}

async function measure(workload: Workload, index: number, seconds: number): Promise<Measured> {
  const compile: Record<string, number> = {};
  const programs: Awaited<ReturnType<typeof compileProgram>>[] = [];
  const alternatives: Alternative[] = [];
  const { data, samples, model } = workload;
  for (const name of programNames) {
    const start = performance.now();
    const program = await compileProgram(workload, name);
    compile[name] = performance.now() - start;
    programs.push(program);
    alternatives.push({ name, run: async () => void (await program.run(data)) });
  }
  // The loop has a session of its own: it must not warm that of the mean gradient.
  const one = await compileProgram(workload, plain);
  const take = (tensor: Tensor, n: number) => takeSamples(tensor, 0, n, n + 1);
  const loop = async () => {
    for (let n = 0; n < samples; n++) await one.run({ x: take(data.x, n), target: take(data.target, n) });
  };
  const timings = await interleave([...alternatives, { name: "naive loop", run: loop }], seconds);
  await Promise.all([...programs, one].map((program) => program.release()));
  const steps = await measureSteps(workload, seconds / 2);
  const memory = await measureMemory(index, workload);
  const elements = Object.values(model.parameters).reduce((total, tensor) => total + tensor.data.length, 0);
  return { workload: workload.name, samples, elements, compile, memory, timings, steps };
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
for (const [index, make] of workloads.entries()) {
  const workload = make();
  if (!workload.name.includes(options.only)) continue;
  process.stderr.write(`${workload.name} ...\n`);
  results.push(await measure(workload, index, seconds));
}
const real = await measureRealModels(seconds, options.only);
const text = report(machine, results, real);
process.stdout.write(`${text}\n`);
if (options.write) {
  writeFileSync(join("docs", "benchmarks.md"), `${text}\n`);
  writeFileSync(join("docs", "benchmarks.json"), `${JSON.stringify({ machine, results, real }, null, 2)}\n`);
}
