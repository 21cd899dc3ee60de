// What must hold on every version of Node, on Bun and on Deno: numbers, half precision, worker threads, streams, training, files, `require`.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  loadModel,
  losses,
  nn,
  perSample,
  saveModel,
  sgd,
  tensor,
  toFloat32,
  train,
  want,
} from "../dist/node/pergrad.js";

const samples = 6;
const x = tensor(
  "float32",
  [samples, 3],
  Float32Array.from({ length: 3 * samples }, (_, k) => Math.sin(1 + k)),
);
const target = tensor(
  "int64",
  [samples],
  BigInt64Array.from({ length: samples }, (_, n) => BigInt(n % 2)),
);
const data = { x, target };
const model = nn.model(nn.sequential(nn.linear(3, 4), nn.tanh(), nn.linear(4, 2)), { seed: 1 });
const loss = losses.crossEntropy();

const close = (a, b, bound, what) => {
  assert.equal(a.length, b.length, what);
  for (const [k, y] of b.entries())
    assert.ok(Math.abs(a[k] - y) <= bound * Math.max(1, Math.abs(y)), `${what}: ${a[k]}, not ${y}`);
};

const wants = { gradients: want.gradients(), norms: want.norms(), sum: want.sum() };
const program = await perSample(model, { loss, want: wants });
const whole = await program.run(data);
const name = Object.keys(whole.gradients)[0];
assert.ok(
  whole.norms.total.data.every((norm) => norm > 0),
  "norms are positive",
);

const halves = await perSample(model, { loss, want: { gradients: want.gradients({ storage: "float16" }) } });
const { gradients } = await halves.run(data);
assert.ok(gradients[name].data instanceof Uint16Array, "half precision is handed over as bits");
close(toFloat32(gradients[name]).data, whole.gradients[name].data, 1e-3, "half precision");

const threads = await perSample(model, { loss, want: wants, workers: true });
close((await threads.run(data)).norms.total.data, whole.norms.total.data, 1e-6, "in a worker thread");

const parts = [];
for await (const { results } of program.stream(data, { chunkSize: 4 })) parts.push(...results.norms.total.data);
close(parts, whole.norms.total.data, 1e-6, "streamed");

const trained = await train(model, data, { loss, optimizer: sgd({ learningRate: 0.1 }), batchSize: 3, epochs: 2 });
const folder = mkdtempSync(join(tmpdir(), "pergrad-smoke-"));
try {
  await saveModel(trained.model, join(folder, "model.onnx"));
  const again = await perSample(await loadModel(join(folder, "model.onnx")), { loss, want: { norms: want.norms() } });
  const input = Object.keys(again.model.graph.inputs).length;
  assert.ok(input > 0, "a saved model has inputs");
  await again.release();
} finally {
  rmSync(folder, { recursive: true, force: true });
}

const required = createRequire(import.meta.url)("../dist/node/pergrad.js");
assert.equal(typeof required.perSample, "function", "require gives the same interface");
for (const each of [program, halves, threads]) await each.release();
const { bun, deno } = process.versions;
const runtime = bun ? `Bun ${bun}` : deno ? `Deno ${deno}` : `Node ${process.versions.node}`;
console.log(`${runtime}: numbers, half precision, worker threads, streams, training, files, require`);
