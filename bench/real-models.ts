/** The benchmark's section on trained models from npm packages. */
import { spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { nodesBefore } from "../src/graph/walk.js";
import { loadModel, type Model, perSample, want } from "../src/index.js";
import { takeSamples } from "../src/tensor/take-samples.js";
import { interleave, type Timing, timed } from "./measure.js";
import { loadOptions, type RealModel, realModels } from "./real/models.js";
import { peakResident } from "./resident.js";

export interface RealMeasured {
  readonly name: string;
  readonly package: string;
  readonly bytes: number;
  readonly nodes: number;
  readonly parameters: number;
  readonly elements: number;
  readonly samples: number;
  /** Memory of a process that does nothing else. */
  readonly cold: Cold;
  /** Times of the plain mean gradient, the norms, and the loop. */
  readonly timings: readonly Timing[];
}

/** The cost of loading and compiling norms in a new process: milliseconds, and bytes above an idle process. */
interface Cold {
  readonly load: number;
  readonly compile: number;
  readonly memory: number;
}

const objective = ({ loss, output }: RealModel) => ({ loss, ...(output === undefined ? {} : { output }) });

async function compileNorms(real: RealModel, model: Model) {
  return perSample(model, { ...objective(real), want: { norms: want.norms() } });
}

async function cold(real: RealModel): Promise<Cold> {
  const idle = process.memoryUsage.rss();
  const start = performance.now();
  const model = await loadModel(real.file, loadOptions(real));
  const loaded = performance.now();
  const program = await compileNorms(real, model);
  const compile = performance.now() - loaded;
  const memory = peakResident() - idle;
  await program.release();
  return { load: loaded - start, compile, memory };
}

/** Runs in a process of its own, so that code not yet compiled and memory not yet used count. */
function coldly(index: number): Cold {
  const { stdout, stderr, status } = spawnSync(process.execPath, [fileURLToPath(import.meta.url), `${index}`], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`measuring model ${index} failed: ${stderr}`);
  return JSON.parse(stdout) as Cold;
}

async function timings(real: RealModel, model: Model, seconds: number): Promise<Timing[]> {
  const { data, samples, sampleAxes } = real;
  const compileMean = () => perSample(model, { ...objective(real), want: { mean: want.mean() } });
  const [mean, norms, one] = [await compileMean(), await compileNorms(real, model), await compileMean()];
  const loop = async () => {
    for (let n = 0; n < samples; n++) {
      const own = Object.entries(data).map(([name, tensor]) => [
        name,
        takeSamples(tensor, sampleAxes?.[name] ?? 0, n, n + 1),
      ]);
      await one.run(Object.fromEntries(own));
    }
  };
  const measured = await interleave(
    [timed("mean gradient", () => mean.run(data)), timed("norms", () => norms.run(data)), timed("naive loop", loop)],
    seconds,
  );
  await Promise.all([mean, norms, one].map((program) => program.release()));
  return measured;
}

export async function measureRealModels(seconds: number, only: string): Promise<RealMeasured[]> {
  const results: RealMeasured[] = [];
  for (const [index, make] of realModels.entries()) {
    const real = make();
    if (!real.name.includes(only)) continue;
    process.stderr.write(`${real.name} ...\n`);
    const model = await loadModel(real.file, loadOptions(real));
    const tensors = Object.values(model.parameters);
    results.push({
      name: real.name,
      package: real.package,
      bytes: statSync(real.file).size,
      nodes: nodesBefore(model.graph.outputs.map(({ value }) => value)).length,
      parameters: tensors.length,
      elements: tensors.reduce((total, { data }) => total + data.length, 0),
      samples: real.samples,
      cold: coldly(index),
      timings: await timings(real, model, seconds),
    });
  }
  return results;
}

const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);

function row({ cold: { load, compile, memory }, timings, ...real }: RealMeasured): string {
  const [mean, norms, loop] = timings.map(({ median }) => median) as [number, number, number];
  const cells = [
    real.name,
    real.package,
    megabytes(real.bytes),
    real.nodes,
    `${real.parameters} (${(real.elements / 1e6).toFixed(2)} M)`,
    load.toFixed(0),
    compile.toFixed(0),
    megabytes(memory),
    (memory / real.bytes).toFixed(1),
    real.samples,
    mean.toFixed(1),
    (norms / mean).toFixed(2),
    (loop / mean).toFixed(2),
  ];
  return `| ${cells.join(" | ")} |`;
}

/** The section, in Markdown. */
export function realModelsSection(results: readonly RealMeasured[]): string {
  const heading =
    "| model | package | file, MB | nodes | parameters | load, ms | compile norms, ms | peak memory, MB | times the file | N | mean gradient, ms | norms, times that | loop, times that |";
  return [
    "## Real models",
    "",
    "Trained models from npm packages, with data that they make sense of (`bench/real`). Nodes are counted after constants are folded. Loading and compiling are measured in a new process, and so is memory: its peak above what the process held before.",
    "",
    heading,
    "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ...results.map(row),
  ].join("\n");
}

/** The process that `coldly` starts. */
const child = process.argv[1] === fileURLToPath(import.meta.url) ? realModels[Number(process.argv[2])] : undefined;
if (child) process.stdout.write(JSON.stringify(await cold(child())));
