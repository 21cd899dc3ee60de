// Prints the size of the bundle for browsers, zipped, without the runtime: of what a bundler makes of a page that reads a
// model and asks for norms, and of all, in one file.
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { zipped } from "./bundle.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = join(root, "dist", "browser");

/** The bytes that a page with these lines loads at once; what is loaded when a model needs it comes later. */
async function pageOf(lines, splitting) {
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
  const loaded = new Set();
  const load = (name) => {
    if (loaded.has(name) || !metafile.outputs[name]) return;
    loaded.add(name);
    for (const { path, kind } of metafile.outputs[name].imports) if (kind === "import-statement") load(path);
  };
  load(Object.keys(metafile.outputs).find((name) => metafile.outputs[name].entryPoint));
  return [...loaded].reduce((sum, name) => sum + size.get(join(process.cwd(), name)), 0);
}

const kilobytes = (bytes) => `${(bytes / 1000).toFixed(1)} kB`;
const used = "loadModel, losses, perSample, want";
const page = `import { ${used} } from "./pergrad.js"; globalThis.page = [${used}];`;
console.log(`a page that reads a model and asks for norms: ${kilobytes(await pageOf(page, true))}`);
console.log(`all of it, in one file: ${kilobytes(await pageOf('export * from "./pergrad.js"', false))}`);
