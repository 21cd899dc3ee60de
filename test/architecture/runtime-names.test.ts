/** Nothing outside `target/` knows which runtime there is: a source file that names it says why it may. */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "../../src");

const domain = "the domain com.microsoft is part of what models are made of";
const meaning = "ONNX leaves this open, and models were made with ONNX Runtime's reading of it";
const format = "files are read that were made for it";

const allowed: Readonly<Record<string, string>> = {
  "cluster/ray/answers.ts": "the workers run programs on it",
  "cluster/ray/training.ts": "the workers run programs on it",
  "cluster/package.ts": "the workers run programs on it",
  "cli/doctor.ts": "the command looks whether the package is installed",
  "program/program.ts": "the option that asks for a file without work-arounds",
  "program/worker-thread.browser.ts": "it makes the page's worker answer",
  "index.ts": "worker threads are handed out by name",
  "onnx/read/ml/post-transform.ts": meaning,
  "onnx/read/rare-operator-forms.ts": format,
  "ops/microsoft/activations.ts": domain,
  "onnx/read/adapt/crop.ts": meaning,
  "onnx/read/parameters/fused.ts": format,
  "onnx/read/unknown.ts": format,
  "ops/microsoft/attention.ts": domain,
  "ops/microsoft/grouped-query.ts": domain,
  "ops/microsoft/linear.ts": domain,
  "ops/microsoft/normalisation.ts": domain,
  "ops/rules/normalisation.ts": domain,
  "ops/rules/roi-align.ts": meaning,
  "ops/rules/rotary.ts": domain,
  "ops/rules/shapes.ts": meaning,
  "ops/rules/slicing.ts": meaning,
  "ops/subgraphs/contrib.ts": domain,
  "ops/subgraphs/grid-taps.ts": meaning,
  "ops/subgraphs/pool.ts": meaning,
  "ops/subgraphs/taps.ts": meaning,
  "tensor/data.ts": "its tensors are taken as data",
};

test("the files that name ONNX Runtime outside its target are those that have a reason", () => {
  const files = readdirSync(root, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .filter((file) => !file.startsWith("target/"));
  const naming = files.filter((file) => /onnx[ -]?runtime/i.test(readFileSync(join(root, file), "utf8")));
  expect(naming.sort()).toEqual(Object.keys(allowed).sort());
});
