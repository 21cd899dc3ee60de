/** Gauss-Newton products hold less between the pass forward and the one back, and are the same. */
import { expect, it } from "vitest";
import { nn, perSample, want } from "../../src/index.js";
import { expectNear } from "./support.js";

const numbers = (count: number) => Float32Array.from({ length: count }, (_, k) => Math.sin(1 + 3 * k));
const words = nn.embedding(11, 6);
const models = {
  "activations of one value": {
    module: nn.sequential(
      nn.linear(3, 8),
      nn.gelu(),
      nn.linear(8, 8),
      nn.module((x) => x.mul(x.sigmoid())),
      nn.linear(8, 3),
    ),
    data: { x: { dtype: "float32", dims: [5, 3], data: numbers(15) }, target: [0, 2, 1, 1, 0] },
    input: { x: ["N", 3] },
  },
  "a head tied to a table, over positions": {
    module: nn.sequential(words, nn.linear(6, 6), nn.gelu(), nn.layerNorm(6), nn.tied(words)),
    data: {
      x: Array.from({ length: 20 }, (_, k) => (5 * k) % 11),
      target: {
        dtype: "int64",
        dims: [5, 4],
        data: BigInt64Array.from({ length: 20 }, (_, k) => BigInt((3 * k) % 11)),
      },
    },
    input: { x: { shape: ["N", 4], dtype: "int64" } },
  },
} as const;

it.each(Object.entries(models))("%s", async (_, { module, data, input }) => {
  const model = nn.model(module, { input, seed: 2 });
  const vector = Object.fromEntries(
    Object.entries(model.parameters).map(([name, { dims, data }]) => {
      return [name, { dtype: "float32" as const, dims, data: numbers(data.length) }];
    }),
  );
  const compiled = (holdLess?: boolean) =>
    perSample(model, {
      loss: "cross_entropy",
      want: { mean: want.ggnProduct({ vector, give: want.mean() }) },
      ...(holdLess === undefined ? {} : { strategy: { holdLess } }),
    });
  const [less, more] = [await compiled(), await compiled(false)];
  expect(less.memory(64)).toBeLessThan(more.memory(64));
  const [found, expected] = [await less.run(data), await more.run(data)];
  for (const [name, { data: all }] of Object.entries(expected.mean))
    expectNear(found.mean[name]?.data, all, 1e-5, name, Math.max(...all.map(Math.abs)));
  await less.release();
  await more.release();
});
