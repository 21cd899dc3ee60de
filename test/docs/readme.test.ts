/** The code of the README, one block after another, as a reader copies it. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { loadModel, nn, saveModel } from "../../src/index.js";
import { writeTensors } from "../../src/io/files.js";
import { floats, labels } from "../cli/support.js";
import { runBlocks } from "../support/doc-blocks.js";

it("the blocks of the README run", async () => {
  let folder = "";
  const lines = await runBlocks("../README.md", async (path) => {
    folder = path;
    const network = nn.sequential(nn.linear(784, 16), nn.relu(), nn.linear(16, 10));
    await saveModel(nn.model(network), join(path, "model.onnx"));
    await writeTensors(join(path, "data.safetensors"), { x: floats([3, 784]), target: labels(1, 2, 3) });
  });
  const told = lines.join("\n");
  expect(told).toMatch(/^0\.weight +\[16, 784\] /m);
  expect(told).toMatch(/^0 3 \["0\.weight"/m);
  expect(told).toMatch(/^Differentially private: epsilon (2\.9\d\d|3\.000) at delta 0\.00001, /m);
  expect(existsSync(join(folder, "program.onnx"))).toBe(true);
  expect(Object.keys((await loadModel(join(folder, "private.onnx"))).parameters)).toHaveLength(4);
}, 120_000);
