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
  "inspect/print-graph",
  "nn/losses",
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
/** Functions that are modules of their own, for what they bring along. */
const alone = { einsum: "trace/einsum" };

/** What `pergrad` exports, by the module that it comes from: `core`, one of `alone`, or `others`, which pages may do without. */
const exported = [
  ...readFileSync(join(source, "index.ts"), "utf8").matchAll(/^export \{([^}]*)\} from "\.\/(.+)\.js";$/gm),
].map(([statement, names, path]) => ({
  statement,
  names: names.split(",").flatMap((name) => (/^\s*(type\s|$)/.test(name) ? [] : [name.trim()])),
  module: core.includes(path) ? "core" : (Object.keys(alone).find((name) => alone[name] === path) ?? "others"),
}));
const modules = ["core", ...Object.keys(alone), "others"];

/**
 * What a page loads when it is needed, by the names that these parts get: `work` with the first model that is read or
 * compiled, and what most models and wants do without. In Node each of their modules is loaded by itself.
 */
const later = {
  work: ["onnx/read/model-of", "program/program", "target/default"],
  "another-batch": ["program/others"],
  "saved-program": ["program/saved-program"],
  expressions: ["program/compiled"],
  modules: ["nn/model"],
  "other-files": ["onnx/read/external-given"],
  "older-opsets": ["onnx/read/upgrades/older"],
  datasets: ["program/dataset", "program/stream"],
  "seldom-read": ["onnx/read/seldom-needed"],
  "seldom-run": ["target/onnxruntime/workarounds/seldom-needed"],
  "rare-language": ["ops/rare-language"],
  "rare-fused": ["ops/microsoft/linear"],
  "rare-layers": ["ops/rare-layers"],
  "rare-loops": ["ops/rare-loops"],
  "rare-others": ["ops/rare-others"],
  "rare-activations": ["ops/rare-activations"],
  "rare-einsum": ["ops/rules/einsum"],
  "rare-nodes": ["onnx/read/rare-nodes-needed"],
  convolution: ["ops/rules/convolution", "gradients/convolution", "target/onnxruntime/workarounds/convolutions"],
  pooling: ["ops/rules/pooling"],
  "pool-workarounds": ["target/onnxruntime/workarounds/pool-workarounds"],
  threads: [
    "compile/task",
    "program/read-elsewhere",
    "target/onnxruntime/own-threads",
    "target/onnxruntime/web-threads",
  ],
  wants: ["wants/later"],
};

/** The parts that a page imports, and those that it loads later; each is what its modules export, put together. */
const parts = Object.fromEntries([
  ...modules.map((name) => [name, exported.flatMap(({ module, statement }) => (module === name ? [statement] : []))]),
  ...[...Object.entries(objects).map(([name, path]) => [name, [path]]), ...Object.entries(later)].map(
    ([name, paths]) => [name, paths.map((path) => `export * from "./${path}.js";`)],
  ),
]);

const laterPartOf = new Map(
  Object.entries(later).flatMap(([part, paths]) => paths.map((path) => [join(source, path), part])),
);

/** What is shared by all parts, from a part's view. */
const sharedBy = (part) => (part === "core" ? [] : ["core", "work"].filter((shared) => shared !== part));

/**
 * Every part has imports of `core` and `work`, which it does not use: so all that these two hold is shared by all parts, and stays
 * together. Without them esbuild cuts what several parts share into a piece for each set of parts that do, and a page
 * loads dozens.
 */
const inParts = {
  name: "in parts",
  setup({ onResolve, onLoad }) {
    const filter = new RegExp(`^part:(${Object.keys(parts).join("|")})$`);
    onResolve({ filter }, ({ path }) => ({ path: path.slice(5), namespace: "part", sideEffects: false }));
    onLoad({ filter: /.*/, namespace: "part" }, ({ path }) => ({
      contents: [...parts[path], ...sharedBy(path).map((shared) => `import "part:${shared}";`)].join("\n"),
      loader: "ts",
      resolveDir: source,
    }));
  },
};

/** What Node loads later a page loads with the part in which it is, or at once: a page that uses none of it does without in any case. */
const laterInParts = {
  name: "later in parts",
  setup({ onLoad }) {
    onLoad({ filter: /\/src\/.*\.ts$/ }, ({ path }) => {
      if (relative(source, path).startsWith("..")) return undefined;
      const imports = [];
      const contents = readFileSync(path, "utf8").replaceAll(/\bimport\(\s*"(\.[^"]+)\.js"\s*\)/g, (_, name) => {
        const part = laterPartOf.get(resolve(dirname(path), name));
        if (part) return `import("part:${part}")`;
        imports.push(`import * as later${imports.length} from "${name}.js";`);
        return `Promise.resolve(later${imports.length - 1})`;
      });
      return { contents: [contents, ...imports].join("\n"), loader: "ts" };
    });
  },
};

/**
 * What pages import. It holds nothing itself: of a module that does, esbuild puts all that the module passes on into what
 * a page loads at once, used or not.
 */
const entry = [
  ...modules.map((path) => {
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
  logOverride: { "ignored-bare-import": "silent" },
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
      entryPoints: Object.fromEntries([...modules, ...Object.keys(objects)].map((name) => [name, `part:${name}`])),
      outdir: join(folder, out),
      plugins: [inParts, counterparts(places), withoutOldEngines, laterInParts],
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
      plugins: [inParts, counterparts(places), withoutOldEngines, laterInParts],
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
