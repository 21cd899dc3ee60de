// One program's real peak memory beside its estimate, in a process of its own; memory.test.ts starts it, on the built
// package. See bench/memory-process.ts for what is measured and why a first program runs and is released before.
import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { losses, nn, perSample, want } from "../../dist/src/index.js";

const conv = (inputs, outputs) => [nn.conv2d(inputs, outputs, 3, { padding: 1 }), nn.relu()];
const normal = { input: undefined, seed: 0 };
const models = {
  mlp: () => ({
    model: nn.model(
      nn.sequential(nn.linear(784, 1024), nn.relu(), nn.linear(1024, 1024), nn.relu(), nn.linear(1024, 10)),
      {
        ...normal,
        input: { x: ["N", 784] },
      },
    ),
    shape: [784],
    samples: 512,
  }),
  cnn: () => ({
    model: nn.model(
      nn.sequential(
        ...conv(3, 32),
        ...conv(32, 32),
        nn.avgPool2d(2),
        ...conv(32, 64),
        nn.avgPool2d(2),
        nn.flatten(),
        nn.linear(64 * 4 * 4, 10),
      ),
      { ...normal, input: { x: ["N", 3, 16, 16] } },
    ),
    shape: [3, 16, 16],
    samples: 128,
  }),
  // Unfolded by blocks.
  images: () => ({
    model: nn.model(
      nn.sequential(...conv(3, 16), ...conv(16, 32), nn.adaptiveAvgPool(1), nn.flatten(), nn.linear(32, 10)),
      { ...normal, input: { x: ["N", 3, 96, 96] } },
    ),
    shape: [3, 96, 96],
    samples: 8,
    strategy: { norm: "blocked unfold", sum: "blocked unfold", materialise: "blocked unfold" },
  }),
  lstm: () => ({
    model: nn.model(nn.sequential(nn.embedding(1000, 100), nn.lstm(100, 128).last, nn.linear(128, 10)), {
      ...normal,
      input: { x: { shape: ["N", 64], dtype: "int64" } },
    }),
    shape: [64],
    ids: 1000,
    samples: 64,
  }),
  transformer: () => {
    const layer = () => nn.transformerEncoderLayer(64, 4, { feedForward: 256, causal: true });
    return {
      model: nn.model(
        nn.sequential(nn.embedding(500, 64), nn.positional(64, 64), layer(), layer(), nn.linear(64, 10)),
        { ...normal, input: { x: { shape: ["N", 64], dtype: "int64" } } },
      ),
      shape: [64],
      ids: 500,
      positions: 64,
      samples: 32,
    };
  },
};
const wants = {
  clipped: () => ({ norms: want.norms(), clipped: want.clippedSum({ maxNorm: 1 }) }),
  mean: () => ({ mean: want.mean() }),
  gradients: () => ({ gradients: want.gradients() }),
};

const [name, wanted] = process.argv.slice(2);
const { model, shape, ids, positions, samples: most, strategy = {} } = models[name]();
const samples = wanted === "gradients" ? Math.min(16, most) : most;
const size = samples * shape.reduce((product, dim) => product * dim, 1);
const x = ids
  ? BigInt64Array.from({ length: size }, (_, i) => BigInt((i * 7919) % ids))
  : Float32Array.from({ length: size }, (_, i) => Math.sin(i));
const target = BigInt64Array.from({ length: samples * (positions ?? 1) }, (_, n) => BigInt(n % 10));

// A budget far above what is needed: each tensor is allocated and freed for itself.
const compile = () =>
  perSample(model, { loss: losses.crossEntropy(), want: wants[wanted](), memoryBudget: 2 ** 40, strategy });
const collect = async () => {
  for (let round = 0; round < 3; round++) {
    await sleep(5);
    globalThis.gc();
  }
};
const first = await compile();
await first.run({ x, target });
await first.release();
const program = await compile();
await collect();
const before = process.memoryUsage.rss();
writeFileSync("/proc/self/clear_refs", "5");
for (let run = 0; run < 2; run++) {
  await program.run({ x, target });
  await collect();
}
const peak = 1024 * Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"))[1]);
process.send({ peak: peak - before, estimate: program.memory(samples) });
