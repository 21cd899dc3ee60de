/** The code of docs/memory.md, which quotes it: it is compiled with the tests and run by one of them. */
import { losses, nn, perSample, toFloat32, want, workers } from "../../src/index.js";

export async function example(data: { x: Float32Array; target: BigInt64Array }, path: string): Promise<string[]> {
  const told: string[] = [];
  const console = { log: (text: string) => told.push(text) };
  const use = (_: unknown) => {};

  const model = nn.model(nn.sequential(nn.linear(784, 256), nn.relu(), nn.linear(256, 10)), {
    input: { x: ["N", 784] },
  });
  const program = await perSample(model, {
    loss: losses.crossEntropy(),
    want: { norms: want.norms(), sum: want.clippedSum({ maxNorm: 1 }) },
    memoryBudget: 3.5e6, // bytes
  });
  console.log(`4096 samples would take ${program.memory(4096)} bytes`); // about 4.2 MB
  const { norms, sum } = await program.run(data); // all the same: in microbatches that fit
  use(norms.total); // [N]: the microbatches' norms side by side
  use(sum.sum["0.weight"]); // [256, 784]: their sums, added up in float64

  const all = await perSample(model, { loss: losses.crossEntropy(), want: { gradients: want.gradients() } });
  for await (const { from, to, results } of all.stream(data)) {
    use(results.gradients["0.weight"]); // [to - from, 256, 784]
    console.log(`samples ${from} to ${to}`);
  }

  const controller = new AbortController();
  const whole = await program.runAll(path, {
    signal: controller.signal,
    onProgress: ({ samples, total }) => console.log(`${samples} of ${total}`),
  });
  use(whole.sum.sum["0.weight"]); // over the whole file

  const pool = workers({ count: 1 });
  const server = await perSample(model, {
    loss: losses.crossEntropy(),
    want: { norms: want.norms() },
    workers: pool,
  });
  await server.run(data); // meanwhile timers run, requests are answered
  await pool.release();

  const half = await perSample(model, {
    loss: losses.crossEntropy(),
    want: { gradients: want.gradients({ storage: "float16" }) },
  });
  const { gradients } = await half.run(data);
  const bias = gradients["2.bias"]; // its `data` is a Uint16Array of bits
  if (bias) use(toFloat32(bias).data); // a Float32Array
  return told;
}
