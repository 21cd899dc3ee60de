// Usage: test.mjs. Tests pergrad in Debian's Chromium (CHROMIUM names another): page.mjs, the example of docs/browser.md,
// and the benchmark's workloads against Node's numbers. No request may go to another server than the page's own.

import { spawn } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { basename, extname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { makeWorkload, workloads } from "../../dist/bench/workloads.js";
import { losses, nn, perSample, saveModel, want } from "../../dist/src/index.js";
import { encodeSafetensors } from "../../dist/src/io/safetensors.js";
import { pickSamples } from "../../dist/src/tensor/take-samples.js";

import { buildInspector, serve as serveInspector } from "../../inspector/build.mjs";
import { digitsIn, testInspector } from "./inspector.mjs";
import { testWebgpu } from "./webgpu.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const samples = 2;
const maxNorm = 0.5;
/** Limits for what a page that reads a model and asks for its norms loads, zipped, without the runtime, by workload. */
const mostKilobytes = { mlp: 150, "mnist-cnn": 169 };
const wants = { norms: want.norms(), gradients: want.gradients(), sum: want.clippedSum({ maxNorm }) };

/** Node's results for each workload; its model and data are written where the page finds them. */
async function workloadsIn(folder) {
  const found = [];
  for (const spec of workloads) {
    const { id, model, data, loss } = makeWorkload(spec, 4 * samples);
    mkdirSync(join(folder, id));
    await saveModel(model, join(folder, id, "model.onnx"));
    const [input] = model.graph.inputs;
    const program = await perSample(model, { loss, want: wants });
    const drawn = { [input.name]: data.x, target: data.target };
    const steady = await steadySamples(program, drawn, input.name);
    const feeds = Object.fromEntries(Object.entries(drawn).map(([name, each]) => [name, pickSamples(each, 0, steady)]));
    writeFileSync(join(folder, id, "data.safetensors"), encodeSafetensors(feeds));
    const results = await program.run(feeds);
    await program.release();
    writeFileSync(join(folder, id, "expected.safetensors"), encodeSafetensors(tensorsIn(results)));
    found.push(id);
  }
  return found;
}

/**
 * The first few samples whose gradients do not depend on rounding. If the input of a ReLU or a maximum is within rounding
 * of a tie, runtimes that add in another order may choose the other side, and gradients then differ by 1e-4 to 1e-1 of
 * the largest. Such samples can be found in Node: noise of 1e-6 moves their gradients by that much, and those of other
 * samples by 2e-6.
 */
async function steadySamples(program, drawn, name) {
  const { dims, dtype, data } = drawn[name];
  const moved = new Array(dims[0]).fill(0);
  if (dtype === "float32") {
    const { gradients } = await program.run(drawn);
    for (let round = 1; round <= 4; round++) {
      const noisy = data.map((x, k) => x + 1e-6 * Math.sin(round * (k + 1) ** 2));
      const others = await program.run({ ...drawn, [name]: { dtype, dims, data: noisy } });
      for (const [parameter, { data: own }] of Object.entries(gradients)) {
        const size = own.length / dims[0];
        const other = others.gradients[parameter].data;
        for (const n of moved.keys()) {
          const [from, to] = [n * size, (n + 1) * size];
          moved[n] = Math.max(moved[n], difference(other.subarray(from, to), own.subarray(from, to)));
        }
      }
    }
  }
  const steady = [...moved.keys()].filter((n) => moved[n] < 1e-4).slice(0, samples);
  if (steady.length < samples) throw new Error(`only ${steady.length} of ${dims[0]} samples are no ties`);
  return steady;
}

function tensorsIn({ norms, gradients, sum }) {
  const prefixed = (prefix, named) => Object.entries(named).map(([name, each]) => [`${prefix} ${name}`, each]);
  const all = [["norms", norms.total], ...prefixed("gradient", gradients), ...prefixed("sum", sum.parameters ?? sum)];
  return Object.fromEntries(all.filter(([, each]) => each?.data));
}

/** The largest difference, relative to the largest number. */
function difference(found, expected) {
  const largest = expected.reduce((most, y) => Math.max(most, Math.abs(y)), 1e-30);
  return expected.reduce((most, y, k) => Math.max(most, Math.abs(y - (found[k] ?? Number.NaN)) / largest), 0);
}

/** Counts the bytes of pergrad's scripts, zipped, that a page loads from now on. */
function counted(page, folder) {
  const scripts = new Set();
  page.on("request", (request) => {
    const name = basename(new URL(request.url()).pathname);
    if (name.endsWith(".js") && name !== "runtime.js") scripts.add(name);
  });
  return () =>
    [...scripts].reduce((sum, name) => sum + gzipSync(readFileSync(join(folder, name)), { level: 9 }).length, 0);
}

/** A page that does only this. */
const pageOfNorms = `
import { loadModel, losses, perSample, tensor, want } from "pergrad";
globalThis.normsOf = async (id, dims) => {
  const model = await loadModel(await fetch(\`/\${id}/model.onnx\`));
  const program = await perSample(model, { loss: losses.crossEntropy(), want: { norms: want.norms() } });
  const size = dims.reduce((product, dim) => product * dim, 1);
  const [{ name }] = model.graph.inputs;
  const { norms } = await program.run({
    [name]: tensor("float32", dims, new Float32Array(size).fill(0.5)),
    target: tensor("int64", [dims[0]], new BigInt64Array(dims[0])),
  });
  await program.release();
  return Array.from(norms.total.data);
};`;

/** The problems of what a fresh page loads to compute the norms of a workload's model. */
async function loadedForNorms(browser, address, folder, id, dims) {
  const page = await browser.newPage();
  try {
    const loaded = counted(page, folder);
    await page.goto(`${address}/norms.html`);
    await page.waitForFunction(() => globalThis.normsOf !== undefined, null, { timeout: 30_000 });
    const norms = await page.evaluate(([given, shape]) => globalThis.normsOf(given, shape), [id, dims]);
    const kilobytes = loaded() / 1000;
    console.log(`the norms of ${id}: ${kilobytes.toFixed(1)} kB of scripts, zipped, without the runtime`);
    if (norms.length !== dims[0] || !norms.every((norm) => norm > 0)) return `its norms are ${norms}`;
    return kilobytes > 100 && kilobytes <= mostKilobytes[id] ? undefined : `more than ${mostKilobytes[id]} kB`;
  } finally {
    await page.close();
  }
}

async function serve(folder) {
  const types = { ".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm" };
  const server = createServer(({ url }, response) => {
    const path = join(folder, new URL(url, "http://localhost").pathname);
    if (!existsSync(path)) response.writeHead(404).end();
    else
      response
        .writeHead(200, { "content-type": types[extname(path)] ?? "application/octet-stream" })
        .end(readFileSync(path));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

/** The page of docs/browser.md, exactly as it is there. */
function exampleIn(folder) {
  const text = readFileSync(join(root, "docs", "browser.md"), "utf8");
  const [, html, js] = [.../```html\n(.*?)```.*?```js\n(.*?)```/s.exec(text)];
  writeFileSync(join(folder, "example.html"), html.replace("page.js", "example.js"));
  return js;
}

async function pack(folder) {
  const example = exampleIn(folder);
  const contents = {
    page: readFileSync(join(root, "scripts", "browser", "page.mjs"), "utf8"),
    example,
    norms: pageOfNorms,
  };
  const common = { bundle: true, format: "esm", platform: "browser", logLevel: "error" };
  for (const [name, code] of Object.entries(contents)) {
    const own = {
      name: "own",
      setup({ onResolve, onLoad }) {
        onResolve({ filter: /^own$/ }, () => ({ path: name, namespace: "own" }));
        onLoad({ filter: /.*/, namespace: "own" }, () => ({ contents: code, resolveDir: root }));
        // The runtime's module is separate, and its size does not count.
        onResolve({ filter: /^onnxruntime-web\/wasm$/ }, () => ({ path: "./runtime.js", external: true }));
      },
    };
    await build({
      ...common,
      entryPoints: { [name]: "own" },
      splitting: true,
      minify: true,
      outdir: folder,
      plugins: [own],
    });
  }
  const runtime = { contents: 'export * from "onnxruntime-web/wasm"', resolveDir: root };
  await build({ ...common, stdin: runtime, minify: true, outfile: join(folder, "runtime.js") });
  const thread = join(root, "dist", "browser", "worker-thread.js");
  await build({ ...common, entryPoints: [thread], outdir: folder });
  const wasm = "ort-wasm-simd-threaded.wasm";
  copyFileSync(join(root, "node_modules", "onnxruntime-web", "dist", wasm), join(folder, wasm));
  for (const name of ["page", "norms"])
    writeFileSync(join(folder, `${name}.html`), `<!doctype html><script type="module" src="${name}.js"></script>`);
}

const failures = [];
const tell = (name, problem) => {
  console.log(`${problem ? "failed" : "passed"}: ${name}${problem ? ` (${problem})` : ""}`);
  if (problem) failures.push(name);
};

async function attempt(name, action) {
  try {
    tell(name, await action());
  } catch (error) {
    tell(name, error.message);
  }
}

async function runExample(page, address, folder) {
  const model = nn.model(nn.sequential(nn.linear(3, 2)), { seed: 1 });
  await saveModel(model, join(folder, "example.onnx"));
  const program = await perSample(model, { loss: losses.crossEntropy(), want: { norms: want.norms() } });
  const { norms } = await program.run({ x: new Float32Array(6).fill(1), target: [0, 1] });
  await program.release();
  await page.goto(`${address}/example.html`);
  await page.setInputFiles("#model", join(folder, "example.onnx"));
  await page.waitForFunction(() => document.querySelector("#norms").textContent !== "", null, { timeout: 30_000 });
  const shown = (await page.textContent("#norms")).split("\n").map(Number);
  const worst = difference(shown, Array.from(norms.total.data));
  return worst < 1e-5 ? undefined : `the page shows ${shown}`;
}

const firefox = process.env.FIREFOX ?? "/usr/bin/firefox-esr";

/** The same in Firefox, in a process of its own that controls it. */
async function inFirefox(task) {
  const page = await serveInspector(await buildInspector(join(task.folder, "inspector")), 0);
  try {
    await digitsIn(task.folder);
    const digits = ["digits.onnx", "digits.safetensors"].map((name) => join(task.folder, name));
    const given = JSON.stringify({ ...task, digits, inspector: `http://127.0.0.1:${page.address().port}` });
    const script = join(root, "scripts", "browser", "test-firefox.mjs");
    const child = spawn(process.execPath, ["--experimental-websocket", script, firefox, given], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    for await (const line of createInterface({ input: child.stdout })) {
      console.log(line);
      if (line.startsWith("failed: ")) failures.push(line);
    }
    const code = child.exitCode ?? (await new Promise((resolve) => child.once("exit", resolve)));
    if (code !== 0) tell("firefox", `its test ended with ${code}`);
  } finally {
    page.close();
  }
}

const folder = mkdtempSync(join(tmpdir(), "pergrad-browser-"));
const models = await workloadsIn(folder);
await pack(folder);
const server = await serve(folder);
const address = `http://127.0.0.1:${server.address().port}`;
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
try {
  const page = await browser.newPage();
  const outside = [];
  page.context().on("request", (request) => {
    if (!/^(blob|data):/.test(request.url()) && !request.url().startsWith(`${address}/`)) outside.push(request.url());
  });
  page.on("pageerror", (error) => tell("no error of the page", error.message));
  await page.goto(`${address}/page.html`);
  await page.waitForFunction(() => globalThis.pergradTest !== undefined, null, { timeout: 30_000 });
  await attempt("numbers, half precision, streams, training, private training", async () => {
    await page.evaluate(() => globalThis.pergradTest.smoke());
  });
  await attempt("Web Workers", async () => {
    await page.evaluate(() => globalThis.pergradTest.inWorkers());
  });
  await attempt("a worker compiles what the page does", async () => {
    await page.evaluate(() => globalThis.pergradTest.compiledInWorkers());
  });
  await attempt("the page stays free while a worker compiles", async () => {
    console.log(await page.evaluate(() => globalThis.pergradTest.pageStaysFree()));
  });
  await attempt("a signal ends a compile at once", async () => {
    await page.evaluate(() => globalThis.pergradTest.abortedCompiles());
  });
  await attempt("a compile tells of its stages", async () => {
    await page.evaluate(() => globalThis.pergradTest.toldStages());
  });
  for (const id of ["mlp", "mnist-cnn"].filter((each) => models.includes(each)))
    await attempt(`a worker reads what the page does: ${id}`, async () => {
      await page.evaluate((given) => globalThis.pergradTest.readInWorkers(given), id);
    });
  await attempt("without Web Workers the page does the work", async () => {
    await page.evaluate(() => globalThis.pergradTest.withoutWorkers());
  });
  await attempt("workers end with what they compiled", async () => {
    for (let tried = 0; page.workers().length > 0 && tried < 50; tried++) await page.waitForTimeout(100);
    return page.workers().length > 0 ? `${page.workers().length} are left` : undefined;
  });
  for (const id of models) {
    await attempt(`${id}: Node's numbers`, async () => {
      const { worst, compared } = await page.evaluate((given) => globalThis.pergradTest.ofModel(given), {
        id,
        maxNorm,
      });
      if (compared < 4) return `only ${compared} results were compared`;
      return worst <= 1e-5 ? undefined : `they differ by ${worst}`;
    });
  }
  await attempt("the example of docs/browser.md", () => runExample(page, address, folder));
  await attempt("what a page loads for norms", async () => {
    const workloadShapes = { mlp: [2, 784], "mnist-cnn": [2, 1, 28, 28] };
    for (const [id, dims] of Object.entries(workloadShapes)) {
      const problem = await loadedForNorms(browser, address, folder, id, dims);
      if (problem) return `${id}: ${problem}`;
    }
  });
  tell("no request leaves loopback", outside.join(" "));
  await testInspector(browser, tell);
  await testWebgpu(tell);
  if (existsSync(firefox)) await inFirefox({ address, folder, models, maxNorm });
  else console.log(`skipped: Firefox (there is no ${firefox}; apt-get install firefox-esr, or FIREFOX names another)`);
} finally {
  await browser.close();
  server.close();
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = failures.length > 0 ? 1 : 0;
