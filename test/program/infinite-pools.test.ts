/**
 * A maximum of nothing but minus infinity, which is what masks leave of a sequence that is shorter, is minus infinity:
 * the runtime's pools give the lowest float. What tests for it behind the pool finds it, and gradients are those of the
 * float64 loop.
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import { Oracle } from "../../src/check/oracle.js";
import { objectiveOf } from "../../src/compile/objective.js";
import { compile, input, losses, perSample, type Traced, want, where } from "../../src/index.js";
import { uniform } from "../../src/nn/initial-values.js";
import { trace } from "../../src/nn/model.js";
import { expectClose } from "../support/per-sample.js";

const [samples, channels, length] = [3, 2, 7];

const window = fc
  .record({
    kernel: fc.integer({ min: 1, max: 4 }),
    stride: fc.integer({ min: 1, max: 3 }),
    dilation: fc.integer({ min: 1, max: 2 }),
    before: fc.integer({ min: 0, max: 1 }),
    after: fc.integer({ min: 0, max: 1 }),
    ceil: fc.integer({ min: 0, max: 1 }),
  })
  .filter(({ kernel, before, after, dilation }) => (kernel - 1) * dilation >= before + after && kernel > 1);

const pools = fc.oneof(
  fc.constant((x: Traced) => x.onnx("GlobalMaxPool")),
  window.map(({ kernel, stride, dilation, before, after, ceil }) => (x: Traced) => {
    const attributes = { strides: [stride], dilations: [dilation], pads: [before, after], ceil_mode: ceil };
    return x.onnx("MaxPool", [], { kernel_shape: [kernel], ...attributes });
  }),
);

const shown = fc.array(fc.boolean(), { minLength: samples * length, maxLength: samples * length });

it("a pool of masked elements alone is minus infinity, whatever its window", async () => {
  await fc.assert(
    fc.asyncProperty(pools, shown, async (pool, seen) => {
      const model = trace(
        { x: ["N", channels, length], hidden: ["N", 1, length] },
        { weight: uniform([channels, 1], 1) },
        ({ x, hidden }, { weight }) => {
          const masked = where(hidden.greater(0), Number.NEGATIVE_INFINITY, x.mul(weight));
          const most = pool(masked);
          return where(most.onnx("IsInf"), 0.5, most).square().sum([1, 2]);
        },
      );
      const x = Float32Array.from({ length: samples * channels * length }, (_, k) => Math.sin(7 * k) - 0.2);
      const hidden = Float32Array.from(seen, (each, k) => Number(!each || k < length));
      const program = await perSample(model, {
        loss: losses.output(),
        want: { losses: want.losses(), gradients: want.gradients() },
      });
      const { losses: found, gradients } = await program.run({ x, hidden });
      await program.release();
      const objective = objectiveOf(model, { loss: losses.output() });
      const oracle = new Oracle(objective, {
        x: { dtype: "float32", dims: [samples, channels, length], data: x },
        hidden: { dtype: "float32", dims: [samples, 1, length], data: hidden },
      });
      const loop = Array.from({ length: samples }, (_, n) => oracle.sample(n));
      expectClose(
        found.data,
        loop.map(({ loss }) => loss),
        1e-5,
        "losses",
      );
      const rows = loop.flatMap((one) => [...(one.gradients.get("weight") ?? [])]);
      expectClose(gradients.weight?.data ?? [], rows, 1e-5, "weight", 1e-6);
    }),
    { numRuns: 12 },
  );
});

it("so it is of data that holds it, where that is allowed", async () => {
  const model = trace({ x: ["N", 1, 2] }, { weight: uniform([1], 1) }, ({ x }, { weight }) => {
    const most = x.onnx("MaxPool", [], { kernel_shape: [2] });
    return where(most.onnx("IsInf"), 2, most).mul(weight).sum([1, 2]);
  });
  const program = await perSample(model, {
    loss: losses.output(),
    want: { gradients: want.gradients() },
    allowNotFinite: true,
  });
  const x = Float32Array.of(Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY, 1, 3);
  const { gradients } = await program.run({ x }, { allowNotFinite: true });
  await program.release();
  expect([...(gradients.weight?.data ?? [])]).toEqual([2, 3]);
});

it("a compiled expression's pool too", async () => {
  const x = input("x", ["N", 1, 2]);
  const program = await compile({ y: x.log().onnx("MaxPool", [], { kernel_shape: [2] }) });
  const { y } = await program.run({ x: Float32Array.of(0, 0, 0, 1) });
  await program.release();
  expect([...y.data]).toEqual([Number.NEGATIVE_INFINITY, 0]);
});
