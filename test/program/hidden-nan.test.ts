/** A NaN inside a model is reported even if an operator hides it: the results behind that operator are finite and mean nothing. */
import { describe, expect, it, vi } from "vitest";
import {
  compile,
  type ExpressionOptions,
  input,
  losses,
  type NotFinite,
  type NotFiniteResults,
  perSample,
  type Traced,
  want,
  where,
} from "../../src/index.js";
import { uniform } from "../../src/nn/initial-values.js";
import { trace } from "../../src/nn/model.js";

const hiding: Readonly<Record<string, (x: Traced) => Traced>> = {
  GlobalMaxPool: (x) => x.unsqueeze(1).onnx("GlobalMaxPool").squeeze(1),
  MaxPool: (x) =>
    x
      .unsqueeze(1)
      .onnx("MaxPool", [], { kernel_shape: [2] })
      .squeeze(1),
};

const modelOf = (pool: (x: Traced) => Traced, act: (x: Traced) => Traced) =>
  trace({ x: ["N", 4] }, { weight: uniform([4], 1) }, ({ x }, { weight }) => pool(act(x).mul(weight)).sum([1]));

describe.each(Object.entries(hiding))("behind %s", (_, pool) => {
  it("names the samples, and leaves them out where that is asked for", async () => {
    const program = await perSample(
      modelOf(pool, (x) => x.log()),
      {
        loss: losses.output(),
        want: { norms: want.norms(), sum: want.sum() },
      },
    );
    const x = Float32Array.from({ length: 12 }, (_, k) => 1 + (k % 5));
    const told: NotFinite[] = [];
    const onNotFinite = (each: NotFinite) => told.push(each);
    await program.run({ x }, { onNotFinite });
    expect(told).toEqual([]);
    x[5] = -1;
    await program.run({ x }, { onNotFinite });
    expect(told.map(({ samples }) => samples)).toEqual([[{ sample: 1, loss: false, hidden: true, parameters: [] }]]);
    expect(told[0]?.message).toMatch(/^The gradient of sample 1 is finite and means nothing: /);
    const left = await program.run({ x }, { notFinite: "leave out" });
    const others = await program.run({ x: Float32Array.from([...x.subarray(0, 4), ...x.subarray(8)]) });
    expect(left.sum).toEqual(others.sum);
    await program.release();
  });

  it("adds nothing to a program whose ranges rule a NaN out", async () => {
    const program = await perSample(
      modelOf(pool, (x) => x.square().add(1).log()),
      {
        loss: losses.output(),
        want: { norms: want.norms() },
      },
    );
    const told: NotFinite[] = [];
    await program.run({ x: new Float32Array(8).fill(-1) }, { onNotFinite: (each) => told.push(each) });
    expect(told).toEqual([]);
    await program.release();
  });
});

it("a traced maximum or minimum of what holds a NaN is NaN", async () => {
  const x = input("x", ["N", 5]);
  const program = await compile({ max: x.max([1]), min: x.min([1]), all: x.max([1], { keepDims: true }) });
  const data = Float32Array.from({ length: 10 }, (_, k) => Math.sin(k));
  data[1] = Number.NaN;
  const { max, min, all } = await program.run({ x: data });
  expect([...max.data].map(Number.isNaN)).toEqual([true, false]);
  expect([...min.data].map(Number.isNaN)).toEqual([true, false]);
  expect(all.dims).toEqual([2, 1]);
  expect(max.data[1]).toBe(Math.max(...data.subarray(5)));
  await program.release();
});

it("a NaN in the mask of an Attention is not taken for a query that sees no key", async () => {
  const [queries, mask] = [input("queries", ["N", 1, 2, 4]), input("mask", ["N", 1, 2, 3])];
  const keys = input("keys", ["N", 1, 3, 4]);
  const program = await compile({ y: queries.onnx("Attention", [keys, keys, mask]) });
  const hidden = Number.NEGATIVE_INFINITY;
  const { y } = await program.run({
    queries: new Float32Array(8).fill(1),
    keys: new Float32Array(12).fill(1),
    mask: Float32Array.of(hidden, Number.NaN, hidden, hidden, hidden, hidden),
  });
  expect([...(y.data as Float32Array)]).toEqual([...Array(4).fill(Number.NaN), 0, 0, 0, 0]);
  await program.release();
});

describe("a user's own function of gradients", () => {
  const functions: Readonly<Record<string, (g: Traced) => Traced>> = {
    "the index of the largest": (g) => g.onnx("ArgMax", [], { axis: 0, keepdims: 0 }),
    "the index of the smallest": (g) => g.onnx("ArgMin", [], { axis: 0, keepdims: 0 }),
    "a comparison": (g) => g.greater(0),
    "a comparison of a sum": (g) => g.sum().greater(0),
    "a conversion": (g) => g.mul(1000).cast("int32"),
    "a comparison of a maximum": (g) => g.max().greater(0.5),
    "the runtime's own maximum": (g) => g.onnx("ReduceMax", [], { keepdims: 0 }),
  };
  // Its gradient overflows where x is large: an infinity less an infinity.
  const model = trace({ x: ["N", 4] }, { weight: uniform([4], 1) }, ({ x }, { weight }) =>
    x.exp().mul(weight).sub(x.exp().mul(weight).mul(0.5)).sum([1]),
  );
  it.each(Object.entries(functions))("tells of gradients that are not finite: %s", async (_, reduction) => {
    const { dtype } = reduction(input("g", [4]));
    const own = want.reduce((g: { readonly weight: Traced }) => ({ own: reduction(g.weight) }), { dtype });
    for (const others of [{}, { norms: want.norms() }, { gradients: want.gradients() }]) {
      const program = await perSample(model, { loss: losses.output(), want: { own, ...others } });
      const told: NotFinite[] = [];
      const options = { onNotFinite: (each: NotFinite) => told.push(each) };
      const x = Float32Array.from({ length: 20 }, (_, k) => Math.sin(k));
      const first = await program.run({ x }, options);
      expect(told).toEqual([]);
      expect(Object.keys(first.own)).toEqual(["own"]);
      x[9] = 200;
      await program.run({ x }, options);
      await program.run({ x }, { ...options, microbatchSize: 2 });
      for (const { samples } of told) {
        expect(samples.map(({ sample }) => sample)).toEqual([2]);
        expect(samples[0]?.parameters).toEqual(["weight"]);
      }
      expect(told).toHaveLength(2);
      await expect(program.run({ x }, { notFinite: "throw" })).rejects.toThrow(/gradient of sample 2 \(in "weight"\)/);
      await program.release();
    }
  });

  it("of floats alone computes nothing more", async () => {
    const own = want.reduce((g: { readonly weight: Traced }) => g.weight.abs().max());
    const program = await perSample(model, { loss: losses.output(), want: { own } });
    expect(program.graph()).not.toMatch(/unseen/);
    await program.release();
  });
});

describe("compiled expressions", () => {
  const x = input("x", ["N", 4]);
  const told = () => {
    const all: NotFiniteResults[] = [];
    return { all, options: { onNotFinite: (each: NotFiniteResults) => all.push(each) } };
  };
  const logs = Float32Array.from({ length: 12 }, (_, k) => 1 + (k % 5));

  it("name results that are not finite, and their samples", async () => {
    const program = await compile({ y: x.log(), shared: x.log().sum(), turned: x.log().transpose(), fine: x.square() });
    const { all, options } = told();
    await program.run({ x: logs }, options);
    expect(all).toEqual([]);
    const wrong = logs.slice();
    wrong[5] = -1;
    wrong[8] = 0;
    await program.run({ x: wrong }, options);
    expect(all[0]?.results).toEqual([
      { name: "y", samples: [1, 2] },
      { name: "shared", samples: null },
      { name: "turned", samples: [1, 2] },
    ]);
    expect(all[0]?.message).toBe('The results "y", "shared", "turned" (samples 1, 2) are not finite.');
    await expect(program.run({ x: wrong }, { notFinite: "throw" })).rejects.toThrow(
      expect.objectContaining({ code: "NOT_FINITE" }),
    );
    await program.release();
  });

  it("warn once, unless they are told otherwise", async () => {
    const program = await compile({ y: x.log() });
    const warnings: string[] = [];
    const listen = ({ message }: Error) => warnings.push(message);
    process.on("warning", listen);
    const wrong = new Float32Array(4);
    await program.run({ x: wrong }, { notFinite: "ignore" });
    await new Promise(setImmediate);
    expect(warnings).toEqual([]);
    await program.run({ x: wrong });
    await program.run({ x: wrong });
    await new Promise(setImmediate);
    process.off("warning", listen);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/^The result "y" \(sample 0\) is not finite\. /);
    await program.release();
  });

  it("warn in the console where there are no process warnings, as in a page", async () => {
    const program = await compile({ y: x.log() });
    const console = vi.spyOn(globalThis.console, "warn").mockImplementation(() => undefined);
    vi.stubGlobal(
      "process",
      new Proxy(process, { get: (own, key) => (key === "emitWarning" ? undefined : own[key as keyof typeof own]) }),
    );
    try {
      await program.run({ x: new Float32Array(4) });
      expect(console.mock.calls).toEqual([[expect.stringMatching(/^The result "y" \(sample 0\) is not finite\. /)]]);
    } finally {
      vi.unstubAllGlobals();
      console.mockRestore();
    }
    await program.release();
  });

  const hidden: Readonly<Record<string, (y: Traced) => Traced>> = {
    ArgMax: (y) => y.onnx("ArgMax", [], { axis: 1, keepdims: 0 }),
    ReduceMax: (y) => y.onnx("ReduceMax", [], { keepdims: 0 }),
    greater: (y) => y.greater(0),
    "greater of a sum": (y) => y.sum([1]).greater(0),
    cast: (y) => y.cast("int64"),
    MaxPool: (y) => y.unsqueeze(1).onnx("MaxPool", [], { kernel_shape: [2] }),
    Shrink: (y) => y.onnx("Shrink"),
  };
  it.each(Object.entries(hidden))("tell of a NaN that %s hides", async (_, f) => {
    // Of the overflow too: infinity less infinity.
    const program = await compile({ y: f(x.exp().sub(x.exp().mul(0.5)).add(x)) });
    const { all, options } = told();
    await program.run({ x: logs }, options);
    expect(all).toEqual([]);
    const wrong = logs.slice();
    wrong[5] = 200;
    const results = await program.run({ x: wrong }, options);
    expect(Object.keys(results)).toEqual(["y"]);
    expect(all[0]?.results).toEqual([{ name: "y", samples: [1], hidden: true }]);
    const data = logs.slice();
    data[2] = Number.NaN;
    await program.run({ x: data }, options);
    expect(all[1]?.results).toEqual([{ name: "y", samples: [0], hidden: true }]);
    await program.release();
  });

  it("take a NaN that the expression itself looks for as meant", async () => {
    const y = x.log();
    const wrong = y.onnx("IsNaN");
    const program = await compile({ wrong, best: where(wrong, 0, y).onnx("ArgMax", [], { axis: 1 }) });
    const { all, options } = told();
    await program.run({ x: new Float32Array(8).fill(-1) }, options);
    expect(all).toEqual([]);
    await program.release();
  });

  it.each([
    [{ notFinite: "leave out" }, /notFinite of a compiled expression is "leave out"/],
    [{ onNotFinite: 3 }, /onNotFinite must be a function/],
    [{ notFinit: "throw" }, /has no option "notFinit"/],
  ])("refuse options that there are not: %j", async (options, message) => {
    const program = await compile({ y: x.log() });
    await expect(program.run({ x: logs }, options as ExpressionOptions)).rejects.toThrow(message);
    await program.release();
  });
});
