// Saves programs, data and what Node computes of it, for the tests in Python: make_programs.mjs FOLDER. Needs the build in dist.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { losses, nn, perSample, want, writeTensors } from "../../dist/src/index.js";

const folder = process.argv[2];
mkdirSync(folder, { recursive: true });

const numbers = (dims, step) => ({
  dtype: "float32",
  dims,
  data: Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, k) => Math.sin(step * (k + 1))),
});
const tokens = (dims, below) => ({
  dtype: "int64",
  dims,
  data: BigInt64Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, k) => BigInt((7 * k + 3) % below)),
});

const perceptron = () =>
  nn.model(nn.sequential(nn.linear(5, 7), nn.gelu(), nn.layerNorm(7), nn.linear(7, 4)), { seed: 1 });
const words = nn.embedding(11, 6);
const language = () =>
  nn.model(nn.sequential(words, nn.linear(6, 6), nn.silu(), nn.tied(words)), {
    input: { x: { shape: ["N", 3], dtype: "int64" } },
    seed: 1,
  });
const convolutional = () =>
  nn.model(
    nn.sequential(
      nn.conv2d(1, 16, 3, { padding: 1 }),
      nn.relu(),
      nn.maxPool2d(2),
      nn.conv2d(16, 16, 3),
      nn.relu(),
      nn.flatten(),
      nn.linear(256, 10),
    ),
    { input: { x: { shape: ["N", 1, 12, 12], dtype: "float32" } }, seed: 1 },
  );

const wants = (model) => ({
  losses: want.losses(),
  outputs: want.outputs(),
  norms: want.norms(),
  gradients: want.gradients(),
  halves: want.gradients({ storage: "float16" }),
  clipped: want.clippedSum({ maxNorm: 0.5, adjustable: true }),
  mean: want.mean(),
  moments: want.moments(),
  noise: want.noiseScale(),
  projection: want.project({ dims: 16, seed: 3 }),
  dot: want.dot(model.parameters),
});
const cases = {
  perceptron: [perceptron, (n) => ({ x: numbers([n, 5], 1.3), target: tokens([n], 4) })],
  language: [language, (n) => ({ x: tokens([n, 3], 11), target: tokens([n, 3], 11) })],
  convolutional: [convolutional, (n) => ({ x: numbers([n, 1, 12, 12], 0.7), target: tokens([n], 10) })],
};

const samples = 30;
for (const [name, [make, data]] of Object.entries(cases)) {
  const model = make();
  const options = { loss: losses.crossEntropy(), want: wants(model) };
  const program = await perSample(model, options);
  await program.save(join(folder, `${name}.onnx`));
  await program.save(join(folder, `${name}.inputs.onnx`), { weights: "inputs" });
  await writeTensors(join(folder, `${name}.weights.safetensors`), model.parameters);
  await writeTensors(join(folder, `${name}.data.safetensors`), data(samples));
  await program.release();
}
