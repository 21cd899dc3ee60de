// A private training in a process of its own, for killed.test.ts: says each step on stdout as soon as it is released.
// It runs the last build, as all tests that start processes do.
import { writeSync } from "node:fs";
import { adam, losses, nn, tensor, trainPrivately } from "../../dist/src/index.js";

const [folder, resume, steps] = process.argv.slice(2);
const samples = 30;
const wave = (size) => Float32Array.from({ length: size }, (_, i) => Math.sin(1 + 3 * i));
const dataset = {
  x: tensor("float32", [samples, 3], wave(3 * samples)),
  target: tensor(
    "int64",
    [samples],
    BigInt64Array.from({ length: samples }, (_, n) => BigInt(n % 2)),
  ),
};
await trainPrivately(nn.model(nn.linear(3, 2)), dataset, {
  loss: losses.crossEntropy(),
  optimizer: adam(),
  batchSize: 6,
  steps: Number(steps),
  maxNorm: 1,
  noiseMultiplier: 1.5,
  delta: 1e-5,
  threads: 1,
  checkpoint: { folder, every: 7, resume: resume === "resume" },
  onStep: ({ step }) => {
    writeSync(1, `${step}\n`);
  },
});
