/** Gauss-Newton products hold less between the pass forward and the one back, and are the same. */
import { expect, it } from "vitest";
import { type Model, nn, perSample, want } from "../../src/index.js";
import { expectNear } from "./support.js";

const numbers = (count: number) => Float32Array.from({ length: count }, (_, k) => Math.sin(1 + 3 * k));
const vectorLike = ({ parameters }: Model) =>
  Object.fromEntries(
    Object.entries(parameters).map(([name, { dims, data }]) => {
      return [name, { dtype: "float32" as const, dims, data: numbers(data.length) }];
    }),
  );
const words = nn.embedding(11, 6);
/** One activation, read by position and as a whole: its cotangent adds up products of matrices of different shapes. */
const twoWays = nn.trace(
  { x: ["N", 4, 6] },
  { first: nn.uniform([6, 6], 1), rows: nn.uniform([6, 3], 1), whole: nn.uniform([24, 3], 1) },
  ({ x }, { first, rows, whole }) => {
    const h = x.matmul(first).tanh();
    return h
      .matmul(rows)
      .mean(1)
      .add(h.reshape(["N", 24]).matmul(whole));
  },
  { seed: 2 },
);
const models = {
  "activations of one value": {
    module: nn.sequential(
      nn.linear(3, 8),
      // The exact form is one operator, and so is its slope: it holds as little as can be in any case.
      nn.gelu({ approximate: "tanh" }),
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

it("products of different shapes are added up", async () => {
  const vector = vectorLike(twoWays);
  const data = { x: { dtype: "float32", dims: [5, 4, 6], data: numbers(120) }, target: [0, 2, 1, 1, 0] } as const;
  const found = await Promise.all(
    [true, false].map(async (holdLess) => {
      const product = want.ggnProduct({ vector });
      const program = await perSample(twoWays, {
        loss: "cross_entropy",
        want: { product },
        strategy: { holdLess },
      });
      const results = await program.run(data);
      await program.release();
      return results.product;
    }),
  );
  for (const [name, { data: all }] of Object.entries(found[1] ?? {}))
    expectNear(found[0]?.[name]?.data, all, 1e-5, name, Math.max(...all.map(Math.abs)));
});

it.each(Object.entries(models))("%s", async (_, { module, data, input }) => {
  const model = nn.model(module, { input, seed: 2 });
  const vector = vectorLike(model);
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
