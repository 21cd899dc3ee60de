/** Writes docs/ops.md from the op registry: `npm run docs`. A test holds the page to the registry. */
import { writeFileSync } from "node:fs";
import { families } from "../src/ops/registry.js";

/** How an op's gradient comes about. */
function derivative(definition: (typeof families)[keyof typeof families][number]): string {
  if (definition.decompose) return "through its decomposition";
  if (definition.differentiate === "none") return "none flows: its output is constant almost everywhere";
  return definition.differentiate ? "yes" : "not yet";
}

/** The page. */
export function opsTable(): string {
  const rows = Object.entries(families).flatMap(([family, definitions]) =>
    definitions.map((definition) => {
      const name = definition.domain ? `${definition.domain}.${definition.op}` : definition.op;
      return { name, row: `| ${name} | ${derivative(definition)} | \`src/ops/${family}.ts\` |` };
    }),
  );
  rows.sort((a, b) => (a.name < b.name ? -1 : 1));
  return [
    "# Operators",
    "",
    "Generated from the op registry by `npm run docs`; do not edit. Semantics are those of ONNX opset 21, to which older models are upgraded when they are loaded.",
    "",
    "| operator | gradient | defined in |",
    "|---|---|---|",
    ...rows.map(({ row }) => row),
    "",
  ].join("\n");
}

if (import.meta.url === `file://${process.argv[1]}`) writeFileSync("docs/ops.md", opsTable());
