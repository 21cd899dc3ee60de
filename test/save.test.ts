import { join } from "node:path";
import { expect, it } from "vitest";
import { loadModel, losses, nn, perSample, saveModel, tensor, want, withParameters } from "../src/index.js";
import { temporaryFolder } from "./support/folder.js";

it("a model is saved with new weights and read back as the same", async () => {
  const model = nn.model(nn.sequential(nn.linear(3, 2), nn.tanh(), nn.linear(2, 2)));
  const bias = tensor("float32", [2], Float32Array.of(0.5, -0.25));
  const changed = withParameters(model, { "2.bias": bias });
  const path = join(temporaryFolder(), "m.onnx");
  await saveModel(changed, path);
  const read = await loadModel(path);
  expect(read.parameters).toEqual({ ...model.parameters, "2.bias": bias });
  const data = {
    x: tensor("float32", [1, 3], Float32Array.of(1, 2, 3)),
    target: tensor("int64", [1], BigInt64Array.of(1n)),
  };
  const outputs = await Promise.all(
    [changed, read].map(async (each) => {
      const program = await perSample(each, { loss: losses.crossEntropy(), want: { outputs: want.outputs() } });
      return (await program.run(data)).outputs;
    }),
  );
  expect(outputs[0]).toEqual(outputs[1]);
});

it("weights that do not fit the model are refused", () => {
  const model = nn.model(nn.linear(3, 2));
  const bias = tensor("float32", [3], new Float32Array(3));
  expect(() => withParameters(model, { bias })).toThrow('"bias" is [3], but the model needs [2]');
  expect(() => withParameters(model, { gain: bias })).toThrow('no parameter "gain"');
});
