// Packs pergrad for Node into dist/node, for browsers into dist/browser, for their GPUs into dist/webgpu, and for
// WebAssembly in Node into dist/wasm: from the sources, with every file that has a counterpart for that place (`x.browser.ts` beside `x.ts`) taken in its stead.
// In Node a file costs about a millisecond to import, and there are hundreds: packed, `import "pergrad"` takes a quarter
// of the time. The runtime stays outside everywhere.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const source = join(root, "src");

/** @param places the best first */
export function counterparts(places) {
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

/** What stdlib brings for engines older than all that pergrad runs on: arrays of numbers, properties, byte order. */
const present = new Map([
  ...["Float64", "Uint32", "Uint16", "Uint8"].map((name) => [
    `@stdlib/array-${name.toLowerCase()}`,
    `module.exports = ${name}Array`,
  ]),
  ["@stdlib/assert-is-little-endian", "module.exports = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1"],
  [
    "@stdlib/utils-define-nonenumerable-read-only-property",
    "module.exports = (object, name, value) => void Object.defineProperty(object, name, { value })",
  ],
]);

export const withoutOldEngines = {
  name: "without old engines",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^@stdlib\// }, ({ path }) => (present.has(path) ? { path, namespace: "present" } : undefined));
    onLoad({ filter: /.*/, namespace: "present" }, ({ path }) => ({ contents: present.get(path) }));
  },
};

/** What nearly every page uses: one module, `pergrad.js`. */
const core = [
  "errors",
  "graph/with-parameters",
  "nn/losses",
  "onnx/write/save",
  "ops/registry",
  "program/expressions",
  "program/load-model",
  "program/open-program",
  "program/per-sample",
  "target/onnxruntime/workers",
  "tensor/float16",
  "tensor/tensor",
  "trace/index",
  "trace/model",
  "wants/want",
];
/** What `pergrad` exports as one object: each is a module of its own, which a page that does not use it does without. */
const objects = { attribution: "attribution/index", nn: "nn/index", privacy: "privacy/index" };

/** What `pergrad` exports, by the module that it comes from: `core`, or `others`, which pages may do without. */
const exported = [
  ...readFileSync(join(source, "index.ts"), "utf8").matchAll(/^export \{([^}]*)\} from "\.\/(.+)\.js";$/gm),
].map(([statement, names, path]) => ({
  statement,
  names: names.split(",").flatMap((name) => (/^\s*(type\s|$)/.test(name) ? [] : [name.trim()])),
  module: core.includes(path) ? "core" : "others",
}));

/** What of a page's modules loads others when they are needed: what most models and wants do without. */
const loading = ["onnx/read/special-decoders.browser.ts", "ops/rare.browser.ts", "wants/want.browser.ts"];

/**
 * Elsewhere what Node loads later is imported at once: a page that uses none of it does without in any case, and every
 * module that is loaded later cuts those that it shares with others into pieces, which a page loads one by one.
 */
const atOnce = {
  name: "at once",
  setup({ onLoad }) {
    onLoad({ filter: /\/src\/.*\.ts$/ }, ({ path }) => {
      const own = relative(source, path).replaceAll("\\", "/");
      if (own.startsWith("..") || loading.includes(own)) return undefined;
      const imports = [];
      const contents = readFileSync(path, "utf8").replaceAll(/\bimport\((\s*"\.[^"]+"\s*)\)/g, (_, name) => {
        imports.push(`import * as later${imports.length} from ${name.trim()};`);
        return `Promise.resolve(later${imports.length - 1})`;
      });
      return imports.length > 0 ? { contents: `${contents}\n${imports.join("\n")}`, loader: "ts" } : undefined;
    });
  },
};

/** The modules `core` and `others`. */
const apart = {
  name: "apart",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(core|others)$/ }, ({ path }) => ({ path, namespace: "apart", sideEffects: false }));
    onLoad({ filter: /.*/, namespace: "apart" }, ({ path }) => ({
      contents: exported.flatMap(({ module, statement }) => (module === path ? [statement] : [])).join("\n"),
      loader: "ts",
      resolveDir: source,
    }));
  },
};

/**
 * What pages import. It holds nothing itself: of a module that does, esbuild puts all that the module passes on into what
 * a page loads at once, used or not.
 */
const entry = [
  ...["core", "others"].map((path) => {
    const names = exported.flatMap(({ module, names: own }) => (module === path ? own : []));
    return `export { ${names.join(", ")} } from "./${path}.js";`;
  }),
  ...Object.keys(objects).map((name) => `export * as ${name} from "./${name}.js";`),
  "",
].join("\n");

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

/** Throws where a module that browsers load needs Node. */
export async function checkForBrowsers() {
  await build({
    ...common,
    platform: "browser",
    external: ["onnxruntime-web/*"],
    entryPoints: [join(source, "index.ts")],
    outdir: root,
    write: false,
    logLevel: "silent",
    plugins: [counterparts(["browser"])],
  });
}

const thread = join(source, "target", "onnxruntime", "worker-thread.ts");
/** What a Web Worker runs: all that compiles, in one file, as Vite has it for workers. */
const webThread = join(source, "program", "worker-thread.browser.ts");

/** What Node finds itself: the runtimes, and what only the command line uses. */
const outside = [
  "onnxruntime-node",
  "onnxruntime-web",
  "commander",
  "cli-progress",
  // Readers of tables and pictures, which users install where they need them.
  "apache-arrow",
  "csv-parse",
  "hyparquet",
  "hyparquet-compressors",
  "hyparquet-writer",
  "sharp",
];

/** @param folder is made where it is missing: the `dist` that is being built */
export async function bundle(folder) {
  const browser = (places, out) =>
    build({
      ...common,
      platform: "browser",
      external: ["onnxruntime-web/*"],
      minify: true,
      entryPoints: {
        core: "core",
        others: "others",
        ...Object.fromEntries(Object.entries(objects).map(([name, path]) => [name, join(source, `${path}.ts`)])),
      },
      outdir: join(folder, out),
      plugins: [apart, counterparts(places), withoutOldEngines, atOnce],
    });
  const worker = (places, out) =>
    build({
      ...common,
      splitting: false,
      platform: "browser",
      external: ["onnxruntime-web/*"],
      minify: true,
      entryPoints: { "worker-thread": webThread },
      outdir: join(folder, out),
      plugins: [counterparts(places), withoutOldEngines, atOnce],
    });
  const node = (places, out, entries) =>
    build({
      ...common,
      platform: "node",
      external: outside.flatMap((name) => [name, `${name}/*`]),
      entryPoints: {
        pergrad: join(source, "index.ts"),
        "worker-thread": thread,
        "reference-thread": join(source, "check", "reference-thread.ts"),
        ...entries,
      },
      outdir: join(folder, out),
      plugins: [counterparts(places)],
    });
  // The scripts of reports and of a training's page, with ECharts in them: what a page needs stands in the page.
  const page = build({
    bundle: true,
    format: "iife",
    target: "es2022",
    platform: "browser",
    minify: true,
    legalComments: "inline",
    logLevel: "warning",
    entryPoints: {
      client: join(source, "report", "client", "main.mjs"),
      training: join(source, "report", "client", "training.mjs"),
    },
    outdir: join(folder, "report"),
  });
  const [wasm] = await Promise.all([
    browser(["browser"], "browser"),
    browser(["webgpu", "browser"], "webgpu"),
    worker(["browser"], "browser"),
    worker(["webgpu", "browser"], "webgpu"),
    node([], "node", { cli: join(source, "cli", "main.ts") }),
    node(["wasm"], "wasm", {}),
    page,
  ]);
  for (const out of ["browser", "webgpu"]) writeFileSync(join(folder, out, "pergrad.js"), entry);
  return wasm.metafile;
}

/** Bytes, zipped, of the files in `names`. */
export const zipped = (contents) => gzipSync(contents, { level: 9 }).length;

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url))
  await bundle(resolve(process.argv[2]));
