// Usage: bench.mjs [WORKLOAD ...]. Per-sample norms of the benchmark's workloads (default: mlp, lstm) in Chromium's
// WebAssembly beside Node's own runtime, on one thread each, in turns: medians of rounds, and their ratio.
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { makeWorkload, workloads } from "../../dist/bench/workloads.js";
import { perSample, saveModel, want } from "../../dist/src/index.js";
import { encodeSafetensors } from "../../dist/src/io/safetensors.js";
import { serve } from "../../inspector/build.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const rounds = 9;
const runs = 5;
/** The benchmark's models classify by cross entropy. */
const page = `
import { loadModel, losses, perSample, want } from "./src/index.ts";
import { decodeSafetensors } from "./src/io/safetensors.ts";
let program, feeds;
globalThis.prepare = async (id) => {
  const bytes = async (name) => new Uint8Array(await (await fetch(name)).arrayBuffer());
  const model = await loadModel(await bytes(id + ".onnx"));
  feeds = Object.fromEntries(decodeSafetensors(await bytes(id + ".safetensors"), id).tensors);
  await program?.release();
  program = await perSample(model, { loss: losses.crossEntropy(), want: { norms: want.norms() } });
  const { norms } = await program.run(feeds);
  return Array.from(norms.total.data);
};
globalThis.measure = async (runs) => {
  const began = performance.now();
  for (let run = 0; run < runs; run++) await program.run(feeds);
  return (performance.now() - began) / runs;
};
globalThis.isReady = true;
`;

async function pageIn(folder) {
  const { counterparts } = await import("../bundle.mjs");
  await build({
    stdin: { contents: page, resolveDir: root, sourcefile: "page.js" },
    bundle: true,
    format: "esm",
    platform: "browser",
    logLevel: "error",
    outfile: join(folder, "page.js"),
    plugins: [counterparts(["browser"])],
  });
  const wasm = "ort-wasm-simd-threaded.wasm";
  copyFileSync(join(root, "node_modules", "onnxruntime-web", "dist", wasm), join(folder, wasm));
  writeFileSync(join(folder, "index.html"), '<!doctype html><script type="module" src="page.js"></script>');
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

async function compared(tab, folder, spec) {
  const { id, name, model, data, loss } = makeWorkload(spec);
  const [input] = model.graph.inputs;
  const feeds = { [input.name]: data.x, target: data.target };
  await saveModel(model, join(folder, `${id}.onnx`));
  writeFileSync(join(folder, `${id}.safetensors`), encodeSafetensors(feeds));
  const program = await perSample(model, { loss, want: { norms: want.norms() }, threads: 1 });
  const { norms } = await program.run(feeds);
  const found = await tab.evaluate((given) => globalThis.prepare(given), id);
  const off = Math.max(...found.map((norm, n) => Math.abs(norm / norms.total.data[n] - 1)));
  const [inNode, inChromium] = [[], []];
  for (let round = 0; round < rounds; round++) {
    const began = performance.now();
    for (let run = 0; run < runs; run++) await program.run(feeds);
    inNode.push((performance.now() - began) / runs);
    inChromium.push(await tab.evaluate((given) => globalThis.measure(given), runs));
  }
  await program.release();
  const ratio = median(inChromium.map((each, k) => each / inNode[k]));
  console.log(
    `${name}, ${data.target.dims[0]} samples: Node ${median(inNode).toFixed(2)} ms, Chromium ${median(inChromium).toFixed(2)} ms, ${ratio.toFixed(2)} times; norms differ by at most ${off.toExponential(1)}`,
  );
}

const given = process.argv.slice(2);
const chosen = (given.length > 0 ? given : ["mlp", "lstm"]).map((id) => {
  const found = workloads.find((spec) => spec.id === id);
  if (!found)
    throw new Error(`There is no workload "${id}"; there are ${workloads.map((spec) => spec.id).join(", ")}.`);
  return found;
});
const folder = mkdtempSync(join(tmpdir(), "pergrad-bench-"));
await pageIn(folder);
const server = await serve(folder, 0);
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
try {
  const tab = await browser.newPage();
  await tab.goto(`http://127.0.0.1:${server.address().port}/`);
  await tab.waitForFunction(() => globalThis.isReady === true, null, { timeout: 30_000 });
  for (const spec of chosen) await compared(tab, folder, spec);
} finally {
  await browser.close();
  server.close();
  rmSync(folder, { recursive: true, force: true });
}
