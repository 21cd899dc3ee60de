/** Every strategy, forced in turn, gives what the planner's own choice gives. */
import { describe, expect, it } from "vitest";
import { losses, type Model, nn, perSample, type Tensor, want } from "../../src/index.js";
import { dataMethods } from "../../src/ops/subgraphs/convolution-data.js";
import type { Strategy } from "../../src/plan/strategy.js";

const noise = (dims: readonly number[], seed: number): Tensor<"float32"> => ({
  dtype: "float32",
  dims,
  data: Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(12.9898 * (i + 1) + seed)),
});

const whole = (dims: readonly number[], below: number): Tensor<"int64"> => ({
  dtype: "int64",
  dims,
  data: BigInt64Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => BigInt((i * i + 3 * i) % below)),
});

interface Case {
  readonly model: Model;
  readonly x: (samples: number) => Tensor;
  readonly classes: number;
  /** Labels per sample, where there are several. */
  readonly positions?: number;
}

const words = nn.embedding(7, 4);

/** Together they hold every kind of factored gradient, with one position and with several. */
const cases: Readonly<Record<string, Case>> = {
  "a perceptron": {
    model: nn.model(nn.sequential(nn.linear(5, 6), nn.tanh(), nn.linear(6, 3))),
    x: (samples) => noise([samples, 5], 1),
    classes: 3,
  },
  "linear layers over positions": {
    model: nn.model(nn.sequential(nn.linear(5, 4), nn.layerNorm(4), nn.tanh(), nn.linear(4, 3)), {
      input: { x: ["N", 6, 5] },
    }),
    x: (samples) => noise([samples, 6, 5], 2),
    classes: 3,
    positions: 6,
  },
  "convolutions, strided and in groups": {
    model: nn.model(
      nn.sequential(
        nn.conv2d(2, 4, 3, { padding: 1 }),
        nn.relu(),
        nn.maxPool2d(2, { stride: 1 }),
        nn.conv2d(4, 4, 3, { groups: 2 }),
        nn.conv2d(4, 3, 2, { stride: 2 }),
        nn.flatten(),
        nn.linear(12, 3),
      ),
      { input: { x: ["N", 2, 7, 7] } },
    ),
    x: (samples) => noise([samples, 2, 7, 7], 3),
    classes: 3,
  },
  "a tied embedding": {
    model: nn.model(nn.sequential(words, nn.linear(4, 4), nn.tanh(), nn.tied(words)), {
      input: { x: { shape: ["N", 5], dtype: "int64" } },
    }),
    x: (samples) => whole([samples, 5], 7),
    classes: 7,
    positions: 5,
  },
  "an LSTM": {
    model: nn.model(nn.sequential(nn.embedding(7, 4), nn.lstm(4, 5).last, nn.linear(5, 3)), {
      input: { x: { shape: ["N", 5], dtype: "int64" } },
    }),
    x: (samples) => whole([samples, 5], 7),
    classes: 3,
  },
};

const wants = {
  norms: want.norms(),
  clipped: want.clippedSum({ maxNorm: 0.5 }),
  sum: want.sum(),
  moments: want.moments(),
  gram: want.gram(),
  dot: want.dot(),
};

async function computed({ model, x, classes, positions }: Case, samples: number, strategy: Strategy) {
  const program = await perSample(model, { loss: losses.crossEntropy(), want: wants, strategy });
  const target = whole(positions === undefined ? [samples] : [samples, positions], classes);
  const vectors = Object.entries(model.parameters).map(([name, { dims }]) => [name, noise(dims, 9)] as const);
  const results = await program.run({ x: x(samples), target }, { vectors: { dot: Object.fromEntries(vectors) } });
  const { rows } = program.explain();
  await program.release();
  return { results, rows };
}

/** All numbers in a result, by where they stand. */
function numbersIn(value: unknown, path = ""): [string, ArrayLike<number>][] {
  if (typeof value !== "object" || value === null) return [];
  if ("data" in value) return [[path, (value as Tensor<"float32">).data]];
  return Object.entries(value).flatMap(([name, part]) => numbersIn(part, `${path}/${name}`));
}

function expectSame(actual: unknown, expected: unknown, what: string): void {
  const wanted = new Map(numbersIn(expected));
  for (const [path, data] of numbersIn(actual)) {
    const other = wanted.get(path) ?? [];
    expect(data.length, path).toBe(other.length);
    const scale = Math.max(1e-3, ...Array.from(other, (x) => Math.abs(x) || 0));
    // A variance of one sample is NaN, whichever way.
    const apart = (x: number, y: number) => (Object.is(x, y) ? 0 : Math.abs(x - y));
    const worst = Math.max(0, ...Array.from(data, (x, i) => apart(x, other[i] as number)));
    expect(worst, `${what}, ${path}`).toBeLessThanOrEqual(2e-5 * scale);
  }
}

const questions = {
  norm: ["materialise", "Gram", "Gram in parts", "closed form", "merge rows", "cross terms", "blocked unfold"],
  sum: ["materialise", "contract", "scatter", "term by term", "blocked unfold"],
  dot: ["materialise", "contract", "pick rows", "term by term"],
} as const;

describe.each(Object.keys(cases))("%s", (name) => {
  const test = cases[name] as Case;

  it.each([1, 4])("agrees with %i samples, whichever method is forced", async (samples) => {
    const chosen = await computed(test, samples, {});
    for (const [question, methods] of Object.entries(questions)) {
      for (const method of methods) {
        // Of models this small a block is all, unless it is said to be smaller.
        const strategy = { [question]: method, ...(method === "blocked unfold" ? { unfoldBlock: 32 } : {}) };
        const forced = await computed(test, samples, strategy).catch((error: unknown) => {
          // Not every model has a parameter with that method.
          expect(error).toMatchObject({ code: "INVALID_ARGUMENT" });
          return null;
        });
        if (!forced) continue;
        expect(forced.rows.some((row) => row[question as keyof typeof questions] === method)).toBe(true);
        expectSame(forced.results, chosen.results, `${question} by ${method}`);
      }
    }
  });

  it("agrees however convolutions and maxima are built", async () => {
    const chosen = await computed(test, 3, {});
    const built: readonly Strategy[] = [
      ...dataMethods.map((convolutionData) => ({ convolutionData })),
      ...(["gather", "oneHot", "slices"] as const).map((unfold) => ({ unfold })),
      { materialise: "blocked unfold", unfoldBlock: 32 },
      { maxPool: "indices" },
      { maxPool: "comparison" },
    ];
    for (const strategy of built)
      expectSame((await computed(test, 3, strategy)).results, chosen.results, JSON.stringify(strategy));
  });
});

describe("unfolding in blocks", () => {
  it.each([0, 1, 3])("agrees with %i samples where norms, sums and gradients are all computed so", async (samples) => {
    const test = cases["convolutions, strided and in groups"] as Case;
    const methods = { norm: "blocked unfold", sum: "blocked unfold" };
    const { results, rows } = await computed(test, samples, {
      ...methods,
      materialise: "blocked unfold",
      unfoldBlock: 32,
    });
    const convolutions = rows.filter(({ kind }) => kind === "convolution");
    expect(convolutions).toHaveLength(3);
    for (const row of convolutions)
      expect(row).toMatchObject({ ...methods, unfold: expect.stringMatching(/, in blocks$/) });
    expectSame(results, (await computed(test, samples, {})).results, "in blocks");
  });
});

describe("a strategy", () => {
  const model = nn.model(nn.sequential(nn.linear(5, 6), nn.tanh(), nn.linear(6, 3)), { input: { x: ["N", 4, 5] } });
  const options = { loss: losses.crossEntropy(), want: { norms: want.norms() } };

  it("may be for some parameters only", async () => {
    const program = await perSample(model, {
      ...options,
      strategy: { norm: "materialise", parameters: { "2.*": { norm: "Gram" } } },
    });
    const byName = Object.fromEntries(program.explain().rows.map(({ parameter, norm }) => [parameter, norm]));
    expect(byName).toMatchObject({ "0.weight": "materialise", "2.weight": "Gram", "2.bias": "materialise" });
    await program.release();
  });

  it("that no parameter knows is refused, with those that there are", async () => {
    const wrong = perSample(model, { ...options, strategy: { norm: "gramm" } });
    await expect(wrong).rejects.toThrow(/norm by "gramm".*"materialise", "Gram"/);
  });

  it("for a question that there is not is refused", async () => {
    const strategy: Record<string, string> = { norms: "Gram" };
    await expect(perSample(model, { ...options, strategy })).rejects.toThrow(/strategy has no option "norms".*"norm"/);
  });
});

describe("the planner", () => {
  const layer = (positions: number, inputs: number, outputs: number) =>
    nn.model(nn.linear(inputs, outputs, { bias: false }), { input: { x: ["N", positions, inputs] } });
  const planned = async (model: Model, wanted: "norms" | "both", batchSize?: number) => {
    const both = { norms: want.norms(), clipped: want.clippedSum({ maxNorm: 1 }) };
    const program = await perSample(model, {
      loss: losses.mse(),
      want: wanted === "norms" ? { norms: want.norms() } : both,
      ...(batchSize === undefined ? {} : { plannedBatchSize: batchSize }),
    });
    const explanation = program.explain();
    await program.release();
    return { row: explanation.rows[0], totals: explanation.totals };
  };

  it("takes the Gram trick where positions are few and the layer is large, and multiplies out where it is small", async () => {
    expect((await planned(layer(4, 256, 256), "norms")).row?.norm).toBe("Gram");
    expect((await planned(layer(64, 8, 8), "norms")).row?.norm).toBe("materialise");
  });

  it("says for which batch sizes a choice holds, and chooses otherwise beyond", async () => {
    const model = layer(24, 48, 48);
    const { row } = await planned(model, "both", 4);
    const [from, to] = row?.holds ?? [0, 0];
    expect(from).toBeLessThanOrEqual(4);
    expect(to).toBeGreaterThanOrEqual(4);
    for (const samples of [from, to])
      expect((await planned(model, "both", samples)).row).toMatchObject({ norm: row?.norm, sum: row?.sum });
    for (const samples of [from - 1, to + 1].filter((n) => n >= 1 && n < 2 ** 20)) {
      const other = (await planned(model, "both", samples)).row;
      expect([other?.norm, other?.sum]).not.toEqual([row?.norm, row?.sum]);
    }
  });

  it("totals the program between the plain mean gradient and all gradients materialised", async () => {
    const { totals } = await planned(layer(16, 64, 64), "norms");
    expect(totals.samples).toBe(64);
    expect(totals.mean.operations).toBe(64 * 16 * 64 * 64);
    expect(totals.program.milliseconds).toBeLessThanOrEqual(totals.materialised.milliseconds);
  });

  it("plans for a batch of any size", async () => {
    const [from, to] = (await planned(layer(16, 64, 64), "both", 2 ** 21)).row?.holds ?? [0, 0];
    expect(from).toBeLessThanOrEqual(2 ** 21);
    expect(to).toBe(2 ** 21);
  });

  it("refuses a program that wants nothing", async () => {
    const nothing = perSample(layer(2, 2, 2), { loss: losses.mse(), want: {} });
    await expect(nothing).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  it("refuses a batch size that is none", async () => {
    await expect(planned(layer(2, 2, 2), "norms", 0)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });
});
