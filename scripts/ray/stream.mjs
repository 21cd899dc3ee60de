// Usage: stream.mjs FOLDER DATA OUT. Does in Node what throughput.py does: `stream` on one thread, from Parquet to Parquet.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { readRows } from "../../dist/src/data/index.js";
import { losses, openProgram, want } from "../../dist/src/index.js";
import { writeTable } from "../../dist/src/io/table.js";

const [folder, data, out] = process.argv.slice(2);
const size = 256;
const width = 784;
const program = await openProgram(join(folder, "program.onnx"), {
  loss: losses.crossEntropy(),
  want: { norms: want.norms() },
  threads: 1,
});

/** Batches of rows. */
async function* batches(path) {
  let [x, target, filled] = [new Float32Array(size * width), new BigInt64Array(size), 0];
  const batch = () => ({
    x: { dtype: "float32", dims: [filled, 1, 28, 28], data: x.subarray(0, filled * width) },
    target: { dtype: "int64", dims: [filled], data: target.subarray(0, filled) },
  });
  for await (const row of readRows(path)) {
    x.set(row.get("x"), filled * width);
    target[filled++] = BigInt(row.get("target"));
    if (filled < size) continue;
    yield batch();
    [x, target, filled] = [new Float32Array(size * width), new BigInt64Array(size), 0];
  }
  if (filled > 0) yield batch();
}

async function all() {
  for (const name of readdirSync(data).sort()) {
    const norms = [];
    for await (const { results } of program.stream(batches(join(data, name)), { inPlace: true }))
      norms.push(...results.norms.total.data);
    await writeTable(join(out, name), [{ name: "norms", values: Float32Array.from(norms) }], () => {});
  }
}

console.log(JSON.stringify({ ready: true }));
for await (const _ of createInterface({ input: process.stdin })) {
  const [begun, before] = [performance.now(), process.cpuUsage()];
  await all();
  const { user, system } = process.cpuUsage(before);
  console.log(JSON.stringify({ seconds: (performance.now() - begun) / 1000, cpu: (user + system) / 1e6 }));
}
