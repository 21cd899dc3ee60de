/** What one sample may change in a step's sum, whatever the data. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { losses, type Model, nn, sgd, type Tensor } from "../../src/index.js";
import type { Module } from "../../src/nn/module.js";
import { type Random, random } from "../../src/tensor/random.js";
import { BatchClipper } from "../../src/train/clipped-batch.js";
import { margin } from "../../src/train/part-clipper.js";
import { setup } from "../../src/train/setup.js";
import type { ClippingOptions } from "../../src/train/types.js";

const trials = 250;
const perTrial = 6;

/** Numbers of any size, and what is not a number. */
function wild(source: Random): number {
  const kind = source.uniform(0, 1);
  if (kind < 0.02) return Number.NaN;
  if (kind < 0.04) return source.normal() < 0 ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
  if (kind < 0.08) return source.normal() < 0 ? 1e38 : -1e38;
  if (kind < 0.12) return 0;
  return source.normal() * 10 ** source.uniform(-40, 38);
}

/** Of one sample: tame, large, wild, or one number throughout, so that large terms cancel. */
function sampleOf(size: number, source: Random): number[] {
  const kind = source.uniform(0, 1);
  const scale = 10 ** source.uniform(-5, 19);
  const constant = source.normal() * scale;
  const element = () => {
    if (kind < 0.2) return wild(source);
    if (kind < 0.5) return source.normal() * scale;
    if (kind < 0.7) return constant;
    return kind < 0.9 ? constant * (1 + 1e-6 * source.normal()) : source.normal();
  };
  return Array.from({ length: size }, element);
}

function anyData(shape: readonly number[], source: Random): Tensor<"float32"> {
  const size = shape.reduce((a, b) => a * b, 1);
  const data = Array.from({ length: trials * perTrial }, () => sampleOf(size, source)).flat();
  return { dtype: "float32", dims: [trials * perTrial, ...shape], data: Float32Array.from(data) };
}

/** Of one sample's output. */
function outputShape(model: Model): number[] {
  const [output] = model.graph.outputs as [Model["graph"]["outputs"][number]];
  return output.value.shape.slice(1) as number[];
}

interface Case {
  readonly model: Model;
  readonly shape: readonly number[];
  readonly clipping?: Partial<ClippingOptions>;
}

const flat = (shape: readonly number[], ...modules: Module[]) =>
  nn.model(nn.sequential(...modules), { input: { x: ["N", ...shape] }, seed: 1 });

const cases: Readonly<Record<string, Case>> = {
  "a perceptron": { model: flat([4], nn.linear(4, 5), nn.relu(), nn.linear(5, 3)), shape: [4] },
  "a convolutional network": {
    model: flat([1, 5, 5], nn.conv2d(1, 2, 3), nn.relu(), nn.conv2d(2, 2, 2), nn.flatten(), nn.linear(8, 3)),
    shape: [1, 5, 5],
  },
  "a network over positions, in two groups": {
    model: flat([8, 3], nn.linear(3, 4), nn.layerNorm(4), nn.linear(4, 2), nn.flatten(), nn.linear(16, 3)),
    shape: [8, 3],
    clipping: { groups: { head: ["4.*"], body: ["!4.*"] } },
  },
  "positions that are taken from each other": {
    model: nn.trace({ x: ["N", 3, 40] }, { layer: nn.linear(40, 48) }, ({ x }, { layer }) => {
      const rows = layer(x).tanh();
      return rows
        .slice(1, 0, 2)
        .sub(rows.slice(1, 1, 3))
        .reshape(["N", 96])
        .onnx("Softsign");
    }),
    shape: [3, 40],
  },
  "a weight used forth and back": {
    model: nn.trace({ x: ["N", 6] }, { weight: nn.normal([6, 5]) }, ({ x }, { weight }) =>
      x
        .matmul(weight)
        .tanh()
        .matmul(weight.transpose([1, 0])),
    ),
    shape: [6],
  },
  "positions that are averaged, automatically clipped": {
    model: nn.model(nn.sequential(nn.linear(3, 4), nn.tanh(), nn.linear(4, 3)), { input: { x: ["N", 8, 3] }, seed: 2 }),
    shape: [8, 3],
    clipping: { automatic: { gamma: 0.01 } },
  },
};

describe("the sum of a large batch", () => {
  it("differs by the norm at most where one of 20,000 equal samples is left out", async () => {
    const samples = 20_000;
    const model = nn.model(nn.linear(3, 2), { seed: 1 });
    const row = [0.3, -0.7, 0.9];
    const x = Float32Array.from({ length: samples * 3 }, (_, i) => row[i % 3] as number);
    const target = Float32Array.from({ length: samples * 2 }, (_, i) => (i % 2 === 0 ? 5 : -5));
    const steps = { loss: losses.mse(), optimizer: sgd({ learningRate: 1 }), batchSize: samples, maxNorm: 1 };
    const data = {
      x: { dtype: "float32", dims: [samples, 3], data: x },
      target: { dtype: "float32", dims: [samples, 2], data: target },
    } as const;
    const own = await setup(model, data, steps, true);
    const clipper = await BatchClipper.compile(own, steps);
    const run = { parameters: own.parameters, groups: Object.fromEntries(clipper.groups.map(({ name }) => [name, 1])) };
    const batch = Uint32Array.from({ length: samples }, (_, n) => n);
    const all = new Map([...(await clipper.run(batch, 0, run)).sums].map(([name, sum]) => [name, sum.slice()]));
    const fewer = await clipper.run(batch.subarray(1), 0, run);
    const squares = [...all].flatMap(([name, sum]) =>
      Array.from(sum, (value, i) => (value - (fewer.sums.get(name)?.[i] ?? Number.NaN)) ** 2),
    );
    const moved = Math.sqrt(squares.reduce((total, square) => total + square, 0));
    await clipper.release();
    expect(moved).toBeLessThanOrEqual(1);
    expect(moved).toBeGreaterThan(0.99);
  });
});

/** One axis is long; equal elements are the worst case, since then all roundings of a sum are of one sign. */
const long: Readonly<Record<string, (length: number) => { readonly model: Model; readonly shape: readonly number[] }>> =
  {
    features: (length) => ({ model: nn.model(nn.linear(length, 1), { seed: 1 }), shape: [length] }),
    outputs: (length) => ({ model: nn.model(nn.linear(1, length), { seed: 1 }), shape: [1] }),
    positions: (length) => ({
      model: nn.model(nn.linear(2, 1), { input: { x: ["N", length, 2] }, seed: 1 }),
      shape: [length, 2],
    }),
  };

describe.each(Object.keys(long))(
  "the sums of two data sets that differ in one sample, of a model with many %s",
  (name) => {
    it("differ by the norm at most", async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.double({ min: 4, max: name === "features" ? 7 : 6, noNaN: true }),
          fc.double({ min: 0.1, max: 3, noNaN: true }),
          fc.constantFrom(0, 0.3),
          async (digits, offset, spread) => {
            const { model, shape } = (long[name] as (typeof long)[string])(Math.round(10 ** digits));
            const filled = (dims: readonly number[]): Tensor<"float32"> => {
              const size = dims.reduce((a, b) => a * b, 1);
              const data = Float32Array.from({ length: size }, (_, i) => offset * (1 + spread * Math.sin(i)));
              return { dtype: "float32", dims, data };
            };
            const data = { x: filled([2, ...shape]) };
            const target = filled([2, ...outputShape(model)]);
            target.data.fill(1e3);
            const steps = { loss: losses.mse(), optimizer: sgd({ learningRate: 1 }), batchSize: 1, maxNorm: 1e-3 };
            const own = await setup(model, { ...data, target }, steps, true);
            const clipper = await BatchClipper.compile(own, steps);
            const groups = Object.fromEntries(clipper.groups.map((group) => [group.name, 1e-3]));
            const run = { parameters: own.parameters, groups };
            const both = await clipper.run(Uint32Array.of(0, 1), 0, run);
            const sums = new Map([...both.sums].map(([parameter, sum]) => [parameter, sum.slice()]));
            const one = await clipper.run(Uint32Array.of(1), 0, run);
            await clipper.release();
            let square = 0;
            for (const [parameter, sum] of sums) {
              const other = one.sums.get(parameter) as Float64Array;
              for (let i = 0; i < sum.length; i++) square += ((sum[i] as number) - (other[i] as number)) ** 2;
            }
            const moved = Math.sqrt(square) / 1e-3;
            expect(moved).toBeLessThanOrEqual(1);
            // The norm that is clipped to, but for a few units of 1e-6.
            expect(moved).toBeGreaterThan(1 - margin - 4e-6);
            expect(moved).toBeLessThan(1 - margin + 4e-6);
          },
        ),
        { numRuns: 2 },
      );
    });
  },
);

describe.each(Object.keys(cases))("the sums of two data sets that differ in one sample, of %s", (name) => {
  it(`differ by the norm at most, in ${trials} trials`, async () => {
    const { model, shape, clipping } = cases[name] as Case;
    const source = random(7);
    const data = { x: anyData(shape, source) };
    const steps = {
      loss: losses.mse(),
      optimizer: sgd({ learningRate: 1 }),
      batchSize: 1,
      maxNorm: 1,
      ...clipping,
    };
    const targets = anyData(outputShape(model), source);
    const own = await setup(model, { ...data, target: targets }, steps, true);
    const clipper = await BatchClipper.compile(own, steps);
    let worst = 0;
    let dropped = 0;
    let clipped = 0;
    for (let trial = 0; trial < trials; trial++) {
      const batch = Uint32Array.from({ length: perTrial }, (_, n) => trial * perTrial + n);
      const without = Math.floor(source.uniform(0, perTrial));
      const groups = Object.fromEntries(clipper.groups.map((group) => [group.name, 10 ** source.uniform(-3, 3)]));
      const run = { parameters: own.parameters, groups };
      const all = await clipper.run(batch, 0, run);
      const sums = new Map([...all.sums].map(([parameter, sum]) => [parameter, sum.slice()]));
      const fewer = await clipper.run(
        batch.filter((_, n) => n !== without),
        0,
        run,
      );
      let square = 0;
      for (const [parameter, sum] of sums)
        sum.forEach((x, i) => {
          square += (x - (fewer.sums.get(parameter)?.[i] ?? Number.NaN)) ** 2;
        });
      worst = Math.max(worst, Math.sqrt(square) / Math.hypot(...Object.values(groups)));
      dropped += all.dropped.length;
      clipped += all.clipped;
    }
    await clipper.release();
    expect(worst).toBeLessThanOrEqual(1);
    expect(worst).toBeGreaterThan(0.99);
    expect(dropped).toBeGreaterThan(trials / 10);
    expect(clipped).toBeGreaterThan(trials / 10);
  });
});
