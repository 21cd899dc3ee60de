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
  expect(() => want.ggnDiagonal({ mean: "yes" } as never)).toThrow(/mean of want.ggnDiagonal is true or false/);
});
