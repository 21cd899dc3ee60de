// Usage: webgpu.mjs. Compares `pergrad/webgpu` in Chromium on SwiftShader, a GPU that the CPU emulates, with Node's numbers,
// and compares what `explain` says is left to the CPU with the runtime's placement of nodes.
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import * as pergrad from "../../dist/src/index.js";
import { serve } from "../../inspector/build.mjs";
import { dataOf, models, wantsOf } from "./webgpu-models.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const root = join(here, "..", "..");
const flags = ["--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"];

async function pageIn(folder) {
  await build({
    entryPoints: {
      page: join(here, "webgpu-page.mjs"),
      "worker-thread": join(root, "dist", "webgpu", "worker-thread.js"),
    },
    bundle: true,
    format: "esm",
    platform: "browser",
    logLevel: "error",
    outdir: folder,
  });
  const wasm = "ort-wasm-simd-threaded.asyncify.wasm";
  copyFileSync(join(root, "node_modules", "onnxruntime-web", "dist", wasm), join(folder, wasm));
  writeFileSync(join(folder, "index.html"), '<!doctype html><script type="module" src="page.js"></script>');
}

async function inNode(id) {
  const model = models(pergrad)[id];
  const program = await pergrad.perSample(model, { loss: pergrad.losses.crossEntropy(), want: wantsOf(pergrad) });
  const { norms, gradients } = await program.run(dataOf(id));
  await program.release();
  return {
    norms: norms.total.data,
    ...Object.fromEntries(Object.entries(gradients).map(([k, { data }]) => [k, data])),
  };
}

/** The largest difference over all results, relative to the largest number. */
function difference(found, expected) {
  const names = Object.keys(expected);
  if (Object.keys(found).join() !== names.join()) return Number.POSITIVE_INFINITY;
  return Math.max(
    ...names.map((name) => {
      const largest = expected[name].reduce((most, y) => Math.max(most, Math.abs(y)), 1e-30);
      return expected[name].reduce((most, y, k) => Math.max(most, Math.abs(y - (found[name][k] ?? 1e30)) / largest), 0);
    }),
  );
}

function require(condition, what) {
  if (!condition) throw new Error(what);
}

/** @param tell is called with each test's name, and with its problem if it has one */
export async function testWebgpu(tell) {
  const folder = mkdtempSync(join(tmpdir(), "pergrad-webgpu-"));
  await pageIn(folder);
  const server = await serve(folder, 0);
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  const browser = await chromium.launch({ executablePath, args: flags });
  const attempt = async (name, action) => {
    try {
      await action();
      tell(`webgpu: ${name}`);
    } catch (error) {
      tell(`webgpu: ${name}`, error.message);
    }
  };
  try {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${server.address().port}/`);
    await page.waitForFunction(() => globalThis.pergradGpu !== undefined, null, { timeout: 30_000 });
    const expected = {};
    for (const id of Object.keys(models(pergrad))) {
      expected[id] = await inNode(id);
      await attempt(`${id}: Node's numbers, and explain tells what is on the CPU`, async () => {
        const { results, notes, cpu, placed } = await page.evaluate(
          (given) => globalThis.pergradGpu.ofModel(given),
          id,
        );
        const worst = difference(results, expected[id]);
        require(worst <= 2e-5, `they differ by ${worst}`);
        require(placed > 0, "the runtime does not say where it puts nodes");
        require(notes.join() === cpu.join(), `explain tells of "${notes}", the runtime has "${cpu}"`);
        require((id === "lstm") === cpu.includes("Scan"), `on the CPU are "${cpu}"`);
      });
    }
    await attempt("several programs at once", async () => {
      const ids = ["mlp", "cnn", "mlp"];
      const found = await page.evaluate((given) => globalThis.pergradGpu.together(given), ids);
      for (const [k, id] of ids.entries()) {
        const worst = difference(found[k], expected[id]);
        require(worst <= 2e-5, `${id} differs by ${worst}`);
      }
    });
    for (const id of ["mlp", "cnn"])
      await attempt(`${id} in workers`, async () => {
        const found = await page.evaluate((given) => globalThis.pergradGpu.inWorkers(given), id);
        for (const { results, stages, here: inPage } of found) {
          require(!inPage, "the page does the work itself");
          require(stages.at(-1) === "loaded", `it told of the stages ${stages}`);
          for (const each of results) {
            const worst = difference(each, expected[id]);
            require(worst <= 2e-5, `they differ by ${worst}`);
          }
        }
      });
    await attempt("workers end", async () => {
      for (let tried = 0; page.workers().length > 0 && tried < 50; tried++) await page.waitForTimeout(100);
      require(page.workers().length === 0, `${page.workers().length} are left`);
    });
    await attempt("half precision is refused, a batch of none is not", async () => {
      const { half, none } = await page.evaluate(() => globalThis.pergradGpu.refusals());
      require(/^RUNTIME: .*shader-f16/.test(half), half);
      require(none === 0, `${none} norms`);
    });
  } finally {
    await browser.close();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url))
  await testWebgpu((name, problem) => {
    console.log(`${problem ? "failed" : "passed"}: ${name}${problem ? ` (${problem})` : ""}`);
    if (problem) process.exitCode = 1;
  });
