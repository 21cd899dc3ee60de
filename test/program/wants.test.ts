/** Moments, noise scale, inner products: against the same computed from the gradients of the loop in float64. */
import { describe, expect, it } from "vitest";
import { Oracle } from "../../src/check/oracle.js";
import { objectiveOf } from "../../src/compile/objective.js";
import { input, losses, type Model, nn, parameter, perSample, type Tensor, want } from "../../src/index.js";
import { nodeRuntime } from "../../src/target/onnxruntime/node.js";

const numbers = (dims: readonly number[], seed: number): Tensor<"float32"> => ({
  dtype: "float32",
  dims,
  data: Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(12.9898 * (i + 1) + seed)),
});

const words = nn.embedding(9, 4);
const models: Readonly<Record<string, { readonly model: Model; readonly x: (samples: number) => Tensor }>> = {
  "a multi-layer perceptron": {
    model: nn.model(nn.sequential(nn.linear(5, 4), nn.tanh(), nn.layerNorm(4), nn.linear(4, 3))),
    x: (samples) => numbers([samples, 5], 1),
  },
  "a convolutional network": {
    model: nn.model(
      nn.sequential(nn.conv2d(2, 4, 3, { groups: 2 }), nn.relu(), nn.conv2d(4, 3, 3), nn.flatten(), nn.linear(12, 3)),
      { input: { x: ["N", 2, 6, 6] } },
    ),
    x: (samples) => numbers([samples, 2, 6, 6], 2),
  },
  "a layer of several positions, used twice": {
    model: nn.trace({ x: ["N", 3, 20] }, { layer: nn.linear(20, 20), last: nn.linear(20, 3) }, ({ x }, parts) =>
      parts.last(parts.layer(parts.layer(x).tanh()).sum([1])),
    ),
    x: (samples) => numbers([samples, 3, 20], 3),
  },
  "a recurrent layer": {
    model: nn.trace({ x: ["N", 5, 3] }, { lstm: nn.lstm(3, 4), last: nn.linear(4, 3) }, ({ x }, parts) =>
      parts.last(parts.lstm(x).sum([1])),
    ),
    x: (samples) => numbers([samples, 5, 3], 4),
  },
  "a scalar, a gain and a parameter without gradients": { model: scaled(), x: (samples) => numbers([samples, 3], 5) },
  "a tied embedding": {
    model: nn.model(nn.sequential(words, nn.linear(4, 4), nn.tanh(), nn.tied(words)), {
      input: { x: { shape: ["N", 6], dtype: "int64" } },
    }),
    x: (samples) => ({
      dtype: "int64",
      dims: [samples, 6],
      data: BigInt64Array.from({ length: samples * 6 }, (_, i) => BigInt((i * i + 1) % 9)),
    }),
  },
};

/** Logits [N, 3] of x times a scalar and a gain, with a parameter that no gradient reaches. */
function scaled(): Model {
  const [x, s, gain, dead] = [
    input("x", ["N", 3]),
    parameter("s", [], [1.5]),
    parameter("gain", [3], [1, -2, 0.5]),
    parameter("dead", [2], [1, -1]),
  ];
  const output = x.mul(s).mul(gain).add(dead.greater(0).cast("float32").sum());
  return {
    graph: {
      inputs: [x.value],
      parameters: [s.value, gain.value, dead.value],
      outputs: [{ name: "output", value: output.value }],
    },
    parameters: {
      s: { dtype: "float32", dims: [], data: Float32Array.of(1.5) },
      gain: { dtype: "float32", dims: [3], data: Float32Array.of(1, -2, 0.5) },
      dead: { dtype: "float32", dims: [2], data: Float32Array.of(1, -1) },
    },
    sampleAxes: { x: 0 },
    leftOut: {},
    notes: [],
  };
}

const wants = {
  gradients: want.gradients(),
  moments: want.moments(),
  noise: want.noiseScale(),
  dot: want.dot(),
  gram: want.gram(),
  cosine: want.cosine(),
};

/** Largest difference, relative to the largest of the expected. */
function expectNear(actual: ArrayLike<number>, expected: readonly number[], tolerance = 2e-5, floor = 1e-6): void {
  expect(actual.length).toBe(expected.length);
  const scale = Math.max(floor, ...expected.map(Math.abs));
  expected.forEach((value, i) => {
    expect(Math.abs((actual[i] as number) - value), `element ${i}`).toBeLessThanOrEqual(tolerance * scale);
  });
}

const targetOf = (samples: number, { shape }: { readonly shape: readonly unknown[] }) => {
  const per = shape.length === 3 ? 6 : 1;
  const dims = per === 1 ? [samples] : [samples, per];
  return {
    dtype: "int64" as const,
    dims,
    data: BigInt64Array.from({ length: samples * per }, (_, i) => BigInt(i % 3)),
  };
};

async function asked(name: string, samples: number) {
  const { model, x } = models[name] as (typeof models)[string];
  const vectors = Object.fromEntries(
    Object.entries(model.parameters).map(([parameter, { dims }], k) => [parameter, numbers(dims, 7 + k)]),
  );
  const program = await perSample(model, { loss: losses.crossEntropy(), want: wants });
  const [output] = model.graph.outputs;
  const target = targetOf(samples, output?.value ?? { shape: [] });
  const found = await program.run({ x: x(samples), target }, { vectors: { dot: vectors } });
  await program.release();
  const oracle = new Oracle(objectiveOf(model, { loss: losses.crossEntropy() }), { x: x(samples), target });
  const gradients = Array.from({ length: samples }, (_, n) => oracle.sample(n).gradients);
  return { found, gradients, vectors };
}

const product = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((total, value, i) => total + value * (b[i] as number), 0);

describe.each(Object.keys(models))("of %s", (name) => {
  it.each([1, 2, 5])("with %i samples, all agree with the gradients themselves", async (samples) => {
    const { found, gradients, vectors } = await asked(name, samples);
    const own = (parameter: string, n: number) => gradients[n]?.get(parameter) ?? new Float64Array();
    const range = Array.from({ length: samples }, (_, n) => n);
    const parameters = [...(gradients[0]?.keys() ?? [])];
    const pair = (a: number, b: number) =>
      parameters.reduce((total, parameter) => total + product(own(parameter, a), own(parameter, b)), 0);
    for (const parameter of parameters) {
      const rows = range.map((n) => own(parameter, n));
      const mean = Array.from(rows[0] ?? [], (_, i) => rows.reduce((sum, row) => sum + (row[i] ?? 0), 0) / samples);
      const second = mean.map((_, i) => rows.reduce((sum, row) => sum + (row[i] ?? 0) ** 2, 0) / samples);
      const variance = mean.map(
        (m, i) => rows.reduce((sum, row) => sum + ((row[i] ?? 0) - m) ** 2, 0) / Math.max(1, samples - 1),
      );
      expectNear(found.moments.mean[parameter]?.data ?? [], mean);
      expectNear(found.moments.secondMoment[parameter]?.data ?? [], second);
      const spread = found.moments.variance[parameter]?.data ?? new Float32Array();
      if (samples === 1) expect(spread.every(Number.isNaN)).toBe(true);
      else expectNear(spread, variance);
      const vector = vectors[parameter]?.data ?? [];
      expectNear(
        found.dot.parameters[parameter]?.data ?? [],
        rows.map((row) => product(row, vector)),
      );
    }
    expectNear(
      found.dot.total.data,
      range.map((n) =>
        parameters.reduce((sum, parameter) => sum + product(own(parameter, n), vectors[parameter]?.data ?? []), 0),
      ),
    );
    const pairs = range.flatMap((a) => range.map((b) => pair(a, b)));
    expect(found.gram.dims).toEqual([samples, samples]);
    expectNear(found.gram.data, pairs);
    expectNear(
      found.cosine.data,
      range.flatMap((a) => range.map((b) => pair(a, b) / Math.sqrt(pair(a, a) * pair(b, b)))),
    );
    const whole = pairs.reduce((sum, value) => sum + value, 0) / samples ** 2;
    const noise = (range.reduce((sum, n) => sum + pair(n, n), 0) - samples * whole) / (samples - 1);
    if (samples === 1) expect(found.noise.scale).toBeNaN();
    else {
      const signal = whole - noise / samples;
      expectNear([found.noise.noise, found.noise.signal], [noise, signal], 1e-4);
      expect(found.noise.scale).toBe(found.noise.noise / found.noise.signal);
      expect(found.noise.signalToNoise).toBe(found.noise.signal / found.noise.noise);
    }
  });

  it("of an empty batch are empty, or zeros", async () => {
    const { found } = await asked(name, 0);
    expect(found.gram.dims).toEqual([0, 0]);
    expect(found.dot.total.dims).toEqual([0]);
    for (const { data } of Object.values(found.moments.mean)) expect(data.every((x) => x === 0)).toBe(true);
    expect(found.noise.scale).toBeNaN();
  });
});

describe("want.moments", () => {
  const model = nn.model(nn.sequential(nn.linear(6, 4), nn.linear(4, 3)), { seed: 2 });
  // Samples that differ in the fifth digit: of a difference of sums in float32, nothing would be left.
  const noise = numbers([7, 6], 8).data;
  const x: Tensor<"float32"> = { dtype: "float32", dims: [7, 6], data: noise.map((e, i) => (i % 6) + 1 + 5e-5 * e) };
  const target = new BigInt64Array(7);

  it("has the variance of gradients that are nearly alike", async () => {
    const loss = losses.crossEntropy();
    const program = await perSample(model, { loss, want: { moments: want.moments() } });
    const { moments } = await program.run({ x, target });
    await program.release();
    const oracle = new Oracle(objectiveOf(model, { loss }), { x, target });
    const rows = Array.from({ length: 7 }, (_, n) => oracle.sample(n).gradients);
    for (const [name, { data }] of Object.entries(moments.variance)) {
      const variance = Array.from(data, (_, i) => {
        const mean = rows.reduce((sum, row) => sum + (row.get(name)?.[i] ?? 0), 0) / 7;
        return rows.reduce((sum, row) => sum + ((row.get(name)?.[i] ?? 0) - mean) ** 2, 0) / 6;
      });
      // What the rounding of each gradient leaves.
      expectNear(data, variance, 2e-2, 0);
      const mean = moments.mean[name]?.data ?? [];
      expect(Math.max(...variance.map((v, i) => v / (mean[i] ?? 1) ** 2))).toBeLessThan(1e-6);
    }
  });

  it("adds up over the parts of a batch", async () => {
    const wanted = want.moments();
    const program = await perSample(model, { loss: losses.crossEntropy(), want: { wanted } });
    const varied = numbers([7, 6], 8);
    const part = (start: number, end: number) => ({
      x: { ...varied, dims: [end - start, 6], data: varied.data.slice(start * 6, end * 6) },
      target: target.slice(start, end),
    });
    const whole = (await program.run(part(0, 7))).wanted;
    const session = await nodeRuntime.load(program.encode());
    const tensors: Record<string, Tensor>[] = [];
    for (const [start, end] of [
      [0, 3],
      [3, 4],
      [4, 7],
    ] as const) {
      const { x, target } = part(start, end);
      tensors.push(await session.run({ x, target: { dtype: "int64", dims: [end - start], data: target } }));
    }
    await session.release();
    await program.release();
    const added = Object.entries(tensors[0] ?? {}).map(([name, first]) => {
      const data = Float32Array.from(first.data as Float32Array, (_, i) =>
        tensors.reduce((sum, part) => sum + Number(part[name]?.data[i]), 0),
      );
      return [name.slice("wanted/".length), { ...first, data }] as const;
    });
    const joined = wanted.read(Object.fromEntries(added) as Record<string, Tensor>, 7);
    for (const of of ["mean", "secondMoment", "variance"] as const)
      for (const [name, { data }] of Object.entries(whole[of])) expectNear(joined[of][name]?.data ?? [], [...data]);
  });
});

describe("vectors of want.dot", () => {
  const model = nn.model(nn.linear(3, 2), { input: { x: ["N", 3] }, seed: 1 });
  const data = { x: numbers([2, 3], 3), target: BigInt64Array.of(0n, 1n) };
  const bias: Tensor<"float32"> = { dtype: "float32", dims: [2], data: Float32Array.of(1, -2) };

  it("given beforehand say which parameters take part, and may be replaced in a run", async () => {
    const program = await perSample(model, { loss: losses.crossEntropy(), want: { along: want.dot({ bias }) } });
    const first = await program.run(data);
    expect(Object.keys(first.along.parameters)).toEqual(["bias"]);
    const double = { ...bias, data: bias.data.map((x) => 2 * x) };
    const second = await program.run(data, { vectors: { along: { bias: double } } });
    expect([...second.along.total.data]).toEqual([...first.along.total.data].map((x) => 2 * x));
    await program.release();
  });

  it("are missed, and refused where they do not fit", async () => {
    const program = await perSample(model, { loss: losses.crossEntropy(), want: { along: want.dot() } });
    await expect(program.run(data)).rejects.toThrow(
      '"along" takes inner products with vectors, but there is none for the parameter "weight"',
    );
    await expect(program.run(data, { vectors: { other: { bias } } })).rejects.toMatchObject({ code: "MISSING_TENSOR" });
    const wrong = { weight: bias, bias };
    await expect(program.run(data, { vectors: { along: wrong } })).rejects.toMatchObject({ code: "SHAPE_MISMATCH" });
    await program.release();
    const unknown = perSample(model, { loss: losses.crossEntropy(), want: { along: want.dot({ nobody: bias }) } });
    await expect(unknown).rejects.toMatchObject({ code: "MISSING_TENSOR" });
  });
});
