/** Writes docs/ops.md from the op registry and the tests: `npm run docs`. A test compares the page with them. */
import { writeFileSync } from "node:fs";
import { sequenceOperators } from "../src/onnx/read/special-operators.js";
import { newestOpset, oldestOpset, upgradedBelow } from "../src/onnx/read/upgrade.js";
import type { OpDefinition } from "../src/ops/definition.js";
import { families, microsoftFamilies } from "../src/ops/registry.js";
import { classicOperators } from "./classic-operators.js";
import { firstOpsets } from "./first-opsets.js";
import { newestOpsets } from "./newest-opsets.js";
import { testsByOperator } from "./ops-tests.js";

/** Folders of src/ops, and what their files define. */
const folders: Readonly<Record<string, Readonly<Record<string, readonly OpDefinition[]>>>> = {
  rules: families,
  microsoft: microsoftFamilies,
};

const defined = Object.entries(folders).flatMap(([folder, files]) =>
  Object.entries(files).flatMap(([file, definitions]) =>
    definitions.map((definition) => ({ definition, source: `src/ops/${folder}/${file}.ts` })),
  ),
);

/** How an op's gradient is obtained. */
function derivative(definition: OpDefinition): string {
  if (definition.decompose) return "through its decomposition";
  if (definition.body) return "through its body (`src/ops/rules/scan-reverse.ts`)";
  if (definition.differentiate === "none") return "none flows: its output is constant almost everywhere";
  return definition.differentiate ? "yes" : "not yet";
}

/** The opsets whose form of the op is read, and the opsets below which it had another form. */
function opsets({ op, domain = "" }: OpDefinition): string {
  if (domain !== "") return `${domain} 1`;
  const first = firstOpsets.get(op);
  if (first === undefined) return "ONNX Runtime's own";
  const from = Math.max(first, oldestOpset);
  const range = from === newestOpset ? String(from) : `${from}-${newestOpset}`;
  const below = upgradedBelow(op).filter((opset) => opset > from);
  return below.length === 0 ? range : `${range}, upgraded below ${below.join(", ")}`;
}

/** Operators that do not exist any more once a file has been read. */
const dissolved = ["Constant", "If", "Loop", "Scatter", "Upsample", ...sequenceOperators];

function notRead(): string[] {
  const known = new Set(defined.map(({ definition }) => definition.op));
  return [...firstOpsets.keys()].filter((op) => !known.has(op) && !dissolved.includes(op)).sort();
}

/** The page. Throws if an op is in no test. */
export function opsTable(tests: ReadonlyMap<string, readonly string[]> = testsByOperator()): string {
  const untested: string[] = [];
  const rows = defined.map(({ definition, source }) => {
    const name = definition.domain ? `${definition.domain}.${definition.op}` : definition.op;
    const files = tests.get(name) ?? [];
    if (files.length === 0) untested.push(name);
    const cells = [name, opsets(definition), derivative(definition), files.join(", "), `\`${source}\``];
    return { name, row: `| ${cells.join(" | ")} |` };
  });
  if (untested.length > 0)
    throw new Error(`No test is named after ${untested.join(", ")}: call describeOp for each in test/ops.`);
  rows.sort((a, b) => (a.name < b.name ? -1 : 1));
  return [
    "# Operators",
    "",
    "Generated from the op registry and the tests by `npm run docs`; do not edit. Semantics are those of ONNX opset 21 (of the opset that brought it, where an operator is newer), to which older forms are upgraded when a model is loaded. Tests are files of `test/ops` and `test/onnx`, and `test/program/random-graphs.test.ts`.",
    "",
    "| operator | opsets read | differentiable | tested by | defined in |",
    "|---|---|---|---|---|",
    ...rows.map(({ row }) => row),
    "",
    "## Opsets 27 and 28",
    "",
    "What they brought and changed, all of which is read and emitted as operators of opset 21:",
    "",
    ...newestOpsets.map((line) => `- ${line}`),
    "",
    "## Not read",
    "",
    `Operators of ONNX's default domain that are not in the table. They work on texts, on quantised integers, or on bits, and what trained weights become there has no gradient (DequantizeLinear has a derivative with respect to its scale; a quantised model is refused whole, naming what to load instead). ${notRead().join(", ")}.`,
    "",
    `Resolved while a file is read, and so in no graph: ${dissolved.join(", ")}.`,
    "",
    "## ai.onnx.ml",
    "",
    ...classicOperators,
    "",
  ].join("\n");
}

if (import.meta.url === `file://${process.argv[1]}`) writeFileSync("docs/ops.md", opsTable());
