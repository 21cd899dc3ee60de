// Pages that the system had to map anew in runs of a program with a result of 8 MB; freed-memory.test.ts starts it, on
// the built package.
import { losses, nn, perSample, want } from "../../dist/src/index.js";

const [rows, width, positions, samples] = [20_000, 100, 64, 64];
const mean = nn.module((x) => x.mean([1]));
const model = nn.model(nn.sequential(nn.embedding(rows, width), mean, nn.linear(width, 2)), {
  input: { x: { shape: ["N", positions], dtype: "int64" } },
  seed: 0,
});
const whole = (dims, below) => ({
  dtype: "int64",
  dims,
  data: BigInt64Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, k) => BigInt((k * 7919) % below)),
});
const data = { x: whole([samples, positions], rows), target: whole([samples], 2) };
const program = await perSample(model, { loss: losses.crossEntropy(), want: { mean: want.mean() }, threads: 1 });
const runs = async (count) => {
  const before = process.resourceUsage().minorPageFault;
  for (let k = 0; k < count; k++) await program.run(data);
  return (process.resourceUsage().minorPageFault - before) / count;
};
// Until the collector and the engine's compiler have settled.
await runs(100);
const faults = await runs(100);
await program.release();
process.send({ faults, written: Math.ceil((Math.min(rows, samples * positions) * 4 * width) / 4096) });
