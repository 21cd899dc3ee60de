/** Clipped sums, against the same computed from all gradients in float64. */
import { afterAll, describe, expect, it } from "vitest";
import { type ClippedSumOptions, losses, nn, perSample, type Tensor, want } from "../../src/index.js";

const numbers = (dims: readonly number[], seed: number): Tensor<"float32"> => ({
  dtype: "float32",
  dims,
  data: Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(12.9898 * (i + 1) + seed)),
});

const model = nn.model(
  nn.sequential(nn.conv2d(1, 3, 3), nn.tanh(), nn.flatten(), nn.linear(12, 5), nn.relu(), nn.linear(5, 3)),
  { input: { x: ["N", 1, 4, 4] }, seed: 2 },
);
const names = Object.keys(model.parameters);
const batch = (samples: number) => ({
  x: numbers([samples, 1, 4, 4], 3),
  target: BigInt64Array.from({ length: samples }, (_, n) => BigInt(n % 3)),
});

const everything = await perSample(model, {
  loss: losses.crossEntropy(),
  want: { gradients: want.gradients() },
});
afterAll(() => everything.release());

type Factor = (norm: number, group: string) => number;

/** The clipped sums, by parameter, and the groups' norms. */
async function expected(samples: number, groups: Readonly<Record<string, readonly string[]>>, factor: Factor) {
  const { gradients } = await everything.run(batch(samples));
  const own = (parameter: string, n: number) => {
    const data = gradients[parameter]?.data ?? new Float32Array();
    return data.subarray((n * data.length) / samples, ((n + 1) * data.length) / samples);
  };
  const normOf = (parameters: readonly string[], n: number) =>
    Math.sqrt(parameters.reduce((sum, name) => own(name, n).reduce((total, x) => total + x * x, sum), 0));
  const all = Array.from({ length: samples }, (_, n) => n);
  const sum: Record<string, number[]> = {};
  for (const [group, parameters] of Object.entries(groups)) {
    for (const name of parameters) {
      const size = model.parameters[name]?.data.length ?? 0;
      sum[name] = Array.from({ length: size }, (_, i) =>
        all.reduce((total, n) => total + (own(name, n)[i] ?? 0) * factor(normOf(parameters, n), group), 0),
      );
    }
  }
  const norms = Object.entries(groups).map(([group, own]) => [group, all.map((n) => normOf(own, n))] as const);
  return { sum, groups: Object.fromEntries(norms), norms: all.map((n) => normOf(names, n)) };
}

function expectNear(actual: ArrayLike<number> | undefined, wanted: readonly number[] | undefined): void {
  expect(actual?.length).toBe(wanted?.length);
  const scale = Math.max(1e-6, ...(wanted ?? []).map(Math.abs));
  wanted?.forEach((value, i) => {
    expect(Math.abs((actual?.[i] ?? Number.NaN) - value)).toBeLessThanOrEqual(2e-5 * scale);
  });
}

const byParameter = Object.fromEntries(names.map((name) => [name, [name]]));
const limits = Object.fromEntries(names.map((name, k) => [name, 0.05 * (k + 1)]));
const inTwo = { convolution: ["0.*"], "linear layers": ["3.*", "5.*"] };
const twoLimits = { convolution: 0.1, "linear layers": 0.7 };
const globbed = {
  convolution: names.filter((name) => name.startsWith("0.")),
  "linear layers": names.filter((name) => !name.startsWith("0.")),
};

const cases: readonly {
  readonly what: string;
  readonly options: ClippedSumOptions;
  readonly groups: Readonly<Record<string, readonly string[]>>;
  readonly factor: Factor;
}[] = [
  {
    what: "the whole gradient",
    options: { maxNorm: 0.8 },
    groups: { all: names },
    factor: (norm) => Math.min(1, 0.8 / norm),
  },
  {
    what: "the whole gradient, strictly",
    options: { maxNorm: 0.8, strict: true },
    groups: { all: names },
    factor: (norm) => Math.min(1, 0.8 / norm),
  },
  {
    what: "each parameter to its own norm",
    options: { maxNorm: limits },
    groups: byParameter,
    factor: (norm, name) => Math.min(1, (limits[name] ?? 0) / norm),
  },
  {
    what: "groups to their own norms",
    options: { maxNorm: twoLimits, groups: inTwo },
    groups: globbed,
    factor: (norm, group) => Math.min(1, (group === "convolution" ? 0.1 : 0.7) / norm),
  },
  {
    what: "groups to one norm each",
    options: { maxNorm: 0.3, groups: inTwo },
    groups: globbed,
    factor: (norm) => Math.min(1, 0.3 / norm),
  },
  {
    what: "automatically",
    options: { maxNorm: 0.5, automatic: { gamma: 0.01 } },
    groups: { all: names },
    factor: (norm) => 0.5 / (norm + 0.01),
  },
  {
    what: "groups automatically",
    options: { maxNorm: twoLimits, groups: inTwo, automatic: { gamma: 0.2 } },
    groups: globbed,
    factor: (norm, group) => (group === "convolution" ? 0.1 : 0.7) / (norm + 0.2),
  },
];

describe.each(cases)("clipping $what", ({ options, groups, factor }) => {
  it.each([0, 1, 2, 7])("agrees with the gradients of %i samples", async (samples) => {
    const program = await perSample(model, {
      loss: losses.crossEntropy(),
      want: { clipped: want.clippedSum(options) },
    });
    const { clipped } = await program.run(batch(samples));
    await program.release();
    const wanted = await expected(samples, groups, factor);
    expect(Object.keys(clipped.sum).sort()).toEqual([...names].sort());
    for (const name of names) expectNear(clipped.sum[name]?.data, wanted.sum[name]);
    expect(Object.keys(clipped.groups)).toEqual(Object.keys(groups));
    for (const name of Object.keys(groups)) expectNear(clipped.groups[name]?.data, wanted.groups[name]);
    expectNear(clipped.norms.data, wanted.norms);
  });
});

describe("an adjustable norm", () => {
  it("of the whole gradient is another in each run, without compiling anew", async () => {
    const program = await perSample(model, {
      loss: losses.crossEntropy(),
      want: { clipped: want.clippedSum({ maxNorm: 0.8, adjustable: true }) },
    });
    for (const maxNorm of [0.8, 0.2, 1e6]) {
      const options = maxNorm === 0.8 ? {} : { maxNorms: { clipped: maxNorm } };
      const { clipped } = await program.run(batch(5), options);
      const wanted = await expected(5, { all: names }, (norm) => Math.min(1, maxNorm / norm));
      for (const name of names) expectNear(clipped.sum[name]?.data, wanted.sum[name]);
    }
    await expect(program.run(batch(5), { maxNorms: { clipped: 0 } })).rejects.toThrow('maxNorm of "clipped" is 0');
    await expect(program.run(batch(5), { maxNorms: { other: 1 } })).rejects.toThrow('no want "other"');
    await expect(program.run(batch(5), { maxNorms: { clipped: { b: 1 } } })).rejects.toThrow('clips no group "b"');
    await program.release();
  });

  it("may be given for some of the groups", async () => {
    const options = { maxNorm: twoLimits, groups: inTwo, adjustable: true };
    const program = await perSample(model, {
      loss: losses.crossEntropy(),
      want: { clipped: want.clippedSum(options) },
    });
    const { clipped } = await program.run(batch(5), { maxNorms: { clipped: { convolution: 0.02 } } });
    const wanted = await expected(5, globbed, (norm, group) =>
      Math.min(1, (group === "convolution" ? 0.02 : 0.7) / norm),
    );
    for (const name of names) expectNear(clipped.sum[name]?.data, wanted.sum[name]);
    await program.release();
  });

  it("that was not asked for cannot be given", async () => {
    const program = await perSample(model, {
      loss: losses.crossEntropy(),
      want: { clipped: want.clippedSum({ maxNorm: 1 }) },
    });
    await expect(program.run(batch(1), { maxNorms: { clipped: 2 } })).rejects.toMatchObject({ code: "MISSING_TENSOR" });
    await program.release();
  });
});

describe("groups of clipping", () => {
  const compile = (options: ClippedSumOptions) =>
    perSample(model, { loss: losses.crossEntropy(), want: { clipped: want.clippedSum(options) } });

  it("hold each parameter once", async () => {
    await expect(compile({ maxNorm: 1, groups: { a: ["0.*"] } })).rejects.toThrow('"3.weight" is in no group');
    await expect(compile({ maxNorm: 1, groups: { a: ["*"], b: ["5.bias"] } })).rejects.toThrow(
      'The parameter "5.bias" is in the groups "a" and "b"',
    );
    await expect(compile({ maxNorm: 1, groups: { a: ["nothing"] } })).rejects.toMatchObject({ code: "NO_PARAMETERS" });
  });

  it("each have a norm", async () => {
    await expect(compile({ maxNorm: { a: 1 }, groups: { a: ["0.*"], b: ["!0.*"] } })).rejects.toThrow(
      'no limit for the group "b"',
    );
    expect(() => want.clippedSum({ maxNorm: 1, groups: { a: [] } })).toThrow('The group "a" names no parameters');
    expect(() => want.clippedSum({ maxNorm: 1, automatic: { gamma: 0 } })).toThrow("gamma is 0");
  });
});
