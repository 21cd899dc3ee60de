/** Results that are not finite though the data is are never silent: whoever runs a program is told of which samples. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  losses,
  type Model,
  type NotFinite,
  type NotFiniteSample,
  type Program,
  perSample,
  type RunOptions,
  type Want,
  type Wants,
  want,
} from "../../src/index.js";
import { uniform } from "../../src/nn/initial-values.js";
import { trace } from "../../src/nn/model.js";
import "../support/seed.js";

/** The root has no derivative at 0, where a sample of zeros is: 0 times infinity. The bias behind it stays finite. */
const rooted: Model = trace(
  { x: ["N", 3] },
  { weight: uniform([3, 2], 1), bias: uniform([2], 1) },
  ({ x }, { weight, bias }) => x.matmul(weight).square().sqrt().add(bias),
);

function batch(samples: number, zeros: readonly number[]) {
  const x = Float32Array.from({ length: samples * 3 }, (_, k) => Math.sin(1 + k));
  for (const n of zeros) x.fill(0, 3 * n, 3 * n + 3);
  return { x, target: Float32Array.from({ length: samples * 2 }, (_, k) => Math.cos(k)) };
}

const vectors = {
  weight: { dtype: "float32", dims: [3, 2], data: new Float32Array(6).fill(1) },
  bias: { dtype: "float32", dims: [2], data: new Float32Array(2).fill(1) },
} as const;

const all: Readonly<Record<string, () => Want<unknown>>> = {
  norms: () => want.norms(),
  "clipped sum": () => want.clippedSum({ maxNorm: 1 }),
  "sum clipped by parameter": () => want.clippedSum({ maxNorm: { weight: 1, bias: 1 } }),
  gradients: () => want.gradients(),
  "half gradients": () => want.gradients({ storage: "float16" }),
  sum: () => want.sum(),
  mean: () => want.mean(),
  moments: () => want.moments(),
  dot: () => want.dot(vectors),
  gram: () => want.gram(),
  "noise scale": () => want.noiseScale(),
  project: () => want.project({ dims: 4, seed: 1 }),
};

async function found<W extends Wants>(
  program: Program<W>,
  data: ReturnType<typeof batch>,
  options: RunOptions = {},
): Promise<readonly NotFiniteSample[]> {
  const told: NotFinite[] = [];
  await program.run(data, { ...options, onNotFinite: (each) => told.push(each) });
  expect(told.length).toBeLessThanOrEqual(1);
  return told[0]?.samples ?? [];
}

describe.each(Object.entries(all))("a program for %s", (_, make) => {
  // Sums of all samples do not tell which: then it is looked for.
  it("tells exactly of the samples whose gradients are not finite, and of their parameters where it can", async () => {
    const program = await perSample(rooted, { loss: losses.mse(), want: { own: make() } });
    for (const zeros of [[], [2], [0, 4], [0, 1, 2, 3, 4]]) {
      const samples = await found(program, batch(5, zeros));
      expect(samples.map(({ sample }) => sample)).toEqual(zeros);
      for (const { parameters, loss } of samples) {
        expect(loss).toBe(false);
        expect(parameters).not.toContain("bias");
      }
    }
    await program.release();
  });
});

it("names the parameters, and the loss where that is not finite", async () => {
  const program = await perSample(rooted, {
    loss: losses.mse(),
    want: { gradients: want.gradients(), losses: want.losses(), sum: want.clippedSum({ maxNorm: 1 }) },
  });
  expect(await found(program, batch(3, [1]))).toEqual([{ sample: 1, loss: false, parameters: ["weight"] }]);
  const data = batch(3, []);
  data.target[5] = 1e30;
  const [sample] = await found(program, data);
  expect(sample).toMatchObject({ sample: 2, loss: true });
  await program.release();
});

it("knows losses, outputs and clipped sums by what the wants say of themselves, not by their names", async () => {
  const renamed = <R>(made: Want<R>): Want<R> => ({ ...made, name: "mine" });
  const told = async (as: <R>(made: Want<R>) => Want<R>) => {
    const program = await perSample(rooted, {
      loss: losses.mse(),
      want: {
        losses: as(want.losses()),
        outputs: as(want.outputs()),
        clipped: as(want.clippedSum({ maxNorm: 1 })),
        sum: as(want.sum()),
      },
    });
    const data = batch(3, [1]);
    data.target[5] = 1e30;
    const samples = await found(program, data);
    await program.release();
    return samples;
  };
  const samples = await told((made) => made);
  expect(samples).toMatchObject([
    { sample: 1, loss: false },
    { sample: 2, loss: true },
  ]);
  expect(await told(renamed)).toEqual(samples);
});

it("tells of a loss where nothing else is wanted", async () => {
  const program = await perSample(rooted, {
    loss: losses.mse(),
    want: { own: want.losses(), outputs: want.outputs() },
  });
  const data = batch(3, [0]);
  expect(await found(program, data)).toEqual([]);
  data.target[5] = 1e30;
  expect(await found(program, data)).toEqual([{ sample: 2, loss: true, parameters: [] }]);
  await program.release();
});

it("raises no false alarm where factors are so large that their squares overflow, but gradients are not", async () => {
  const linear: Model = trace({ x: ["N", 2] }, { weight: uniform([2, 1], 1) }, ({ x }, { weight }) => x.matmul(weight));
  const x = Float32Array.of(1e25, 1, 1, 1);
  for (const make of [want.gradients, want.sum, want.mean]) {
    const program = await perSample(linear, { loss: losses.smoothL1(), want: { own: make() } });
    const own = await program.run({ x, target: Float32Array.of(0, 0) });
    expect(own.own.weight?.data.every(Number.isFinite)).toBe(true);
    expect(await found(program, { x, target: Float32Array.of(0, 0) })).toEqual([]);
    await program.release();
  }
});

it("of large gradients of no factors tells too", async () => {
  const scaled: Model = trace({ x: ["N", 5000] }, { weight: uniform([5000], 1) }, ({ x }, { weight }) =>
    x.mul(weight).square().sqrt(),
  );
  const x = new Float32Array(2 * 5000).fill(1);
  x.fill(0, 5000, 5001);
  for (const [make, numbers] of [
    [want.gradients, [1]],
    [want.norms, [1]],
    [want.mean, [1]],
  ] as const) {
    const program = await perSample(scaled, { loss: losses.mse(), want: { own: make() } });
    const told = await found(program, { x, target: new Float32Array(2 * 5000).fill(1) });
    expect(told.map(({ sample }) => sample)).toEqual(numbers);
    expect(told.map(({ parameters }) => parameters)).toEqual([["weight"]]);
    // One after another is left out until the others are finite.
    const alone = await program.run({ x: x.subarray(0, 5000), target: new Float32Array(5000).fill(1) });
    const left = await program.run(
      { x, target: new Float32Array(10000).fill(1) },
      { notFinite: "leave out", onNotFinite: () => {} },
    );
    if (make === want.mean) expect(left).toEqual(alone);
    await program.release();
  }
});

describe("what is done about it", () => {
  const wants = () => ({
    clipped: want.clippedSum({ maxNorm: 0.5 }),
    sum: want.sum(),
    mean: want.mean(),
    losses: want.losses(),
    moments: want.moments(),
  });

  it("is a warning, once for each program, unless something else is asked for", async () => {
    const program = await perSample(rooted, { loss: losses.mse(), want: { sum: want.sum() } });
    const warnings: Error[] = [];
    const listen = (warning: Error) => warnings.push(warning);
    process.on("warning", listen);
    await program.run(batch(3, [1]), { notFinite: "ignore" });
    await program.run(batch(3, [1]), { onNotFinite: () => {} });
    await program.run(batch(3, []));
    await new Promise(setImmediate);
    expect(warnings).toEqual([]);
    await program.run(batch(3, [1]));
    await program.run(batch(3, [2]));
    await new Promise(setImmediate);
    process.removeListener("warning", listen);
    expect(warnings.map(({ message }) => message)).toEqual([
      expect.stringMatching(/^The gradient of sample 1 \(in "weight"\) is not finite\. This program warns no more: /),
    ]);
    await program.release();
  });

  it("throws where that is asked for", async () => {
    const program = await perSample(rooted, { loss: losses.mse(), want: wants() });
    await program.run(batch(4, []), { notFinite: "throw" });
    await expect(program.run(batch(4, [1, 3]), { notFinite: "throw" })).rejects.toMatchObject({
      code: "NOT_FINITE",
      message: expect.stringMatching(/^The gradient of samples 1, 3 \(in "weight"\) is not finite; /),
    });
    const odd = { notFinite: "explode" } as unknown as RunOptions;
    await expect(program.run(batch(4, []), odd)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await program.release();
  });

  it("leaves such samples out of sums and means, whatever the microbatches and chunks", async () => {
    const program = await perSample(rooted, { loss: losses.mse(), want: wants() });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 7 }),
        fc.uniqueArray(fc.nat(6), { maxLength: 4 }),
        fc.integer({ min: 1, max: 7 }),
        async (samples, drawn, size) => {
          const zeros = drawn.filter((n) => n < samples).sort((a, b) => a - b);
          const data = batch(samples, zeros);
          const kept = Array.from({ length: samples }, (_, n) => n).filter((n) => !zeros.includes(n));
          const pick = (array: Float32Array, width: number) =>
            Float32Array.from(kept.flatMap((n) => [...array.subarray(n * width, (n + 1) * width)]));
          const wanted = await program.run({ x: pick(data.x, 3), target: pick(data.target, 2) });
          const told: NotFiniteSample["sample"][] = [];
          const options: RunOptions = {
            notFinite: "leave out",
            onNotFinite: ({ samples, leftOut }) => {
              expect(leftOut).toBe(true);
              told.push(...samples.map(({ sample }) => sample));
            },
          };
          const runs = [
            program.run(data, options),
            program.run(data, { ...options, microbatchSize: size }),
            program.runAll(data, { ...options, chunkSize: size }),
          ];
          for (const results of await Promise.all(runs)) {
            for (const parameter of ["weight", "bias"]) {
              const close = (own: Float32Array | undefined, other: Float32Array | undefined) =>
                own?.forEach((value, k) => {
                  expect(value).toBeCloseTo(other?.[k] ?? Number.NaN, 5);
                });
              close(results.clipped.sum[parameter]?.data, wanted.clipped.sum[parameter]?.data);
              close(results.sum[parameter]?.data, wanted.sum[parameter]?.data);
              close(results.mean[parameter]?.data, wanted.mean[parameter]?.data);
            }
            // Each sample's own results stay.
            expect(results.losses.data).toHaveLength(samples);
            expect([...results.clipped.norms.data].flatMap((norm, n) => (Number.isFinite(norm) ? [] : [n]))).toEqual(
              zeros,
            );
          }
          expect(told.map(Number).sort((a, b) => a - b)).toEqual([...zeros, ...zeros, ...zeros].sort((a, b) => a - b));
        },
      ),
      { numRuns: 25 },
    );
    await program.release();
  });

  it("in a stream, tells the samples' numbers in the dataset, chunk by chunk", async () => {
    const program = await perSample(rooted, { loss: losses.mse(), want: { norms: want.norms() } });
    const told: NotFiniteSample["sample"][][] = [];
    const onNotFinite = ({ samples }: NotFinite) => told.push(samples.map(({ sample }) => sample));
    for await (const _ of program.stream(batch(9, [1, 2, 7]), { chunkSize: 3, onNotFinite }));
    expect(told).toEqual([[1, 2], [7]]);
    await program.release();
  });
});

/** Gradients of 2e38 each, which a float holds, and of two not. */
const large: Model = trace({ x: ["N", 1] }, { weight: uniform([1], 1) }, ({ x }, { weight }) =>
  x.mul(weight).mul(2e38),
);

describe("sums that overflow only together", () => {
  const together = [{ sample: "together", loss: false, parameters: ["weight"] }];
  const data = (samples: number) => ({ x: new Float32Array(samples).fill(1) });

  it.each([
    ["sum", { own: want.sum() }],
    ["sum beside gradients", { own: want.sum(), gradients: want.gradients() }],
  ] as const)("%s: the report says so, at once, in parts and in chunks", async (_, wants) => {
    const program = await perSample(large, { loss: losses.output(), want: wants });
    for (const mode of ["leave out", "ignore"] as const) {
      const told: NotFinite[] = [];
      const options: RunOptions = { notFinite: mode, onNotFinite: (each) => told.push(each) };
      await program.run(data(1), options);
      expect(told).toEqual([]);
      await program.run(data(3), options);
      await program.run(data(3), { ...options, microbatchSize: 1 });
      await program.runAll(data(3), { ...options, chunkSize: 1 });
      expect(told.map(({ samples }) => samples)).toEqual([together, together, together]);
      expect(told[0]).toMatchObject({ leftOut: false, message: expect.stringContaining("together they overflow") });
    }
    await expect(program.runAll(data(3), { chunkSize: 1, notFinite: "throw" })).rejects.toMatchObject({
      code: "NOT_FINITE",
    });
    await program.release();
  });
});

describe("another batch whose samples are not finite", () => {
  const told: NotFinite[] = [];
  const onNotFinite = (each: NotFinite) => told.push(each);

  it("is told of as such, and blames no sample of the batch", async () => {
    const program = await perSample(rooted, {
      loss: losses.mse(),
      want: { cross: want.cross(batch(4, [2])), norms: want.norms(), sum: want.sum() },
    });
    for (const zeros of [[], [1]]) {
      for (const size of [1, 3]) {
        told.length = 0;
        const { sum } = await program.run(batch(3, zeros), {
          onNotFinite,
          microbatchSize: size,
          notFinite: "leave out",
        });
        const own = { sample: 1, loss: false, parameters: ["weight"] };
        expect(told.map(({ samples }) => samples)).toEqual([
          [{ sample: 2, loss: false, parameters: ["weight"], others: "cross" }],
          ...(zeros.length > 0 ? [[own]] : []),
        ]);
        expect(told[0]).toMatchObject({
          leftOut: false,
          message: 'The gradient of sample 2 of the other batch of "cross" (in "weight") is not finite.',
        });
        expect(sum.weight?.data.every(Number.isFinite)).toBe(true);
      }
    }
    await expect(program.run(batch(3, []), { notFinite: "throw" })).rejects.toMatchObject({
      code: "NOT_FINITE",
      message: expect.stringMatching(/sample 2 of the other batch of "cross" \(in "weight"\)/),
    });
    await program.release();
  });

  it("is told of where a run gives it, and not once it gives another", async () => {
    const program = await perSample(rooted, { loss: losses.mse(), want: { cross: want.cross(batch(2, [])) } });
    told.length = 0;
    await program.run(batch(3, []), { onNotFinite, others: { cross: batch(2, [0]) } });
    expect(told.map(({ samples }) => samples)).toMatchObject([[{ sample: 0, others: "cross" }]]);
    await program.run(batch(3, []), { onNotFinite });
    expect(told).toHaveLength(1);
    await program.release();
  });
});

it.each(["kroneckerFactors", "fisherProduct", "trace"] as const)(
  "want.%s names the parameter that is at fault, or none",
  async (name) => {
    const made = {
      kroneckerFactors: () => want.kroneckerFactors({ kind: "type2" }),
      fisherProduct: () => want.fisherProduct({ vector: vectors }),
      trace: () => want.trace(),
    };
    const program = await perSample(rooted, { loss: losses.mse(), want: { own: made[name]() } });
    const samples = await found(program, batch(5, [1, 4]));
    expect(samples.map(({ sample }) => sample)).toEqual([1, 4]);
    for (const { parameters } of samples) expect(parameters).not.toContain("bias");
    if (name === "kroneckerFactors") for (const { parameters } of samples) expect(parameters).toEqual(["weight"]);
    await program.release();
  },
);

it.each([true, false])("looks for samples in the data as it was at the call (worker thread: %s)", async (workers) => {
  const program = await perSample(rooted, { loss: losses.mse(), want: { own: want.sum() }, workers });
  const data = batch(6, [4]);
  const told: NotFinite[] = [];
  const running = program.run(data, { onNotFinite: (each) => told.push(each) });
  data.x.fill(0);
  await running;
  expect(told.map(({ samples }) => samples)).toEqual([[{ sample: 4, loss: false, parameters: ["weight"] }]]);
  await program.release();
});

it("leaves samples out of the noise scale, and leaves inner products of pairs as they are", async () => {
  const program = await perSample(rooted, {
    loss: losses.mse(),
    want: { scale: want.noiseScale(), gram: want.gram() },
  });
  const [spoilt, clean] = [batch(5, [1, 3]), batch(5, [])];
  const kept = [0, 2, 4];
  const pick = (array: Float32Array, width: number) =>
    Float32Array.from(kept.flatMap((n) => [...array.subarray(n * width, (n + 1) * width)]));
  const expected = await program.run({ x: pick(spoilt.x, 3), target: pick(spoilt.target, 2) });
  const own = await program.run(spoilt, { notFinite: "leave out" });
  for (const key of ["signal", "noise", "scale", "signalToNoise"] as const)
    expect(own.scale[key]).toBeCloseTo(expected.scale[key], 5);
  const all = await program.run(clean);
  own.gram.data.forEach((product, k) => {
    const finite = kept.includes(Math.floor(k / 5)) && kept.includes(k % 5);
    if (finite) expect(product).toBeCloseTo(all.gram.data[k] ?? Number.NaN, 5);
    else expect(product).toBeNaN();
  });
  await program.release();
});

it("a saved program has the results that were asked for, and no others", async () => {
  const program = await perSample(rooted, { loss: losses.mse(), want: { mean: want.mean() } });
  const text = Buffer.from(program.encode()).toString("latin1");
  expect(text).toContain("mean/weight");
  expect(text).not.toContain("/squares");
  await program.release();
});

describe("a vector that is not finite", () => {
  const nan = { ...vectors, bias: { ...vectors.bias, data: Float32Array.of(1, Number.NaN) } };
  const message = 'The vector of "dot" for "bias" holds NaN or infinity; give finite numbers.';
  const wanted: Readonly<Record<string, (given: typeof vectors) => Want<unknown>>> = {
    "inner products": (given) => want.dot(given),
    "curvature products": (given) => want.hvp({ vector: given }),
  };

  it.each(Object.keys(wanted))("is named in place of the samples: %s", async (name) => {
    const made = wanted[name] as (given: typeof vectors) => Want<unknown>;
    const program = await perSample(rooted, { loss: losses.mse(), want: { dot: made(vectors) } });
    const data = batch(6, []);
    await expect(program.run(data, { vectors: { dot: nan } })).rejects.toMatchObject({ code: "NOT_FINITE", message });
    const inParts = program.run(data, { vectors: { dot: nan }, microbatchSize: 2 });
    await expect(inParts).rejects.toMatchObject({ code: "NOT_FINITE", message });
    const leftOut = program.run(data, { vectors: { dot: nan }, notFinite: "leave out" });
    await expect(leftOut).rejects.toMatchObject({ code: "NOT_FINITE", message });
    await program.run(data, { vectors: { dot: nan }, notFinite: "ignore" });
    expect(await found(program, data, { vectors: { dot: vectors } })).toEqual([]);
    await program.release();
    const withNaN = await perSample(rooted, { loss: losses.mse(), want: { dot: made(nan) } });
    await expect(withNaN.run(data)).rejects.toMatchObject({ code: "NOT_FINITE", message });
    await withNaN.release();
  });

  it("is not named if it is finite and a sample is not", async () => {
    const program = await perSample(rooted, { loss: losses.mse(), want: { dot: want.dot(vectors) } });
    expect((await found(program, batch(6, [2]))).map(({ sample }) => sample)).toEqual([2]);
    await program.release();
  });
});
