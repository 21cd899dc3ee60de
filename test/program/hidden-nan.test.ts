/** A NaN inside a model is told of also where an operator hides it: what is behind that is finite and means nothing. */
import { describe, expect, it } from "vitest";
import { compile, input, losses, type NotFinite, perSample, type Traced, want } from "../../src/index.js";
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
