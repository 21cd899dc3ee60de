/** The code of docs/large-models.md, which quotes it: it is compiled with the tests. */
import { loadModel, losses, type Model, perSample, saveModel, type Tensor, want } from "../../src/index.js";

export async function example(model: Model, data: Readonly<Record<string, Tensor>>): Promise<Model> {
  const use = (_: unknown) => {};
  const console = { log: (_: string) => {} };

  const program = await perSample(model, {
    loss: losses.crossEntropy(),
    want: { norms: want.norms() },
    memoryBudget: 2e9, // bytes beyond the weights
  });
  console.log(`one sample takes ${program.memory(1)} bytes, ten take ${program.memory(10)}`);
  const { norms } = await program.run(data); // in microbatches that fit
  use(norms.total); // [N]

  const large = await loadModel("gpt2-xl.onnx"); // its weights lie in files beside it

  await saveModel(large, "trained.onnx"); // and trained.onnx.data, where the weights take more than 1.5 GB
  await program.save("norms.onnx", { externalData: true }); // and norms.onnx.data
  await program.release();
  return large;
}
