/** The measures of the literature on cases computed in float64 with PyTorch, three checkpoints each. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { findIssues, loadModel } from "../../src/index.js";
import { readTensors, writeTensors } from "../../src/io/files.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { run } from "../cli/support.js";
import { below, expectNear } from "../curvature/support.js";
import { temporaryFolder } from "../support/folder.js";

const cases = join(import.meta.dirname, "../curvature/cases");
const names = [
  "cnn_small",
  "lstm_classifier",
  "mlp_gelu",
  "mlp_relu_wide",
  "multilabel",
  "regression_sequence",
  "tied_language_model",
  "transformer_classifier",
] as const;

/** The keys of the cases, and what they are called here. */
const measures = {
  el2n: "el2n",
  grand: "grand",
  aum: "aum",
  forgetting: "forgetting",
  vog: "vog",
  vog_variance: "vogVariance",
} as const;

async function golden(name: string) {
  const folder = join(cases, name);
  const settings: unknown = JSON.parse(readFileSync(join(folder, "case.json"), "utf8"));
  const { loss, quantities } = settings as { loss: "cross_entropy"; quantities: string[] };
  const data = await readTensors(join(folder, "data.safetensors"));
  const expected = await readTensors(join(folder, "expected.safetensors"));
  const model = await loadModel(join(folder, "model.onnx"));
  const inputs = [...model.graph.inputs.map((value) => value.name), "target"];
  const batch = Object.fromEntries(inputs.flatMap((key) => (data.has(key) ? [[key, data.get(key) as Tensor]] : [])));
  const checkpoints = [0, 1, 2].map((k) => Object.fromEntries(below(data, `checkpoint/${k}/`)));
  return { folder, loss, quantities, batch, checkpoints, expected, model };
}

const numbers = (tensor: Tensor | undefined) => Float64Array.from((tensor?.data ?? []) as ArrayLike<number>, Number);

describe.each(names)("%s", (name) => {
  test("measures over the checkpoints are those of PyTorch", async () => {
    const { loss, quantities, batch, checkpoints, expected, model } = await golden(name);
    const given = checkpoints as Record<string, Tensor<"float32">>[];
    const issues = await findIssues(model, batch, { loss, checkpoints: given, dims: 32 });
    const compared = Object.entries(measures).filter(([key]) => quantities.includes(key));
    expect(compared.length).toBeGreaterThan(0);
    for (const [key, own] of compared) expectNear(issues.measures[own], numbers(expected.get(key)), 1e-4, key);
    // What a case lacks is not made up.
    for (const [key, own] of Object.entries(measures))
      if (!quantities.includes(key)) expect(issues.measures[own], key).toBeUndefined();
    for (const scores of Object.values(issues.scores) as Float32Array[])
      for (const score of scores) expect(score >= 0 && score <= 1).toBe(true);
  });
});

test("the command reads checkpoints from files and writes the same numbers", async () => {
  const { folder, loss, checkpoints, expected } = await golden("cnn_small");
  const out = temporaryFolder();
  const options: string[] = [];
  for (const [k, parameters] of checkpoints.entries()) {
    await writeTensors(join(out, `${k}.safetensors`), parameters);
    options.push("--checkpoint", join(out, `${k}.safetensors`));
  }
  const inputs = [join(folder, "model.onnx"), "--data", join(folder, "data.safetensors"), "--loss", loss];
  const { code, err } = await run("clean", ...inputs, ...options, "--out", join(out, "scores.csv"));
  expect({ code, err: err.replace(/^.*also holds.*\n/, "") }).toEqual({ code: 0, err: "" });
  const [header = "", ...lines] = readFileSync(join(out, "scores.csv"), "utf8").trim().split("\n");
  const columns = header.split(",");
  const rows = lines.map((line) => line.split(",").map(Number));
  for (const key of Object.keys(measures)) {
    expect(columns).toContain(key);
    const found = rows.map((row) => row[columns.indexOf(key)] as number);
    expectNear(found, numbers(expected.get(key)), 1e-4, key);
  }
});
