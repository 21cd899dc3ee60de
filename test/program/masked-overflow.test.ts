/** A cotangent that overflows float32 leaves nothing where a value was selected away: 0, not infinity times 0. */
import { expect, it } from "vitest";
import { losses, perSample, want } from "../../src/index.js";
import { uniform } from "../../src/nn/initial-values.js";
import { trace } from "../../src/nn/model.js";
import { concat, constant, expand, stack, where } from "../../src/trace/index.js";
import type { Traced } from "../../src/trace/traced.js";

const filled = (value: number) => ({ dtype: "float32", dims: [4], data: new Float32Array(4).fill(value) }) as const;

/** Zeros, for numbers below 0. */
const nothing = (x: Traced) => x.greater(0).cast("float32");

const discarding: Readonly<Record<string, (x: Traced) => Traced>> = {
  "a Relu": (x) => x.relu(),
  "a Clip": (x) => x.clip(0, 1),
  "a maximum": (x) => x.maximum(0),
  "a minimum": (x) => x.neg().minimum(0),
  "a Where": (x) => where(x.greater(0), x, 0),
  "a HardSigmoid": (x) => x.onnx("HardSigmoid", [], { beta: 0 }),
  "a HardSwish": (x) => x.mul(4).onnx("HardSwish"),
  "a maximum along an axis": (x) => stack([x, nothing(x)], 2).max(2),
  "a ScatterElements that overwrites": (x) => {
    const places = expand(constant([[0, 1, 2, 3, 0, 1, 2, 3]], "int64"), ["N", 8]);
    return nothing(x).onnx("ScatterElements", [places, concat([x, nothing(x)], 1)], { axis: 1 });
  },
};

it.each(Object.entries(discarding))("%s that discards a value has a gradient of 0 there", async (_, discard) => {
  const model = trace(
    { x: ["N", 4] },
    { below: uniform([4], 1), first: uniform([4], 1), second: uniform([4], 1) },
    ({ x }, { below, first, second }) => discard(x.mul(below)).mul(first).mul(second),
  );
  const program = await perSample(model, {
    loss: losses.mse(),
    want: { gradients: want.gradients(), mean: want.mean() },
  });
  const parameters = { below: filled(1), first: filled(1e20), second: filled(1e20) };
  const data = { x: new Float32Array(8).fill(-1), target: new Float32Array(8).fill(1) };
  const { gradients, mean } = await program.run(data, { parameters, notFinite: "throw" });
  for (const found of [gradients, mean])
    for (const { data: elements } of Object.values(found))
      expect([...elements].every((each) => Number(each) === 0)).toBe(true);
  await program.release();
});

it("a PRelu's slope gets nothing from elements above 0", async () => {
  const model = trace(
    { x: ["N", 4] },
    { slope: uniform([4], 1), first: uniform([4], 1), second: uniform([4], 1) },
    ({ x }, { slope, first, second }) => x.onnx("PRelu", [slope]).mul(first).mul(second),
  );
  const program = await perSample(model, { loss: losses.mse(), want: { gradients: want.gradients() } });
  const parameters = { slope: filled(1), first: filled(1e20), second: filled(1e20) };
  const { gradients } = await program.run(
    { x: new Float32Array(8).fill(1e-38), target: new Float32Array(8).fill(1) },
    { parameters, notFinite: "ignore" },
  );
  expect([...(gradients.slope?.data ?? [])]).toEqual(Array(8).fill(0));
  await program.release();
});

it("a pool whose windows overlap passes nothing to elements that are nowhere the largest", async () => {
  const model = trace(
    { x: ["N", 1, 3, 3] },
    { below: uniform([3, 3], 1), first: uniform([1], 1), second: uniform([1], 1) },
    ({ x }, { below, first, second }) =>
      x
        .mul(below)
        .onnx("MaxPool", [], { kernel_shape: [2, 2], strides: [1, 1] })
        .mul(first)
        .mul(second)
        .reshape(["N", 4]),
  );
  const program = await perSample(model, { loss: losses.mse(), want: { gradients: want.gradients() } });
  const one = (value: number) => ({ dtype: "float32", dims: [1], data: Float32Array.of(value) }) as const;
  const below = { dtype: "float32", dims: [3, 3], data: new Float32Array(9).fill(1) } as const;
  // The largest is in the middle, and so in all four windows.
  const data = { x: Float32Array.of(-1, -2, -3, -4, 0, -5, -6, -7, -8), target: new Float32Array(4).fill(1) };
  const { gradients } = await program.run(data, {
    parameters: { below, first: one(1e20), second: one(1e20) },
    notFinite: "ignore",
  });
  const found = [...(gradients.below?.data ?? [])].map(Number);
  expect(found.length).toBe(9);
  expect(found.filter((each, k) => k !== 4 && each !== 0)).toEqual([]);
  await program.release();
});
