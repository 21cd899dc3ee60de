/** What is known of an operator stands in its definition: no table by the names of operators anywhere else. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { formOf } from "../../src/onnx/read/check-node.js";
import { allDefinitions } from "../../src/ops/registry.js";
import { type Ast, everyNode, isAst, parse } from "../support/syntax.js";

const root = join(import.meta.dirname, "..", "..", "src");

/** Tables that may stay, by file, and why. */
const allowed: Readonly<Record<string, string>> = {
  "graph/behind.ts": "how a graph looks behind a change of shape, below the layer that knows definitions",
  "lower/long-sums.ts":
    "rules of a stage, which make sums in blocks from sums; a definition cannot emit what a stage decides",
  "onnx/read/operator-forms.ts": "the schemas of ONNX itself, which files are checked against",
  "onnx/read/rare-nodes.browser.ts": "forms that only files have, which a page loads with the first such file",
  "onnx/read/rare-operator-forms.ts": "the schemas of ONNX itself, which files are checked against",
  "onnx/read/parameters/weights.ts": "formulas as exporters write them: which numbers in them are no weights",
  "onnx/read/sequences.ts": "operators on lists, which are gone once a file is read and have no definition",
  "onnx/read/special-operators.ts": "the names of those, and of others that are gone once a file is read",
  "onnx/read/upgrades/inputs.ts": "forms that operators had in older opsets",
  "onnx/read/upgrades/normalisation.ts": "forms that operators had in older opsets",
  "onnx/read/upgrades/older-below.ts": "since when operators have their forms",
  "onnx/read/upgrades/old-broadcast.ts": "forms that operators had in older opsets",
  "onnx/read/upgrades/softmax.ts": "forms that operators had in older opsets",
  "optimise/arithmetic-rules.ts": "the operators that each rewriting rule looks for",
  "optimise/rewrite.ts": "the operators that each rewriting rule looks for",
  "optimise/scatter-rules.ts": "the operators that each rewriting rule looks for",
  "target/onnxruntime/faster-after-loops.ts": "forms that this runtime computes faster",
  "target/onnxruntime/faster.ts": "which kernels of one runtime take longer than others that compute the same",
  "target/onnxruntime/optimizers.ts": "which operators one runtime's optimizers look for",
  "target/onnxruntime/packed.ts": "which kernels of one runtime pack weights beforehand",
  "target/webgpu/kernels.ts": "which kernels one runtime has on the GPU",
  "target/webgpu/rules.ts": "which kernels one runtime lacks on the GPU, and what stands for them",
  "target/webgpu/whole-numbers.ts": "which kernels of one runtime compute in int32 what they do in int64",
};

const names = new Set(allDefinitions.map(({ op }) => op));
const isOp = (name: unknown): boolean =>
  typeof name === "string" && (names.has(name) || (/^[A-Z]/.test(name) && formOf(name) !== undefined));

const childOf = (node: Ast, key: string): Ast | undefined => {
  const child = node[key];
  return isAst(child) ? child : undefined;
};
const listOf = (node: Ast, key: string): Ast[] => {
  const list = node[key];
  return Array.isArray(list) ? list.filter(isAst) : [];
};

/** The name that an element of a list, an entry of a map or a property begins with. */
function nameOf(node: Ast): unknown {
  if (node.type === "Property") {
    const key = childOf(node, "key");
    return key?.type === "Identifier" ? key.name : key?.value;
  }
  if (node.type === "ArrayExpression") return listOf(node, "elements")[0]?.value;
  return node.value;
}

/** The words of a text, or of a piece of a template. */
function wordsOf({ type, value }: Ast): string[] {
  if (type === "Literal" && typeof value === "string") return value.split(/\W+/);
  if (type !== "TemplateElement" || typeof value !== "object" || value === null || !("raw" in value)) return [];
  return String(value.raw).split(/\W+/);
}

/** The operators that a list, a map, a record or a text of words names. */
function opsIn(node: Ast): unknown[] {
  if (node.type === "ArrayExpression") return listOf(node, "elements").map(nameOf).filter(isOp);
  if (node.type === "ObjectExpression") return listOf(node, "properties").map(nameOf).filter(isOp);
  return wordsOf(node).filter(isOp);
}

/** The lines of a file on which a table of operators begins: two or more of them by name. */
function tablesIn(code: string, file: string): string[] {
  return everyNode(parse(code, file))
    .filter((node) => opsIn(node).length >= (node.type.endsWith("Expression") ? 2 : 3))
    .map((node) => `${file}:${code.slice(0, node.start).split("\n").length}: ${opsIn(node).slice(0, 4).join(", ")}`);
}

/** Work-arounds are known by the operators whose kernels they are for. */
const workarounds = "target/onnxruntime/workarounds/";

const files = readdirSync(root, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts") && !file.startsWith("ops/") && !file.startsWith(workarounds))
  .sort();
const found = new Map(files.map((file) => [file, tablesIn(readFileSync(join(root, file), "utf8"), file)]));

it("tables are found in all their forms", () => {
  const code = [
    'const a = new Set(["Conv", "Gemm"]);',
    "const b = { MatMul: 1, Gather: 2 };",
    'const c = new Map([["LSTM", 1], ["GRU", 2]]);',
    'const d = "Add Sub Mul".split(" ");',
    'const e = ["Conv", other];',
    'const f = { name: "Conv", op: "Gemm" };',
  ];
  expect(code.map((line) => tablesIn(line, "sample.ts").length > 0)).toEqual([true, true, true, true, false, false]);
});

it("no file outside src/ops has a table of operators, but for those with a reason", () => {
  expect([...found].filter(([file]) => !(file in allowed)).flatMap(([, tables]) => tables)).toEqual([]);
});

it("every file that may have one has one", () => {
  expect(Object.keys(allowed).filter((file) => (found.get(file) ?? []).length === 0)).toEqual([]);
});

it("no operator is an exception by name where its body decides", () => {
  const scans = files.filter((file) => /["'`]Scan["'`]/.test(readFileSync(join(root, file), "utf8")));
  expect(scans).toEqual([]);
});
