/**
 * Compiles one program of a build several times, in a process of its own (compile.ts starts it), and prints how long
 * each time took. Its arguments are the folder of the build, the model, the program, and the number of times. The build
 * brings its own models, because options may have had other names in it.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import type { Binding } from "onnxruntime-node/dist/binding.js";
import type { loadModel, perSample } from "../src/index.js";
import type { Compiles } from "./compile.js";
import type { gpt2 } from "./gpt2.js";
import type { wanted } from "./programs.js";
import type { loadOptions, realModels } from "./real/models.js";
import type { makeWorkload, workloads } from "./workloads.js";

interface Library {
  readonly perSample: typeof perSample;
  readonly loadModel: typeof loadModel;
}

interface RealModels {
  readonly realModels: typeof realModels;
  readonly loadOptions: typeof loadOptions;
}

interface Workloads {
  readonly makeWorkload: typeof makeWorkload;
  readonly workloads: typeof workloads;
}

const [folder = "", id = "", program = "", times = "1"] = process.argv.slice(2);
const of = async <T>(path: string) => (await import(pathToFileURL(join(folder, path)).href)) as T;

/** Milliseconds of CPU time since `before`, including that of the engine's and the runtime's other threads. */
function since(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** The module that a user of the package imports. */
const { exports } = JSON.parse(readFileSync(join(folder, "..", "package.json"), "utf8")) as {
  readonly exports: { readonly ".": { readonly default: string } };
};
const entry = relative("dist", exports["."].default);

const start = process.cpuUsage();
const library = await of<Library>(entry);
const imported = since(start);
const { wanted: wants } = await of<{ readonly wanted: typeof wanted }>("bench/programs.js");

/** How long the runtime takes to load programs, measured in the build's own copy of the runtime. */
let loading = 0;
function timeRuntime(): void {
  process.env.ORT_DISABLE_TELEMETRY = "1";
  const own = createRequire(join(folder, "src", "index.js"));
  const { binding, initOrt } = own(
    "onnxruntime-node/dist/binding.js",
  ) as typeof import("onnxruntime-node/dist/binding.js");
  initOrt();
  const { InferenceSession } = binding;
  const load = (session: Binding.InferenceSession, given: unknown[]) =>
    Reflect.apply(InferenceSession.prototype.loadModel, session, given);
  // The native class's own methods cannot be replaced.
  class Timed extends InferenceSession {
    override loadModel(...given: unknown[]): void {
      const before = process.cpuUsage();
      load(this, given);
      loading += since(before);
    }
  }
  Object.assign(binding, { InferenceSession: Timed });
}

async function objective() {
  const { workloads, makeWorkload } = await of<Workloads>("bench/workloads.js");
  const spec = workloads.find((each) => each.id === id);
  if (spec) return makeWorkload(spec, 1);
  if (id === "gpt2") return (await of<{ readonly gpt2: typeof gpt2 }>("bench/gpt2.js")).gpt2(id, 1, 64);
  const { realModels, loadOptions } = await of<RealModels>("bench/real/models.js");
  const real = realModels.map((make) => make()).find(({ name }) => name.includes(`(${id})`));
  if (!real) throw new RangeError(`the build has no model ${id}`);
  const { loss, output } = real;
  return { model: await library.loadModel(real.file, loadOptions(real)), loss, ...(output ? { output } : {}) };
}

timeRuntime();
const { model, loss, ...rest } = await objective();
const output = "output" in rest ? { output: rest.output } : {};
const compiles: { own: number; runtime: number }[] = [];
for (let k = 0; k < Number(times); k++) {
  const runtime = loading;
  const before = process.cpuUsage();
  const made = await library.perSample(model, {
    loss,
    ...output,
    want: wants[program as keyof typeof wanted],
    threads: 1,
  });
  const all = since(before);
  compiles.push({ own: all - (loading - runtime), runtime: loading - runtime });
  await made.release();
}
process.stdout.write(JSON.stringify({ imported, compiles } satisfies Compiles));
