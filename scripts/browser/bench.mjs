// Usage: bench.mjs [--samples N] [--limit SECONDS] [--peers-folder FOLDER] [WORKLOAD ...]. Times per-sample norms of the
// benchmark's workloads (default: mlp, lstm) in Chromium's WebAssembly, taking turns, on one thread each, beside Node's own
// runtime and, if `npm run peers` has installed them, beside jax-js and TensorFlow.js in the same Chromium. Prints medians
// of rounds, and of ratios of CPU time, which other work on the machine hardly changes.
import { copyFileSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { defaultFolder } from "../../dist/bench/peers/installed.js";
import { makeWorkload, workloads } from "../../dist/bench/workloads.js";
import { perSample, saveModel, want } from "../../dist/src/index.js";
import { encodeSafetensors } from "../../dist/src/io/safetensors.js";
import { serve } from "../../inspector/build.mjs";
import { counterparts } from "../bundle.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const ort = join(here, "../../node_modules/onnxruntime-web/dist");
/** Fewer if a run takes more than 2 s. */
const rounds = { usual: 9, slow: 3 };
const inNode = "pergrad in Node";
/** About how many milliseconds a contestant computes in a round: Chromium reports its processes' time in steps of 10 ms. */
const atLeast = 400;
/** Seconds for a contestant's first norms, unless `--limit` gives another number: one that needs more is left out. */
const usualLimit = 120;
/** The relative difference of norms; a contestant that differs by more is left out. */
const allowed = 1e-4;

/** Loads the ways of a contestant's module, and runs one of them several times. */
const page = `
const ways = {};
globalThis.prepare = async (module, id, classes) => {
  const { prepare } = await import("/" + module + ".js");
  Object.assign(ways, await prepare(id, classes));
};
globalThis.norms = async (name) => Array.from(await ways[name]());
globalThis.repeat = async (name, runs) => {
  for (let run = 0; run < runs; run++) await ways[name]();
};
globalThis.isReady = true;
`;

const modules = (folder) => join(resolve(folder), "node", "node_modules");

/** The installed peers: jax-js and TensorFlow.js, each if its package is there. */
function peersIn(folder) {
  const signs = { "jax-js": "@jax-js/jax", tfjs: "@tensorflow/tfjs-backend-wasm" };
  return Object.keys(signs).filter((name) => existsSync(join(modules(folder), signs[name])));
}

async function pageIn(folder, peersFolder, peers) {
  await build({
    entryPoints: ["pergrad", ...peers].map((name) => join(here, "contestants", `${name}.mjs`)),
    bundle: true,
    format: "esm",
    platform: "browser",
    logLevel: "error",
    outdir: folder,
    nodePaths: [modules(peersFolder)],
    plugins: [counterparts(["browser"])],
  });
  const wasm = [join(ort, "ort-wasm-simd-threaded.wasm")];
  if (peers.includes("tfjs"))
    for (const kind of ["", "-simd", "-threaded-simd"])
      wasm.push(join(modules(peersFolder), "@tensorflow/tfjs-backend-wasm/dist", `tfjs-backend-wasm${kind}.wasm`));
  for (const file of wasm) copyFileSync(file, join(folder, file.split(/[\\/]/).at(-1)));
  writeFileSync(join(folder, "page.js"), page);
  writeFileSync(join(folder, "index.html"), '<!doctype html><script type="module" src="page.js"></script>');
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

const difference = (found, expected) =>
  found.length === expected.length
    ? Math.max(...Array.from(expected, (norm, n) => Math.abs(found[n] / norm - 1)))
    : Number.NaN;

/** The files of a workload that the page fetches: the model, its data, and the inputs of the peers. */
async function writeFiles(folder, { id, model, data }) {
  const [input] = model.graph.inputs;
  const feeds = { [input.name]: data.x, target: data.target };
  const weights = Object.values(model.parameters).map((tensor, k) => [`parameters/${k}`, tensor]);
  await saveModel(model, join(folder, `${id}.onnx`));
  writeFileSync(join(folder, `${id}.safetensors`), encodeSafetensors(feeds));
  writeFileSync(
    join(folder, `${id}-peers.safetensors`),
    encodeSafetensors({ ...Object.fromEntries(weights), ...data }),
  );
  return feeds;
}

/** The time of one run, averaged over several, in milliseconds: CPU time, and time by the clock. */
async function tookOf(runs, run, processorTime) {
  const [used, began] = [await processorTime(), performance.now()];
  await run(runs);
  const wall = performance.now() - began;
  return { cpu: ((await processorTime()) - used) / runs, wall: wall / runs };
}

/** CPU time of the page's process, all threads, in milliseconds. */
async function processorTimeOf(browser) {
  const session = await browser.newBrowserCDPSession();
  return async () => {
    const { processInfo } = await session.send("SystemInfo.getProcessInfo");
    return processInfo.reduce((sum, { type, cpuTime }) => sum + (type === "renderer" ? 1000 * cpuTime : 0), 0);
  };
}

const ownProcessorTime = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

/** Throws if it takes longer. */
async function within(seconds, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`did not finish in ${seconds} s`)), 1000 * seconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

const reasonOf = (error) => error.message.split("\n")[0];

/** Names of the ways in each contestant's module. */
const waysIn = {
  pergrad: ["pergrad"],
  "jax-js": ["jax-js vmap(grad)", "jax-js loop of grad"],
  tfjs: ["tfjs loop of grads"],
};

/**
 * The ways in pages whose norms equal ours, each with a function that measures the time of a run over several runs. Each
 * has a page of its own, for one that exhausts its page's memory or time must not end another.
 */
async function waysOf({ open, peers, limit, processorTime }, { id }, classes, expected) {
  const ways = new Map();
  const wanted = ["pergrad", ...peers].flatMap((module) => waysIn[module].map((name) => [module, name]));
  for (const [module, name] of wanted) {
    const tab = await open();
    const ask = (what, given) =>
      within(
        limit,
        tab.evaluate(([own, all]) => globalThis[own](...all), [what, given]),
      );
    try {
      await ask("prepare", [module, id, classes]);
      const off = difference(await ask("norms", [name]), expected);
      const isSame = off <= allowed;
      console.log(`  ${name}: norms differ by at most ${off.toExponential(1)}${isSame ? "" : ": it takes no part"}`);
      if (!isSame && module === "pergrad") throw new Error("Norms in Chromium are not those in Node.");
      const repeat = (runs) => tab.evaluate((given) => globalThis.repeat(...given), [name, runs]);
      if (isSame) ways.set(name, (runs) => tookOf(runs, repeat, processorTime));
    } catch (error) {
      if (module === "pergrad") throw error;
      console.log(`  ${name} takes no part: ${reasonOf(error)}`);
      // Not awaited, because a page that computes does not respond.
      tab.close().catch(() => undefined);
    }
  }
  return ways;
}

/** How many runs take about as long as a contestant should compute, and the CPU milliseconds of one run. */
async function countOf(measure) {
  let runs = 1;
  let { cpu } = await measure(runs);
  while (cpu * runs < atLeast / 4) {
    runs *= 4;
    ({ cpu } = await measure(runs));
  }
  return { cpu, runs: Math.ceil(atLeast / cpu) };
}

/** Measures a peer; one that fails now, as by exhausting its page's memory, leaves the contest with the reason. */
async function unlessFailing(ways, name, measure) {
  try {
    return await measure();
  } catch (error) {
    if (name === "pergrad" || name === inNode) throw error;
    console.log(`  ${name} takes no further part: ${reasonOf(error)}`);
    ways.delete(name);
  }
}

/** By name, the time of a run in each round; all contestants take turns. */
async function timed(all) {
  const ways = new Map(all);
  const counts = new Map();
  for (const [name, measure] of all) counts.set(name, await unlessFailing(ways, name, () => countOf(measure)));
  const isSlow = [...counts.values()].some((count) => count?.cpu > 2000);
  const times = new Map([...ways.keys()].map((name) => [name, []]));
  for (let round = 0; round < (isSlow ? rounds.slow : rounds.usual); round++)
    for (const [name, measure] of ways) {
      const took = await unlessFailing(ways, name, () => measure(counts.get(name).runs));
      if (took) times.get(name).push(took);
    }
  return new Map([...times].filter(([name]) => ways.has(name)));
}

async function compared(contest, spec, samples) {
  const workload = makeWorkload(spec, samples);
  const feeds = await writeFiles(contest.folder, workload);
  console.log(`${workload.name}, ${workload.samples} samples; load average ${loadavg()[0].toFixed(1)}`);
  const program = await perSample(workload.model, { loss: workload.loss, want: { norms: want.norms() }, threads: 1 });
  const { norms } = await program.run(feeds);
  const ways = await waysOf(contest, workload, spec.classes, norms.total.data);
  const repeat = async (runs) => {
    for (let run = 0; run < runs; run++) await program.run(feeds);
  };
  ways.set(inNode, (runs) => tookOf(runs, repeat, ownProcessorTime));
  report(await timed(ways));
  await program.release();
}

function report(times) {
  const ours = times.get("pergrad");
  const inTurn = (above, below) => median(above.map(({ cpu }, round) => cpu / below[round].cpu)).toFixed(2);
  for (const [name, each] of times) {
    const [cpu, wall] = ["cpu", "wall"].map((kind) => median(each.map((took) => took[kind])).toFixed(2));
    const beside =
      name === inNode ? `; Chromium's is ${inTurn(ours, each)} times that` : `, ${inTurn(each, ours)} times`;
    console.log(
      `  ${name}: ${cpu} ms of the processor's time (the clock's: ${wall})${name === "pergrad" ? "" : beside}`,
    );
  }
}

const { values, positionals } = parseArgs({
  options: {
    samples: { type: "string" },
    limit: { type: "string", default: String(usualLimit) },
    "peers-folder": { type: "string", default: defaultFolder },
  },
  allowPositionals: true,
});
const samples = values.samples === undefined ? undefined : Number(values.samples);
if (samples !== undefined && !(Number.isInteger(samples) && samples > 0))
  throw new Error(`--samples must be a whole number above 0, not "${values.samples}".`);
const limit = Number(values.limit);
if (!(limit > 0)) throw new Error(`--limit is a number of seconds above 0, not "${values.limit}".`);
const chosen = (positionals.length > 0 ? positionals : ["mlp", "lstm"]).map((id) => {
  const found = workloads.find((spec) => spec.id === id);
  if (!found)
    throw new Error(`There is no workload "${id}"; there are ${workloads.map((spec) => spec.id).join(", ")}.`);
  return found;
});
const peersFolder = values["peers-folder"];
const peers = peersIn(peersFolder);
if (peers.length < 2) console.log(`Not every peer is in ${peersFolder}: \`npm run peers\` puts them there.`);
const folder = mkdtempSync(join(tmpdir(), "pergrad-bench-"));
await pageIn(folder, peersFolder, peers);
const server = await serve(folder, 0);
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
try {
  const processorTime = await processorTimeOf(browser);
  for (const spec of chosen) {
    const tabs = [];
    const open = async () => {
      const tab = await browser.newPage();
      tabs.push(tab);
      await tab.goto(`http://127.0.0.1:${server.address().port}/`);
      await tab.waitForFunction(() => globalThis.isReady === true, null, { timeout: 30_000 });
      return tab;
    };
    await compared({ folder, peers, limit, processorTime, open }, spec, samples);
    await Promise.race([Promise.all(tabs.map((tab) => tab.close())), new Promise((done) => setTimeout(done, 5000))]);
  }
} finally {
  await browser.close();
  server.close();
  rmSync(folder, { recursive: true, force: true });
}
