// Prints the size of the bundle for browsers, zipped, without the runtime: of what a page loads that reads a model and
// compiles a program, of what trains, and of all.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { zipped } from "./bundle.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = join(root, "dist", "browser");

/** The files that a module loads at once. */
function loadedWith(file, found = new Set()) {
  if (found.has(file)) return found;
  found.add(file);
  for (const [, other] of readFileSync(join(folder, file), "utf8").matchAll(/(?:from|import)\s*"\.\/([^"]+)"/g))
    loadedWith(other, found);
  return found;
}

/** What a bundler makes of a page with these lines. */
async function pageOf(lines) {
  const { outputFiles } = await build({
    stdin: { contents: lines, resolveDir: folder },
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    external: ["onnxruntime-web/*"],
    write: false,
    logLevel: "error",
  });
  return zipped(outputFiles[0].contents);
}

const kilobytes = (bytes) => `${(bytes / 1000).toFixed(1)} kB`;
const start = [...loadedWith("pergrad.js")].reduce((sum, file) => sum + zipped(readFileSync(join(folder, file))), 0);
console.log(`loaded with the package: ${kilobytes(start)}`);
console.log(`all of it, in one file: ${kilobytes(await pageOf('export * from "./pergrad.js"'))}`);
