/** What a cotangent leaves out may be multiplied by a mask, if it is finite, with the same results as selecting. */
import { expect, it } from "vitest";
import { nn, perSample, want, withParameters } from "../../src/index.js";
import { expectNear } from "./support.js";

const numbers = (count: number) => Float32Array.from({ length: count }, (_, k) => Math.sin(1 + 3 * k));
const target = [0, 2, 1];
const wants = { each: want.ggnDiagonal(), mean: want.ggnDiagonal({ mean: true }) };
const first = { each: want.gradients(), mean: want.mean() };

it.each([
  ["a maximum that overlaps its neighbours", nn.maxPool2d(2, { stride: 1 }), nn.relu(), 5],
  ["a maximum with padding", nn.maxPool2d(3, { stride: 2, padding: 1 }), nn.relu(), 6],
  ["a clip", nn.maxPool2d(2, { stride: 1 }), nn.module((x) => x.clip(-1, 0.5)), 5],
] as const)("gives what choosing gives: %s", async (_, pool, activation, size) => {
  const module = nn.sequential(nn.conv2d(2, 4, 3, { stride: 1 }), pool, activation, nn.flatten(), nn.linear(16, 3));
  const model = nn.model(module, { input: { x: ["N", 2, size, size] }, seed: 2 });
  const data = { x: numbers(3 * 2 * size * size), target };
  for (const want of [wants, first]) {
    const multiplied = await perSample(model, { loss: "cross_entropy", want, strategy: { masks: "multiply" } });
    const chosen = await perSample(model, { loss: "cross_entropy", want, strategy: { masks: "choose" } });
    expect(multiplied.graph()).not.toMatch(/= Where\(/);
    expect(chosen.graph()).toMatch(/= (Where|ScatterElements)\(/);
    const [found, expected] = [await multiplied.run(data), await chosen.run(data)];
    for (const kind of ["each", "mean"] as const)
      for (const [name, { data: all }] of Object.entries(expected[kind]))
        expectNear(found[kind][name]?.data, all, 1e-6, `${kind} of ${name}`, Math.max(...all.map(Math.abs)));
    await multiplied.release();
    await chosen.release();
  }
});

it("chooses where a cotangent may be infinite: behind a root at 0", async () => {
  const module = nn.sequential(
    nn.linear(2, 2),
    nn.relu(),
    nn.module((x) => x.sqrt()),
    nn.linear(2, 3),
  );
  const given = nn.model(module, { input: { x: ["N", 2] }, seed: 2 });
  const weight = { dtype: "float32", dims: [2, 2], data: Float32Array.of(1, 0, 0, 1) } as const;
  const bias = { dtype: "float32", dims: [2], data: Float32Array.of(0, 0) } as const;
  const model = withParameters(given, { "0.weight": weight, "0.bias": bias });
  const program = await perSample(model, { loss: "cross_entropy", want: wants });
  // Of each sample one of the two is cut off, where the root's slope is infinite.
  const { each } = await program.run({ x: [1, -1, -2, 3, -1, 2], target });
  const [first, second] = [each["0.bias"]?.data.slice(0, 2), each["0.bias"]?.data.slice(2, 4)];
  expect(first?.[0]).toBeGreaterThan(0);
  expect(first?.[1]).toBe(0);
  expect(second?.[0]).toBe(0);
  expect(second?.[1]).toBeGreaterThan(0);
  await program.release();
});
