// Packs pergrad for Node into dist/node, for browsers into dist/browser, for their GPUs into dist/webgpu, and for
// WebAssembly in Node into dist/wasm. If a source file has a counterpart for the target (`x.browser.ts` beside `x.ts`), the
// counterpart replaces it. In Node, importing a file costs about a millisecond, and there are hundreds: packed, `import
// "pergrad"` takes a quarter of the time. The runtime is never packed.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const source = join(root, "src");

/** @param places the preferred one first */
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

/** stdlib's parts for engines older than those that pergrad runs on: arrays of numbers, properties, byte order. */
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

/** The modules that nearly every page uses: they become one module, `pergrad.js`. */
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
/** Objects that `pergrad` exports: each is a module of its own, which is not loaded by a page that does not use it. */
const objects = { attribution: "attribution/index", nn: "nn/index", privacy: "privacy/index" };
/** Functions that are modules of their own, because of the code that they load. */
const alone = { einsum: "trace/einsum" };

/** The exports of `pergrad`, by the module that holds them: `core`, one of `alone`, or `others`, which many pages do not load. */
const exported = [
  ...readFileSync(join(source, "index.ts"), "utf8").matchAll(/^export \{([^}]*)\} from "\.\/(.+)\.js";$/gm),
].map(([statement, names, path]) => ({
  statement,
  names: names.split(",").flatMap((name) => (/^\s*(type\s|$)/.test(name) ? [] : [name.trim()])),
  module: core.includes(path) ? "core" : (Object.keys(alone).find((name) => alone[name] === path) ?? "others"),
}));
const modules = ["core", ...Object.keys(alone), "others"];

/**
 * The code that a page loads when it is needed, by the names of these parts: `work` is loaded with the first model that is
 * read or compiled; the other parts are not needed by most models and wants. In Node each module is loaded separately.
 */
const later = {
  work: ["onnx/read/model-of", "program/program", "target/default"],
  "another-batch": ["program/others"],
  "not-finite": ["program/describe-not-finite"],
  "saved-program": ["program/saved-program"],
  expressions: ["program/compiled"],
  modules: ["nn/model"],
  "other-files": ["onnx/read/external-given"],
  "older-opsets": ["onnx/read/upgrades/older"],
  datasets: ["program/dataset", "program/stream", "program/joined"],
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
  convolution: [
    "ops/rules/convolution",
    "gradients/convolution",
    "optimise/unread",
    "target/onnxruntime/workarounds/convolutions",
  ],
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

/** The parts that a page imports, and those that it loads later; each consists of the exports of its modules. */
const parts = Object.fromEntries([
  ...modules.map((name) => [name, exported.flatMap(({ module, statement }) => (module === name ? [statement] : []))]),
  ...[...Object.entries(objects).map(([name, path]) => [name, [path]]), ...Object.entries(later)].map(
    ([name, paths]) => [name, paths.map((path) => `export * from "./${path}.js";`)],
  ),
]);

const laterPartOf = new Map(
  Object.entries(later).flatMap(([part, paths]) => paths.map((path) => [join(source, path), part])),
);

/** The parts whose code all parts share, as imported by one part. */
const sharedBy = (part) => (part === "core" ? [] : ["core", "work"].filter((shared) => shared !== part));

/**
 * Every part imports `core` and `work` without using them. All code in these two is then shared by all parts and stays
 * together. Otherwise esbuild would cut the code that several parts share into one piece for each set of parts that share
 * it, and a page would load dozens.
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

/** In a page, modules that Node loads later are loaded with their part, or at once: a page without that part never loads them. */
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
 * The module that pages import. It defines nothing itself: if a module does, esbuild puts everything that the module
 * re-exports into the code that a page loads at once, used or not.
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

/** Throws if a module that browsers load needs Node. */
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
/** The code of a Web Worker: everything that compiles, in one file, because Vite packs workers that way. */
const webThread = join(source, "program", "worker-thread.browser.ts");

/** Packages that Node finds itself: the runtimes, and those that only the command line uses. */
const outside = [
  "onnxruntime-node",
  "onnxruntime-web",
  "commander",
  "cli-progress",
  // Readers of tables and pictures, which users install if they need them.
  "apache-arrow",
  "csv-parse",
  "hyparquet",
  "hyparquet-compressors",
  "hyparquet-writer",
  "sharp",
];

/** @param folder is created if it is missing: the `dist` that is being built */
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
  // The scripts of reports and of a training's page, including ECharts: a page contains all that it needs.
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
