// Prints the size of the bundle for browsers, zipped, without the runtime. It prints what a bundler makes of a page that
// reads a model and asks for norms (the code that it imports, which must load before the page can call anything, and this
// together with the code loaded by the time it has the norms of an MLP), and the size of everything, in one file.
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { zipped } from "./bundle.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = join(root, "dist", "browser");

async function packed(lines, splitting) {
  const { outputFiles, metafile } = await build({
    stdin: { contents: lines, resolveDir: folder },
    bundle: true,
    minify: true,
    splitting,
    format: "esm",
    platform: "browser",
    external: ["onnxruntime-web/*"],
    outdir: root,
    write: false,
    metafile: true,
    logLevel: "error",
  });
  const size = new Map(outputFiles.map(({ path, contents }) => [path, zipped(contents)]));
  return { outputs: metafile.outputs, sizeOf: (name) => size.get(resolve(name)) };
}

/** The bytes of these files and of all that they import, each zipped separately. */
function loaded({ outputs, sizeOf }, names) {
  const found = new Set();
  const load = (name) => {
    if (found.has(name) || !outputs[name]) return;
    found.add(name);
    for (const { path, kind } of outputs[name].imports) if (kind === "import-statement") load(path);
  };
  names.forEach(load);
  return [...found].reduce((sum, name) => sum + sizeOf(name), 0);
}

const kilobytes = (bytes) => `${(bytes / 1000).toFixed(1)} kB`;
const used = "loadModel, losses, perSample, want";
const page = await packed(`import { ${used} } from "./pergrad.js"; globalThis.page = [${used}];`, true);
const names = Object.keys(page.outputs);
const entry = names.find((name) => page.outputs[name].entryPoint === "<stdin>");
const work = names.find((name) => /\/work-[^/]*\.js$/.test(page.outputs[name].entryPoint ?? ""));
console.log(`a page that reads a model and asks for norms imports ${kilobytes(loaded(page, [entry]))}`);
console.log(`and has loaded, when the norms of an MLP are there, ${kilobytes(loaded(page, [entry, work]))}`);
const whole = await packed('export * from "./pergrad.js"', false);
console.log(`all of it, in one file: ${kilobytes(loaded(whole, Object.keys(whole.outputs)))}`);
