/** The mean of the samples' GGN diagonals is that of each one's own, for every kind of gradient and of loss. */
import { describe, expect, it } from "vitest";
import { type Loss, losses, nn, perSample, type Tensor, want } from "../../src/index.js";
import { expectNear } from "./support.js";

const numbers = (count: number) => Float32Array.from({ length: count }, (_, k) => Math.sin(1 + 3 * k));
const embedding = nn.embedding(7, 4);
const models = {
  linear: {
    module: nn.sequential(nn.linear(3, 5), nn.tanh(), nn.linear(5, 4)),
    input: { x: ["N", 3] },
    x: numbers(18),
    classes: 4,
  },
  convolution: {
    module: nn.sequential(nn.conv2d(2, 3, 3), nn.relu(), nn.flatten(), nn.linear(27, 4)),
    input: { x: ["N", 2, 5, 5] },
    x: numbers(300),
    classes: 4,
  },
  pooled: {
    module: nn.sequential(
      nn.conv2d(2, 4, 3, { groups: 2 }),
      nn.maxPool2d(2, { stride: 1 }),
      nn.relu(),
      nn.flatten(),
      nn.linear(16, 4),
    ),
    input: { x: ["N", 2, 5, 5] },
    x: numbers(300),
    classes: 4,
  },
  tied: {
    module: nn.sequential(
      embedding,
      nn.layerNorm(4),
      nn.module((x) => x.mean([1])),
      nn.tied(embedding),
    ),
    input: { x: { shape: ["N", 3], dtype: "int64" } },
    x: Array.from({ length: 18 }, (_, k) => (5 * k) % 7),
    classes: 7,
  },
} as const;

// A loss without a square root that is known.
const own: Loss = losses.custom((output) => output.square().mul(output.sigmoid()).sum([1]), { name: "own" });

const meanOf = ({ data, dims }: Tensor<"float32">): number[] => {
  const [samples = 1] = dims;
  const size = data.length / samples;
  return Array.from({ length: size }, (_, i) => {
    const column = Array.from({ length: samples }, (_, n) => data[n * size + i] ?? Number.NaN);
    return column.reduce((sum, x) => sum + x, 0) / samples;
  });
};

describe.each(Object.entries(models))("%s", (_, { module, input, x, classes }) => {
  const model = nn.model(module, { input, seed: 2 });
  it.each([
    ["cross entropy", "cross_entropy" as const, { target: [0, 2, 1, 3, 0, 1] }],
    ["a loss of one's own", own, { target: numbers(6 * classes) }],
  ])("of %s, whole and in microbatches", async (_, loss, target) => {
    const wants = { each: want.ggnDiagonal(), mean: want.ggnDiagonal({ mean: true }) };
    const program = await perSample(model, { loss, want: wants });
    const data = { x, ...target };
    const whole = await program.run(data);
    const parts = await program.run(data, { microbatchSize: 4 });
    for (const [name, mean] of Object.entries(whole.mean)) {
      const rows = whole.each[name];
      const expected = rows ? meanOf(rows) : [];
      expect(mean.dims).toEqual(rows?.dims.slice(1));
      const largest = Math.max(...Object.values(whole.mean).flatMap(({ data: all }) => Math.max(...all)));
      expectNear(mean.data, expected, 1e-5, name, largest);
      expectNear(parts.mean[name]?.data, expected, 1e-5, `${name} in parts`, largest);
    }
    await program.release();
  });
});

it("refuses what is neither true nor false", () => {
  expect(() => want.ggnDiagonal({ mean: "yes" } as never)).toThrow(/mean of want.ggnDiagonal must be true or false/);
});

describe("a cross entropy's root, one of whose columns for each label is 0, gives what its second derivative does", () => {
  // Without a root that is known: by a column of the second derivative for each element of the output.
  const plain: Loss = losses.custom((output, target) => losses.crossEntropy().apply(output, target), {
    name: "plain",
    target: (output) => ({ dtype: "int64", shape: [...output.shape.slice(0, 1), ...output.shape.slice(2)] }),
  });
  it.each([
    ["one label", [3], { out: 5, shape: [5] }, [9]],
    ["two classes", [3], { out: 2, shape: [2] }, [9]],
    ["a single class", [3], { out: 1, shape: [1] }, [9]],
    ["the classes before positions, more columns than are computed at once", [3], { out: 48, shape: [4, 12] }, [9, 12]],
    ["no samples", [3], { out: 5, shape: [5] }, [0]],
  ])("%s", async (_, input, { out, shape }, dims) => {
    const module = nn.sequential(
      nn.linear(3, out),
      nn.module((x) => x.reshape(["N", ...shape])),
    );
    const model = nn.model(module, { input: { x: ["N", ...input] }, seed: 5 });
    const [samples = 0] = dims;
    const [classes = 1] = shape;
    const labels = Array.from({ length: dims.reduce((size, dim) => size * dim, 1) }, (_, k) => (k * 7) % classes);
    const target = { dtype: "int64", dims, data: BigInt64Array.from(labels, BigInt) } as const;
    const x = { dtype: "float32", dims: [samples, 3], data: numbers(3 * samples) } as const;
    const wants = { each: want.ggnDiagonal(), mean: want.ggnDiagonal({ mean: true }) };
    const known = await perSample(model, { loss: losses.crossEntropy({ classAxis: 1 }), want: wants });
    const unknown = await perSample(model, { loss: plain, want: wants });
    const [found, expected] = [await known.run({ x, target }), await unknown.run({ x, target })];
    for (const kind of ["each", "mean"] as const)
      for (const [name, { data }] of Object.entries(expected[kind]))
        expectNear(found[kind][name]?.data, data, 1e-5, `${kind} of ${name}`, Math.max(1e-3, ...data));
    await known.release();
    await unknown.release();
  });
});

it("computes few samples at a time where nothing else is said", async () => {
  const { module, input } = models.convolution;
  const program = await perSample(nn.model(module, { input, seed: 2 }), {
    loss: "cross_entropy",
    want: { mean: want.ggnDiagonal({ mean: true }) },
  });
  expect(program.memory(1000)).toBeLessThan(2 ** 24);
  const x = { dtype: "float32", dims: [1000, 2, 5, 5], data: numbers(50_000) } as const;
  const target = Array.from({ length: 1000 }, (_, k) => k % 4);
  const [few, all] = [await program.run({ x, target }), await program.run({ x, target }, { microbatchSize: 250 })];
  for (const [name, { data }] of Object.entries(all.mean))
    expectNear(few.mean[name]?.data, data, 1e-5, name, Math.max(...data));
  await program.release();
});
