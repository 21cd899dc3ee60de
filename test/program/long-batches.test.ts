/** Sums over thousands of samples, and over thousands of positions that hold one token, are those of float64. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { losses, type Model, nn, perSample, type Tensor, want } from "../../src/index.js";
import "../support/seed.js";

const floats = (dims: readonly number[], value: (i: number) => number): Tensor<"float32"> => {
  return {
    dtype: "float32",
    dims,
    data: Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => value(i)),
  };
};

/** A loss that is linear in the weight and the bias: then the gradients are the data. */
function linear(size: number): Model {
  const parts = { weight: nn.ones([size]), bias: nn.ones([1]) };
  return nn.trace({ x: ["N", size] }, parts, ({ x }, { weight, bias }) => ({
    loss: x.mul(weight).sum([1]).add(bias.sum()),
  }));
}

const largest = (data: ArrayLike<number>) => Array.from(data).reduce((most, x) => Math.max(most, Math.abs(x)), 0);

function errorOf(found: Tensor | undefined, expected: ArrayLike<number>): number {
  const data = found?.data as Float32Array;
  expect(data.length).toBe(expected.length);
  const off = largest(Array.from(data, (x, i) => x - (expected[i] as number)));
  return off / (largest(expected) || 1);
}

/** Of sums over the samples, relative. */
const limit = 1e-6;

describe("of a batch of up to some thousands, with equal and nearly equal gradients,", () => {
  it("sum, mean, clipped sum, moments and norms err by 1e-6 at most", async () => {
    const maxNorm = 0.37;
    const wants = {
      norms: want.norms(),
      sum: want.sum(),
      mean: want.mean(),
      clipped: want.clippedSum({ maxNorm }),
      moments: want.moments(),
    };
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 5000 }),
        fc.integer({ min: 1, max: 40 }),
        fc.double({ min: 0.1, max: 3, noNaN: true }),
        fc.constantFrom(0, 1e-4, 0.5),
        async (samples, size, offset, spread) => {
          const program = await perSample(linear(size), { loss: losses.output(), output: "loss", want: wants });
          const x = floats([samples, size], (i) => offset * (1 + spread * Math.sin(1.3 * i + (i % size))));
          const found = await program.run({ x });
          await program.release();
          const row = (n: number) => x.data.subarray(n * size, (n + 1) * size);
          const norms = Array.from({ length: samples }, (_, n) => Math.sqrt(row(n).reduce((s, v) => s + v * v, 1)));
          expect(errorOf(found.norms.total, norms)).toBeLessThan(5e-7);
          const over = (term: (v: number, n: number) => number) =>
            Array.from({ length: size }, (_, k) => norms.reduce((s, _, n) => s + term(row(n)[k] as number, n), 0));
          const sum = over((v) => v);
          const mean = sum.map((v) => v / samples);
          expect(errorOf(found.sum.weight, sum)).toBeLessThan(limit);
          expect(errorOf(found.sum.bias, [samples])).toBeLessThan(limit);
          expect(errorOf(found.mean.weight, mean)).toBeLessThan(limit);
          expect(errorOf(found.mean.bias, [1])).toBeLessThan(limit);
          const factors = norms.map((norm) => Math.min(1, maxNorm / norm));
          const clipped = over((v, n) => v * (factors[n] as number));
          expect(errorOf(found.clipped.sum.weight, clipped)).toBeLessThan(limit);
          expect(errorOf(found.moments.mean.weight, mean)).toBeLessThan(limit);
          if (samples < 2) return;
          const deviations = Array.from({ length: size }, (_, k) =>
            norms.reduce((s, _, n) => s + ((row(n)[k] as number) - (mean[k] as number)) ** 2, 0),
          );
          // The mean that deviations are from is a float32 sum over the first axis, which errs twice as much.
          const variance = deviations.map((v) => v / (samples - 1));
          const rounding = (2 * limit * largest(mean)) ** 2;
          found.moments.variance.weight?.data.forEach((v, k) => {
            const exact = variance[k] as number;
            expect(Math.abs(v - exact)).toBeLessThan(3e-6 * exact + 4 * Math.sqrt(exact * rounding) + 4 * rounding);
          });
        },
      ),
      {
        numRuns: 15,
        examples: [257, 512, 1000, 1024, 4096].map(
          (samples) => [samples, 3, 0.7, 0] as [number, number, number, number],
        ),
      },
    );
  });
});

describe("of a table whose rows are picked thousands of times,", () => {
  it("scattered sums err by 1e-6 at most", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 600 }),
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 2, max: 12 }),
        fc.double({ min: 0.1, max: 3, noNaN: true }),
        async (samples, positions, rows, offset) => {
          const size = 3;
          const parts = { table: nn.ones([rows, size]) };
          const shapes = { x: { shape: ["N", positions], dtype: "int64" }, scale: ["N", positions, size] } as const;
          const model = nn.trace(shapes, parts, ({ x, scale }, { table }) => ({
            loss: table.gather(x).mul(scale).sum([1, 2]),
          }));
          const wants = { sum: want.sum(), clipped: want.clippedSum({ maxNorm: 1e6 }) };
          const strategy = { sum: "scatter" };
          const program = await perSample(model, { loss: losses.output(), output: "loss", want: wants, strategy });
          const places = Array.from({ length: samples * positions }, (_, p) => (p % 7 === 0 ? p % rows : 0));
          const x: Tensor = { dtype: "int64", dims: [samples, positions], data: BigInt64Array.from(places, BigInt) };
          const scale = floats([samples, positions, size], (i) => offset * (1 + 0.01 * (i % size)));
          const found = await program.run({ x, scale });
          await program.release();
          const sum = new Float64Array(rows * size);
          places.forEach((row, p) => {
            const to = sum.subarray(row * size, (row + 1) * size);
            to.forEach((before, k) => {
              to[k] = before + (scale.data[p * size + k] as number);
            });
          });
          expect(errorOf(found.sum.table, sum)).toBeLessThan(1e-6);
          expect(errorOf(found.clipped.sum.table, sum)).toBeLessThan(1e-6);
        },
      ),
      { numRuns: 12, examples: [[600, 60, 3, 0.7]] },
    );
  });
});

describe("of a layer with one output over many positions,", () => {
  it("sums err by what sums over the samples alone do", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 1500 }),
        fc.integer({ min: 2, max: 300 }),
        fc.constantFrom([1, 3], [3, 1], [1, 1]),
        fc.double({ min: 0.1, max: 3, noNaN: true }),
        async (samples, positions, [rows, columns], offset) => {
          const [i, o] = [rows as number, columns as number];
          const shapes = { x: ["N", positions, i], scale: ["N", positions, o] } as const;
          const model = nn.trace(shapes, { weight: nn.ones([i, o]) }, ({ x, scale }, { weight }) => ({
            loss: x.matmul(weight).mul(scale).sum([1, 2]),
          }));
          const wants = { sum: want.sum(), clipped: want.clippedSum({ maxNorm: 1e9 }) };
          const strategy = { sum: "contract" };
          const program = await perSample(model, { loss: losses.output(), output: "loss", want: wants, strategy });
          const x = floats([samples, positions, i], () => offset);
          const scale = floats([samples, positions, o], () => 0.731);
          const found = await program.run({ x, scale });
          await program.release();
          const each = samples * positions * (x.data[0] as number) * (scale.data[0] as number);
          const expected = Array<number>(i * o).fill(each);
          expect(errorOf(found.sum.weight, expected)).toBeLessThan(1e-6 + limit);
          expect(errorOf(found.clipped.sum.weight, expected)).toBeLessThan(1e-6 + limit);
        },
      ),
      { numRuns: 12, examples: [[1500, 50, [1, 3], 0.7]] },
    );
  });
});

describe("of a layer with several inputs and outputs over many positions,", () => {
  it("sums err by little more than 128 terms in a row do, however many there are", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 300 }),
        fc.constantFrom(1, 3, 64, 250, 1024, 4095, 4096),
        fc.constantFrom([2, 3], [8, 16], [40, 64], [130, 140]),
        fc.double({ min: 0.1, max: 3, noNaN: true }),
        async (samples, positions, [rows, columns], offset) => {
          const [i, o] = [rows as number, columns as number];
          // Enough for every sum to be long, and for the test to be short.
          const count = Math.max(1, Math.min(samples, Math.floor(6e6 / (positions * (i + o)))));
          const shapes = { x: ["N", positions, i], scale: ["N", positions, o] } as const;
          const model = nn.trace(shapes, { weight: nn.ones([i, o]) }, ({ x, scale }, { weight }) => ({
            loss: x.matmul(weight).mul(scale).sum([1, 2]),
          }));
          const wants = { sum: want.sum(), clipped: want.clippedSum({ maxNorm: 1e9 }) };
          const strategy = { sum: "contract" };
          const program = await perSample(model, { loss: losses.output(), output: "loss", want: wants, strategy });
          const x = floats([count, positions, i], () => offset);
          const scale = floats([count, positions, o], () => 0.731);
          const found = await program.run({ x, scale });
          await program.release();
          const each = count * positions * (x.data[0] as number) * (scale.data[0] as number);
          const expected = Array<number>(i * o).fill(each);
          expect(errorOf(found.sum.weight, expected)).toBeLessThan(3e-6);
          expect(errorOf(found.clipped.sum.weight, expected)).toBeLessThan(3e-6);
        },
      ),
      {
        numRuns: 12,
        examples: [
          [256, 1024, [8, 16], 0.7],
          [20, 1024, [130, 140], 0.7],
        ],
      },
    );
  });
});

describe("of a product along an axis of many features,", () => {
  it("per-sample gradients err by little more than 128 terms in a row do, whatever divides their number", async () => {
    for (const terms of [8192, 8209, 12_288, 16_384, 20_011, 65_536]) {
      const shapes = { x: ["N", terms, 4], scale: ["N", terms, 128] } as const;
      const model = nn.trace(shapes, { weight: nn.ones([4, 128]) }, ({ x, scale }, { weight }) => ({
        loss: x.matmul(weight).mul(scale).sum([1, 2]),
      }));
      const wants = { gradients: want.gradients() };
      const program = await perSample(model, { loss: losses.output(), output: "loss", want: wants });
      const x = floats([1, terms, 4], () => 0.7);
      const scale = floats([1, terms, 128], () => 0.731);
      const { gradients } = await program.run({ x, scale });
      await program.release();
      const each = terms * (x.data[0] as number) * (scale.data[0] as number);
      expect(errorOf(gradients.weight, Array<number>(4 * 128).fill(each))).toBeLessThan(3e-6);
    }
  });
});
