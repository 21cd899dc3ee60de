// What must hold on a GPU: numbers, several programs at once, the placement of nodes, refusals. esbuild packs this file
// like a user's page; webgpu.mjs runs it. `models` and `dataOf` make the same models and data in Node.
import { env, InferenceSession } from "onnxruntime-web/webgpu";
import * as pergrad from "pergrad/webgpu";
import { dataOf, models, wantsOf } from "./webgpu-models.mjs";

const { losses, perSample, want } = pergrad;

/** Everything that the runtime logs about the placement of nodes. */
const lines = [];
for (const name of ["log", "info", "warn", "error", "debug"]) console[name] = (...said) => lines.push(said.join(" "));
env.logLevel = "verbose";
const { create } = InferenceSession;
InferenceSession.create = (model, options) => create.call(InferenceSession, model, { ...options, logSeverityLevel: 0 });

/** The operators that the runtime put on the CPU, in all sessions that were created since `lines` was emptied. */
function onCpu() {
  let [provider, found] = ["", []];
  for (const line of lines) {
    provider = /Node\(s\) placed on \[(\w+)\]/.exec(line)?.[1] ?? provider;
    const op = /VerifyEachNodeIsAssignedToAnEp\]\s+(\w+) \(/.exec(line)?.[1];
    if (op && provider.startsWith("CPU")) found = [...found, op];
    const all = /All nodes placed on \[(\w+)\]/.exec(line)?.[1];
    if (all && !all.startsWith("WebGpu")) found = [...found, all];
  }
  return [...new Set(found)].sort();
}

/** The operators that `explain` says are left to the CPU. */
const explained = (program) =>
  [...String(program.explain()).matchAll(/On the CPU, since the GPU has no kernel for (\w+):/g)]
    .map(([, op]) => op)
    .sort();

const numbersIn = ({ norms, gradients }) =>
  Object.fromEntries(
    [["norms", norms.total], ...Object.entries(gradients)].map(([name, { data }]) => [name, [...data]]),
  );

async function ofModel(id) {
  lines.length = 0;
  const program = await perSample(models(pergrad)[id], { loss: losses.crossEntropy(), want: wantsOf(pergrad) });
  const results = numbersIn(await program.run(dataOf(id)));
  const notes = explained(program);
  await program.release();
  const placed = lines.filter((line) => line.includes("placed on")).length;
  return { results, notes, cpu: onCpu(), placed };
}

/** Programs that are created, run and released while others are, too. */
async function together(ids) {
  const results = await Promise.all(ids.map(ofModel));
  return results.map((each) => each.results);
}

/** Compiled and run in the program's own worker, in two workers, and in a pool that holds another program too. */
async function inWorkers(id) {
  const model = models(pergrad)[id];
  const options = { loss: losses.crossEntropy(), want: wantsOf(pergrad) };
  const pool = pergrad.workers();
  const found = [];
  for (const given of [true, 2, pool, pool]) {
    const stages = [];
    const program = await perSample(model, {
      ...options,
      workers: given,
      onCompile: ({ stage }) => stages.push(stage),
    });
    // Two runs at the same time.
    const runs = await Promise.all([program.run(dataOf(id)), program.run(dataOf(id))]);
    const notes = String(program.explain());
    found.push({ results: runs.map(numbersIn), stages, here: notes.includes("in the page's own thread") });
    if (given !== pool) await program.release();
  }
  await pool.release();
  return found;
}

async function messageOf(action) {
  try {
    await action();
  } catch (error) {
    return `${error.code}: ${error.message}`;
  }
  return "no error";
}

async function refusals() {
  const { mlp } = models(pergrad);
  const loss = losses.crossEntropy();
  const half = await messageOf(() =>
    perSample(mlp, { loss, want: { gradients: want.gradients({ storage: "float16" }) } }),
  );
  const ofNone = await perSample(mlp, { loss, want: { norms: want.norms() } });
  const none = await ofNone.run({ x: { dtype: "float32", dims: [0, 5], data: new Float32Array() }, target: [] });
  await ofNone.release();
  return { half, none: none.norms.total.data.length };
}

globalThis.pergradGpu = { ofModel, together, inWorkers, refusals };
