// Packs pergrad for browsers into dist/browser, and for WebAssembly in Node into dist/wasm: from the sources, with every
// file that has a counterpart for that place (`x.browser.ts` beside `x.ts`) taken in its stead. The runtime and, in
// Node, all packages stay outside.
import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const source = join(root, "src");

/** @param places the best first */
function counterparts(places) {
  return {
    name: "counterparts",
    setup({ onResolve }) {
      onResolve({ filter: /^\.{1,2}\/.*\.js$/ }, ({ path, resolveDir }) => {
        const stem = resolve(resolveDir, path).replace(/\.js$/, "");
        const found = places.map((place) => `${stem}.${place}.ts`).find((file) => existsSync(file));
        return found && dirname(found).startsWith(source) ? { path: found } : undefined;
      });
    },
  };
}

const common = {
  bundle: true,
  format: "esm",
  target: "es2022",
  splitting: true,
  sourcemap: true,
  sourcesContent: true,
  legalComments: "linked",
  chunkNames: "[name]-[hash]",
  logLevel: "warning",
  metafile: true,
};

const thread = join(source, "target", "onnxruntime", "worker-thread");

/** @param folder is made where it is missing: the `dist` that is being built */
export async function bundle(folder) {
  const browser = (places, out) =>
    build({
      ...common,
      platform: "browser",
      external: ["onnxruntime-web/*"],
      minify: true,
      entryPoints: { pergrad: join(source, "index.ts"), "worker-thread": `${thread}.browser.ts` },
      outdir: join(folder, out),
      plugins: [counterparts(places)],
    });
  const node = build({
    ...common,
    platform: "node",
    packages: "external",
    entryPoints: { pergrad: join(source, "index.ts"), "worker-thread": `${thread}.ts` },
    outdir: join(folder, "wasm"),
    plugins: [counterparts(["wasm"])],
  });
  const [wasm] = await Promise.all([browser(["browser"], "browser"), node]);
  return wasm.metafile;
}

/** Bytes, zipped, of the files in `names`. */
export const zipped = (contents) => gzipSync(contents, { level: 9 }).length;

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url))
  await bundle(resolve(process.argv[2]));
