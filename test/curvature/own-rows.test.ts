/** Second derivatives of models that pick or write each sample's own rows by the samples' numbers in their batch. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { check, loadModel, losses, readTensors } from "../../src/index.js";

const folder = join(import.meta.dirname, "..", "goldens");

it.each(["index_put_accumulate_unfolded", "inplace_columns"])("%s", async (name) => {
  const { loss }: { readonly loss: "cross_entropy" | "mse" } = JSON.parse(
    readFileSync(join(folder, name, "case.json"), "utf8"),
  );
  const model = await loadModel(join(folder, name, "model.onnx"));
  const data = await readTensors(join(folder, name, "data.safetensors"));
  const options = { loss: loss === "mse" ? losses.mse() : losses.crossEntropy(), differences: 0, samples: 2 };
  const { passed, wants, skipped } = await check(model, data, options);
  expect(skipped.filter(({ want }) => want === "hvp" || want === "ggnProduct")).toEqual([]);
  expect(wants.map(({ want }) => want)).toEqual(expect.arrayContaining(["hvp", "ggnProduct"]));
  expect(passed, JSON.stringify(wants)).toBe(true);
});
