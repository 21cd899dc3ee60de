/** A page loads the operators that few models use by themselves: each with all that it is made of, and none is forgotten. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import * as page from "../../src/ops/rare.browser.js";
import { rare, rareAtMicrosoft, rareInternal } from "../../src/ops/rare.js";
import { addOperators, allDefinitions, build, definitionOf } from "../../src/ops/registry.js";
import { want as wantOfPage } from "../../src/wants/want.browser.js";
import { want } from "../../src/wants/want.js";
import { loadedWants } from "../../src/wants/wanted.js";

const source = join(import.meta.dirname, "..", "..", "src");
const rareFamilies = [...Object.values(rare), ...Object.values(rareAtMicrosoft)];
const rareOps = new Set(rareFamilies.flat().map(({ op }) => op));

/** The file of each rare family. */
const fileOf = new Map(
  [...Object.entries(rare), ...Object.entries(rareAtMicrosoft)].flatMap(([name, definitions]) => {
    const folder = Object.values(rare).some((each) => each === definitions) ? "rules" : "microsoft";
    const file = join(source, "ops", folder, `${name === "scan" ? "scanning" : name}.ts`);
    return definitions.map(({ op }) => [`${folder} ${op}`, file] as const);
  }),
);

function codeOf(file: string): string {
  return readFileSync(file, "utf8").replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");
}

/** A file of operators with all files of operators that it imports. */
function withImports(file: string, found = new Set<string>()): Set<string> {
  if (found.has(file) || !/ops\/(rules|microsoft|subgraphs)\//.test(file)) return found;
  found.add(file);
  for (const [, path = ""] of codeOf(file).matchAll(/^(?:import|export) (?!type).*? from "(\.[^"]+)\.js";$/gms))
    withImports(resolve(dirname(file), `${path}.ts`), found);
  return found;
}

/** The rare operators of which code makes nodes. */
function made(code: string): string[] {
  return [...code.matchAll(/\b(?:op|node|onnx|pooled)\(\s*(?:\w+,\s*)?"([A-Z]\w+)"/g)].flatMap(([, op = ""]) =>
    rareOps.has(op) ? [op] : [],
  );
}

describe("a page", () => {
  it("can load every rare operator, as Node has it", async () => {
    const internal = rareInternal.map(({ op }) => op);
    // Erf is there, but not what its derivative is made of.
    expect([...page.rareOperators()].filter((op) => !rareOps.has(op) && !internal.includes(op)).sort()).toEqual([
      "Erf",
      "If",
      "Loop",
      "SequenceMap",
      "Upsample",
    ]);
    for (const definition of [...rareFamilies.flat(), ...rareInternal]) {
      const found = await page.rareDefinitions(new Set([definition.op]));
      const missing = `no group of rare.browser.ts both names ${definition.op} and loads its family`;
      expect(found.includes(definition), missing).toBe(true);
    }
    expect(await page.rareDefinitions(new Set(["MatMul"]))).toEqual([]);
  });

  it.each([...fileOf])("%s comes with the operators that it is made of", async (key, file) => {
    const loaded = new Set((await page.rareDefinitions(new Set([key.split(" ")[1] ?? ""]))).map(({ op }) => op));
    for (const each of withImports(file))
      for (const op of made(codeOf(each))) expect([...loaded], relative(source, each)).toContain(op);
    // A loop is made by a function.
    const loops = [...withImports(file)].some((each) =>
      /^import .*\bscan\b.*from "\.(\.\/rules)?\/scan\.js"/m.test(codeOf(each)),
    );
    if (loops) expect([...loaded]).toContain("Scan");
  });
});

it("what else makes nodes of rare operators brings them along", () => {
  const files = readdirSync(source, { recursive: true, encoding: "utf8" }).filter(
    (file) => file.endsWith(".ts") && !/^ops\/(rules|microsoft|subgraphs)\//.test(file),
  );
  const makers = files.filter((file) => made(codeOf(join(source, file))).length > 0);
  // A work-around makes what the model has, which was loaded with the model.
  const others = makers.filter((file) => !file.startsWith("target/"));
  // An Upsample of an old file loads Resize, which it becomes.
  expect(others.sort()).toEqual([
    "nn/dropout.ts",
    "nn/layers.ts",
    "nn/pooling.ts",
    "onnx/read/upgrades/resize.ts",
    // An Einsum, restated.
    "optimise/rewrite.ts",
    "privacy/batch-norm.ts",
    "trace/einsum.ts",
  ]);
  expect(page.rareOperators()).toContain("Upsample");
  const loopMakers = files.filter((file) => /^import .*\bscan\b.*rules\/scan\.js"/m.test(codeOf(join(source, file))));
  expect(loopMakers.sort()).toEqual(["autodiff/directions.ts", "onnx/read/loops/decode-scan.ts"]);
  for (const file of [
    "nn/activations.ts",
    "nn/dropout.ts",
    "nn/layers.ts",
    "nn/pooling.ts",
    "nn/norms.ts",
    "nn/recurrent.ts",
    "autodiff/directions.ts",
    "privacy/batch-norm.ts",
    "trace/einsum.ts",
  ])
    expect(codeOf(join(source, file)), file).toContain("addOperators(");
});

it("what is left of erf beside 1, and the slope of Gelu, come with all that may ask for them", async () => {
  for (const op of ["Erf", "Gelu", "FastGelu", "BiasGelu", "BiasSplitGelu", "Swish"]) {
    const loaded = (await page.rareDefinitions(new Set([op]))).map((each) => each.op);
    expect(loaded, op).toContain("OnePlusErf");
    expect(loaded, op).toContain("GeluSlope");
  }
});

it("pages load no work-arounds for operators that need none", async () => {
  const { seldomNeeded } = await import("../../src/target/onnxruntime/workarounds/seldom-needed.js");
  const { withoutAny } = await import("../../src/target/onnxruntime/workarounds/seldom.browser.js");
  const needing = seldomNeeded.flatMap(({ ops }) => ops.map((op) => op.replace("com.microsoft.", "")));
  expect(needing.filter((op) => withoutAny.has(op))).toEqual([]);
  for (const op of withoutAny) expect(page.rareOperators(), op).toContain(op);
});

it("the registry has each operator once", () => {
  const keys = allDefinitions.map(({ domain = "", op }) => `${domain}:${op}`);
  expect(new Set(keys).size).toBe(keys.length);
  for (const each of allDefinitions) expect(definitionOf({ domain: each.domain ?? "", op: each.op })).toBe(each);
  expect(build.lookup("", "NoSuchOperator")).toBeUndefined();
});

it("an operator that is loaded keeps its definition", () => {
  const known = definitionOf({ domain: "", op: "Relu" });
  if (!known) throw new Error("Relu is not known.");
  addOperators([known]);
  expect(() => addOperators([{ ...known }])).toThrow(expect.objectContaining({ code: "INTERNAL" }));
  expect(definitionOf({ domain: "", op: "Relu" })).toBe(known);
});

it("wants that a page loads later are Node's, once they are loaded", async () => {
  expect(Object.keys(wantOfPage)).toEqual(Object.keys(want));
  const given = { trace: wantOfPage.trace({ of: "ggn" }), dots: wantOfPage.gram(), norms: wantOfPage.norms() };
  const found = await loadedWants(given);
  expect([found.trace.name, found.dots.name, found.norms]).toEqual([
    want.trace({ of: "ggn" }).name,
    want.gram().name,
    given.norms,
  ]);
  expect(found.trace.later).toBeUndefined();
  expect(() => given.trace.read({}, 0)).toThrow(/before it is loaded/);
  await expect(loadedWants({ wrong: wantOfPage.trace({ of: "ggn", probes: 0 }) })).rejects.toMatchObject({
    code: "INVALID_ARGUMENT",
  });
});
