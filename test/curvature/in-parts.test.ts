/** The mean of GGN diagonals is summed over a few directions at a time, where all at once do not stay in the cache. */
import { expect, it } from "vitest";
import { nn, perSample, want } from "../../src/index.js";
import { expectNear } from "./support.js";

const numbers = (count: number) => Float32Array.from({ length: count }, (_, k) => Math.sin(1 + 3 * k));

it.each([
  ["one group", 1, 9, ["[N, 128, 256]", "[N, 128, 256]"]],
  ["a number of directions that parts do not divide", 1, 8, ["[N, 96, 256]", "[N, 128, 256]"]],
  ["groups", 2, 10, ["[N, 2, 64, 128]", "[N, 2, 80, 128]"]],
] as const)("%s", async (_, groups, classes, parts) => {
  const module = nn.sequential(
    nn.conv2d(16, 32, 4, { stride: 2, groups }),
    nn.relu(),
    nn.flatten(),
    nn.linear(128, classes),
  );
  const model = nn.model(module, { input: { x: ["N", 16, 6, 6] }, seed: 2 });
  const program = await perSample(model, {
    loss: "cross_entropy",
    want: { each: want.ggnDiagonal(), mean: want.ggnDiagonal({ mean: true }) },
  });
  const products = [...program.graph().matchAll(/float32 (\[.*\]) = MatMul/g)].map(([, shape]) => shape);
  expect(products).toEqual(expect.arrayContaining([...parts]));
  const { each, mean } = await program.run({ x: numbers(3 * 16 * 36), target: [0, 2, 1] });
  for (const [name, { data }] of Object.entries(mean)) {
    const own = each[name]?.data ?? new Float32Array();
    const expected = Float64Array.from(data, (_, k) => {
      return [0, 1, 2].reduce((sum, n) => sum + (own[n * data.length + k] ?? Number.NaN), 0) / 3;
    });
    expectNear(data, expected, 1e-6, name);
  }
  await program.release();
});
