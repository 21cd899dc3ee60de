/** What is computed from gradients with many elements or positions is accurate, though the runtime adds up in float32. */
import { describe, expect, it } from "vitest";
import { losses, type Model, nn, perSample, type Tensor, want } from "../../src/index.js";

/** Equal terms are the worst case: then all roundings are of one sign. */
function floats(dims: readonly number[], at: (i: number) => number): Tensor<"float32"> {
  return { dtype: "float32", dims, data: Float32Array.from({ length: dims.reduce((a, b) => a * b) }, (_, i) => at(i)) };
}

interface Case {
  readonly model: Model;
  readonly input: readonly number[];
  readonly output: readonly number[];
  /** Ways to the norms that are forced in turn. */
  readonly norms?: readonly string[];
}

const features = (count: number): Case => ({
  model: nn.model(nn.linear(count, 1), { seed: 0 }),
  input: [count],
  output: [1],
  norms: ["closed form", "materialise"],
});

const positions = (count: number, norms: readonly string[]): Case => ({
  model: nn.model(nn.linear(3, 2), { input: { x: ["N", count, 3] }, seed: 0 }),
  input: [count, 3],
  output: [count, 2],
  norms,
});

const cases: Readonly<Record<string, Case>> = {
  "10,007 features": features(10_007),
  "half a million features": features(500_000),
  "2,500 positions": positions(2_500, ["Gram", "Gram in parts", "materialise"]),
  "300,000 positions": positions(300_000, ["materialise"]),
  "a convolution of 400 x 401": {
    model: nn.model(nn.conv2d(1, 2, 3), { input: { x: ["N", 1, 402, 403] }, seed: 0 }),
    input: [1, 402, 403],
    output: [2, 400, 401],
  },
  "a weight of 2,000 positions, used forth and back": {
    model: nn.trace({ x: ["N", 2000, 4] }, { weight: nn.normal([4, 3]) }, ({ x }, { weight }) =>
      x
        .matmul(weight)
        .tanh()
        .matmul(weight.transpose([1, 0])),
    ),
    input: [2000, 4],
    output: [2000, 4],
    norms: ["materialise", "Gram", "Gram in parts"],
  },
};

const samples = 3;
const maxNorm = 1e-3;

/** Relative to the norms of the two: errors of an inner product. */
const sumOf = (a: ArrayLike<number>, b: ArrayLike<number>) => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
};

function furthest(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [most, largest] = [0, Number.MIN_VALUE];
  for (let i = 0; i < expected.length; i++) {
    most = Math.max(most, Math.abs((found[i] ?? Number.NaN) - (expected[i] as number)));
    largest = Math.max(largest, Math.abs(expected[i] as number));
  }
  return most / largest;
}

/** The norm of equal terms may be off by so much; sums of them, where the runtime takes them in blocks of its own, by more. */
const limit = 1e-6;
const sumLimit = 4e-6;

describe.each(Object.entries(cases))("of %s", (_, { model, input, output, norms = [] }) => {
  const data = {
    x: floats([samples, ...input], () => 0.731),
    target: floats([samples, ...output], (i) => 3 + Math.floor(i / (output.reduce((a, b) => a * b, 1) as number))),
  };

  it.each([undefined, ...norms])("norms, sums and inner products are those in float64 (norms by: %s)", async (norm) => {
    const program = await perSample(model, {
      loss: losses.mse(),
      want: {
        gradients: want.gradients(),
        norms: want.norms(),
        sum: want.sum(),
        clipped: want.clippedSum({ maxNorm }),
        gram: want.gram(),
        cosine: want.cosine(),
        moments: want.moments(),
        noise: want.noiseScale(),
      },
      strategy: norm === undefined ? {} : { norm },
    });
    const found = await program.run(data);
    const none = await program.run({
      x: floats([0, ...input], () => 0),
      target: floats([0, ...output], () => 0),
    });
    await program.release();
    const parts = Object.entries(found.gradients).map(([name, { data: all }]) => {
      const size = all.length / samples;
      return [name, Array.from({ length: samples }, (_, n) => all.subarray(n * size, (n + 1) * size))] as const;
    });
    const gram = Array.from({ length: samples ** 2 }, (_, k) =>
      parts.reduce(
        (sum, [, rows]) =>
          sum + sumOf(rows[Math.floor(k / samples)] as Float32Array, rows[k % samples] as Float32Array),
        0,
      ),
    );
    const length = (n: number) => Math.sqrt(gram[n * (samples + 1)] as number);
    expect(
      furthest(
        found.norms.total.data,
        Array.from({ length: samples }, (_, n) => length(n)),
      ),
    ).toBeLessThan(limit);
    expect(furthest(found.gram.data, gram)).toBeLessThan(2 * limit);
    const cosines = gram.map((product, k) => product / length(Math.floor(k / samples)) / length(k % samples));
    expect(furthest(found.cosine.data, cosines)).toBeLessThan(2 * limit);
    for (const [name, rows] of parts) {
      const each = rows.map((row) => Math.sqrt(sumOf(row, row)));
      expect(furthest(found.norms.parameters[name]?.data ?? [], each)).toBeLessThan(limit);
      const total = Float64Array.from(rows[0] as Float32Array, (_, i) =>
        rows.reduce((sum, row) => sum + (row[i] as number), 0),
      );
      expect(furthest(found.sum[name]?.data ?? [], total)).toBeLessThan(sumLimit);
      expect(
        furthest(
          found.moments.mean[name]?.data ?? [],
          total.map((x) => x / samples),
        ),
      ).toBeLessThan(sumLimit);
      expect(none.sum[name]?.data.every((x) => x === 0)).toBe(true);
    }
    // All gradients point the same way, so that the sum is as long as it can be.
    const clipped = Object.values(found.clipped.sum).reduce((sum, { data: own }) => sum + sumOf(own, own), 0);
    expect(Math.sqrt(clipped) / (samples * maxNorm)).toBeLessThan(1 + limit);
    expect(none.norms.total.data.length).toBe(0);
    const mean = parts.reduce((sum, [, rows]) => sum + sumOf(meanOf(rows), meanOf(rows)), 0);
    const one = gram.reduce((sum, product, k) => sum + (k % (samples + 1) === 0 ? product : 0), 0) / samples;
    const noise = ((one - mean) * samples) / (samples - 1);
    expect(Math.abs(found.noise.noise - noise) / one).toBeLessThan(4 * limit);
  });
});

function meanOf(rows: readonly Float32Array[]): Float64Array {
  const [first] = rows as [Float32Array];
  return Float64Array.from(first, (_, i) => rows.reduce((sum, row) => sum + (row[i] as number), 0) / rows.length);
}

it("the noise of equal gradients is not below 0", async () => {
  const model = nn.model(nn.linear(10_007, 1), { seed: 0 });
  const program = await perSample(model, { loss: losses.mse(), want: { noise: want.noiseScale() } });
  const data = { x: floats([5, 10_007], () => 0.731), target: floats([5, 1], () => 3) };
  const { noise } = await program.run(data);
  await program.release();
  expect(noise.noise).toBeGreaterThanOrEqual(0);
  expect(noise.noise / noise.signal).toBeLessThan(4e-6);
});
