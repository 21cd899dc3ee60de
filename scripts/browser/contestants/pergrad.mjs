// pergrad in the page, bundled as a user would bundle it.
import { loadModel, losses, perSample, want } from "../../../src/index.ts";
import { decodeSafetensors } from "../../../src/io/safetensors.ts";
import { bytesOf } from "./data.mjs";

export async function prepare(id) {
  const model = await loadModel(await bytesOf(`${id}.onnx`));
  const feeds = Object.fromEntries(decodeSafetensors(await bytesOf(`${id}.safetensors`), id).tensors);
  const program = await perSample(model, { loss: losses.crossEntropy(), want: { norms: want.norms() } });
  return { pergrad: async () => (await program.run(feeds)).norms.total.data };
}
