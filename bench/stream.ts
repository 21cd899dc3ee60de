/**
 * `node dist/bench/stream.js`: how fast gradients come into JavaScript, in GB/s, beside a plain copy of as many bytes;
 * and what a worker thread adds to a run. Runs of all ways are interleaved.
 */
import { type Program, perSample, want } from "../src/index.js";
import { interleave, timed } from "./measure.js";
import { makeWorkload, workloads } from "./workloads.js";

const seconds = 10;
const spec = workloads.find(({ id }) => id === "mlp");
if (!spec) throw new RangeError("there is no workload mlp");
const { model, data, samples, loss } = makeWorkload(spec);
const elements = Object.values(model.parameters).reduce((total, tensor) => total + tensor.data.length, 0);
const bytes = 4 * samples * elements;

const gradients = { gradients: want.gradients() };
const program = await perSample(model, { loss, want: gradients });
const elsewhere = await perSample(model, { loss, want: gradients, workers: true });

async function drain(from: Program<typeof gradients>, reuse: boolean): Promise<void> {
  for await (const { results } of from.stream(data, { reuse })) {
    if (Object.values(results.gradients).some((tensor) => Number.isNaN(tensor.data[0]))) throw new Error("NaN");
  }
}

const megabyte = new Float32Array(2 ** 18).fill(1);
const target = new Float32Array(2 ** 20);
const copy = () => {
  for (let done = 0; done < bytes; done += 2 ** 20) target.set(megabyte, (done / 4) % 2 ** 20);
};
const rates = await interleave(
  [
    timed("one run", () => program.run(data)),
    timed("stream", () => drain(program, false)),
    timed("stream, reuse", () => drain(program, true)),
    timed("stream, reuse, worker", () => drain(elsewhere, true)),
    timed("copy within 4 MiB", async () => copy()),
  ],
  seconds,
);
const rate = (time: number) => (bytes / 1e6 / time).toFixed(2);
for (const { name, median, low } of rates) {
  process.stdout.write(`${name}: ${rate(median)} GB/s in the median, ${rate(low)} in the best tenth\n`);
}

const small = { norms: want.norms() };
const here = await perSample(model, { loss, want: small });
const there = await perSample(model, { loss, want: small, workers: true });
const runs = await interleave(
  [timed("here", () => here.run(data)), timed("in a worker thread", () => there.run(data))],
  seconds,
);
for (const { name, median, low } of runs) {
  const times = `${median.toFixed(2)} ms in the median, ${low.toFixed(2)} in the best tenth`;
  process.stdout.write(`norms of ${samples} samples, ${name}: ${times}\n`);
}
await elsewhere.release();
await there.release();
