/** What each folder of src may import, as ARCHITECTURE.md draws it: data flows one way, and no file imports itself in a circle. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { describe, expect, it } from "vitest";

const root = join(import.meta.dirname, "../../src");

/** From the bottom to the top: a folder imports from those above it in this list, and from itself. */
const layers: readonly string[] = [
  "sentence.ts",
  "errors.ts",
  "present.ts",
  "grouped.ts",
  "meant.ts",
  "missing.ts",
  "arguments.ts",
  "tensor",
  "graph",
  "float64",
  "ops",
  "ops/subgraphs",
  "ops/rules",
  "ops/microsoft",
  "ops/rare-activations.ts",
  "ops/rare-language.ts",
  "ops/rare-layers.ts",
  "ops/rare-loops.ts",
  "ops/rare-others.ts",
  "ops/rare.ts",
  "ops/rare.browser.ts",
  "ops/registry.ts",
  "interpret",
  "analysis",
  "trace",
  "nn",
  "gradients",
  "autodiff",
  "io",
  "onnx",
  "onnx/read",
  "onnx/write",
  "plan",
  "curvature",
  "optimise",
  "lower",
  "target",
  "wants",
  "inspect",
  "compile",
  "target/onnxruntime",
  "target/interpreter",
  "target/webgpu",
  "target/default.ts",
  "target/default.webgpu.ts",
  "program",
  "solvers",
  "attribution",
  "check",
  "privacy",
  "cluster",
  "train",
  "cleaning",
  "report",
  "data",
  "cli",
  "index.ts",
];

/** Imports that a layer must do without, though they lie below it. */
const walls: readonly (readonly [from: string, to: string, why: string])[] = [
  ["target/onnxruntime", "compile", "a target schedules any graph, whatever it was compiled from"],
  ["onnx/read", "gradients", "reading a file is done before anything is differentiated"],
  ["interpret", "target", "the reference must not share a kernel with what it checks"],
];

function filesOf(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));
}

function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), "utf8");
  const found = text.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)\.js"/g);
  return [...found].map(([, path = ""]) => `${normalize(join(dirname(file), path))}.ts`);
}

/** The longest entry that a file lies under. */
function layerOf(file: string): string {
  const under = layers.filter((layer) => file === layer || file.startsWith(`${layer}/`));
  return under.reduce((longest, layer) => (layer.length > longest.length ? layer : longest), "");
}

const files = filesOf(root);
const imports = new Map(files.map((file) => [file, importsOf(file)]));

describe("the folders of src", () => {
  it("are all in the list", () => {
    expect(files.filter((file) => layerOf(file) === "")).toEqual([]);
    expect(layers.filter((layer) => !files.some((file) => layerOf(file) === layer))).toEqual([]);
  });

  it("import from below alone", () => {
    const place = (file: string) => layers.indexOf(layerOf(file));
    const upward = [...imports].flatMap(([file, found]) =>
      found.filter((other) => place(other) > place(file)).map((other) => `${file} imports ${other}`),
    );
    expect(upward).toEqual([]);
  });

  it.each(walls)("%s does not import %s: %s", (from, to) => {
    const crossing = [...imports].flatMap(([file, found]) =>
      layerOf(file) === from ? found.filter((other) => layerOf(other) === to).map((other) => `${file}: ${other}`) : [],
    );
    expect(crossing).toEqual([]);
  });

  it("import no runtime but in its target", () => {
    const outside = files.filter((file) => /from "onnxruntime/.test(readFileSync(join(root, file), "utf8")));
    expect(outside.filter((file) => !file.startsWith("target/"))).toEqual([]);
  });
});

it("no file imports itself in a circle", () => {
  const done = new Set<string>();
  const circles: string[] = [];
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(" > "));
    if (done.has(file) || path.includes(file)) return;
    for (const other of imports.get(file) ?? []) visit(other, [...path, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
  expect(circles).toEqual([]);
});

/** All files that come with one: those that it imports as values, when it is loaded. */
function loadedWith(entry: string): ReadonlySet<string> {
  const found = new Set<string>();
  const visit = (file: string): void => {
    if (found.has(file)) return;
    found.add(file);
    const text = readFileSync(join(root, file), "utf8");
    const values = text.matchAll(/^(?:import|export) (?!type )(?:[^;]*? from )?"(\.[^"]+)\.js";/gm);
    for (const [, path = ""] of values) visit(`${normalize(join(dirname(file), path))}.ts`);
  };
  visit(entry);
  return found;
}

/** Files that take long to load, or bring a package that does: loaded when they are first used. */
const late: readonly string[] = [
  "attribution/store/stored-index.ts",
  "check/checked.ts",
  "cluster/ray/map.ts",
  "cluster/ray/training.ts",
  "compile/compile.ts",
  "io/atomic.ts",
  "onnx/proto.ts",
  "onnx/read/model-file.ts",
  "onnx/write/encode.ts",
  "optimise/simplify.ts",
  "plan/planner.ts",
  "program/program.ts",
  "target/onnxruntime/index.ts",
  "train/run-folder.ts",
];

describe("what is loaded with", () => {
  it("the package is not all of it", () => {
    const loaded = loadedWith("index.ts");
    expect(late.filter((file) => !files.includes(file))).toEqual([]);
    expect(late.filter((file) => loaded.has(file))).toEqual([]);
    // What is exported as a value is there at once.
    expect([...loaded]).toEqual(expect.arrayContaining(["nn/layers.ts", "ops/registry.ts", "train/trainer.ts"]));
  });
});
