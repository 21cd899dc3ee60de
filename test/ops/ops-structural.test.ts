import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SampleAxes } from "../../src/analysis/sample-axes.js";
import { perSampleGradients } from "../../src/autodiff/per-sample.js";
import { array64, zeros64 } from "../../src/float64/array64.js";
import { N, type Shape } from "../../src/graph/dim.js";
import { dimsValue, leaf, type Value } from "../../src/graph/value.js";
import { evaluateGraph } from "../../src/interpret/evaluate.js";
import { build, families } from "../../src/ops/registry.js";
import { scatterRows } from "../../src/ops/subgraphs/rows.js";
import { sizeOf } from "../../src/tensor/tensor.js";
import { checkComputed, derivativeOf, emittedOf } from "../support/graph-checks.js";
import { type OpCase, shape } from "../support/op-checks.js";
import { describeOp } from "../support/op-suite.js";
import { axisIn, lists, structuralTable, upTo } from "../support/structural-cases.js";

/** A form of opset 28; by default it is that of older ones. */
const depthFirst = ({ op, attributes }: OpCase): boolean => op === "SpaceToDepth" && attributes?.mode !== undefined;
for (const [op, cases] of Object.entries(structuralTable))
  describeOp(op, { cases, notInRuntime: depthFirst, inParts: op === "SpaceToDepth" });

describe("scatterRows", () => {
  const rowCases = fc.tuple(shape(1, 3), fc.boolean()).chain(([dims, fixed]) =>
    fc.tuple(axisIn(dims), shape(0, 2), fc.nat(2)).chain(([{ axis }, points, form]) => {
      const size = dims[axis] ?? 1;
      const some = lists(upTo(size - 1, -size), sizeOf(points)).map((data) => ({ points, data }));
      const distinct = fc.shuffledSubarray([...Array(size).keys()]).map((data) => ({ points: [data.length], data }));
      const run = upTo(size - 1).map((from) => ({
        points: [size - from],
        data: [...Array(size - from).keys()].map((k) => k + from),
      }));
      return (form === 0 ? some : form === 1 ? distinct : run).map((rows) => ({ dims, axis, fixed, ...rows }));
    }),
  );

  it("adds each row to its place", async () => {
    await fc.assert(
      fc.asyncProperty(rowCases, async ({ dims, axis, fixed, points, data }) => {
        const full = [...dims.slice(0, axis), ...points, ...dims.slice(axis + 1)];
        const cotangent = leaf("dy", { dtype: "float32", shape: full }, { kind: "input" });
        const fed = leaf("i", { dtype: "int64", shape: points }, { kind: "input" });
        const indices = fixed ? build.ints(data, points) : fed;
        const rows = array64(
          full,
          zeros64(full).data.map((_, at) => at + 1),
        );
        const feeds = new Map([[cotangent, rows], ...(fixed ? [] : [[fed, array64(points, data)] as const])]);
        const result = scatterRows(build, indices, cotangent, axis, dims);
        const expected = zeros64(dims);
        const inner = sizeOf(dims.slice(axis + 1));
        const size = dims[axis] ?? 1;
        for (const [at, x] of rows.data.entries()) {
          const row = (data[Math.floor(at / inner) % data.length] as number) + size;
          const to = (Math.floor(at / inner / data.length) * size + (row % size)) * inner + (at % inner);
          expected.data[to] = (expected.data[to] as number) + x;
        }
        expect(evaluateGraph([result], feeds, 1)).toEqual([expected]);
        if (sizeOf(full) > 0)
          await checkComputed([{ outputs: [result], feeds, what: { dims, axis, points, data, fixed } }]);
      }),
      { numRuns: 80 },
    );
  });
});

describe("overwritten updates", () => {
  it("have no cotangent", async () => {
    const test: OpCase = {
      op: "ScatterElements",
      inputs: [
        { dims: [3], data: [1, 2, 3] },
        { dims: [4], data: [1, 0, 1, -2], dtype: "int64", constant: true },
        { dims: [4], data: [4, 5, 6, 7] },
      ],
    };
    const { outputs, feeds } = derivativeOf(test, "");
    const seed = [...feeds.keys()].find(({ name }) => name === "dy0") as Value;
    const results = evaluateGraph(outputs, new Map([...feeds, [seed, array64([3], [1, 2, 4])]]), 1);
    expect(results.map(({ data }) => [...data])).toEqual([
      [0, 0, 4],
      [0, 1, 0, 2],
    ]);
    await checkComputed([{ outputs, feeds, what: test }]);
  });
});

describe("reduced updates", () => {
  const own = (reduction: string, data: readonly number[], updates: readonly number[]): OpCase => ({
    op: "ScatterElements",
    inputs: [
      { dims: [3], data },
      { dims: [4], data: [1, 0, 1, -2], dtype: "int64", constant: true },
      { dims: [4], data: updates },
    ],
    attributes: { reduction },
  });

  /** Data [a, b, c]: a with update 1, b with updates 0, 2 and 3, c alone. Expected: what PyTorch's scatter_reduce gives. */
  it.each([
    ["max", [5, 4, 3], [4, 5, 4, 1], [0.5, 2 / 3, 4], [2 / 3, 0.5, 2 / 3, 0]],
    ["max", [5, 4, 3], [7, 6, 7, 8], [0, 0, 4], [0, 1, 0, 2]],
    ["min", [5, 4, 3], [4, 5, 6, 4], [0.5, 2 / 3, 4], [2 / 3, 0.5, 0, 2 / 3]],
    ["mul", [5, 4, 3], [0, 2, 3, 7], [2, 0, 4], [168, 5, 0, 0]],
    ["mul", [0, 4, 0], [0, 2, 0, 7], [2, 0, 4], [0, 0, 0, 0]],
    ["mul", [5, 0, 3], [2, 0, 3, 7], [0, 84, 4], [0, 5, 0, 0]],
  ])("with %s of %j and %j share the cotangent", async (reduction, data, updates, ofData, ofUpdates) => {
    const test = own(reduction, data, updates);
    const { outputs, feeds } = derivativeOf(test, "");
    const seed = [...feeds.keys()].find(({ name }) => name === "dy0") as Value;
    const results = evaluateGraph(outputs, new Map([...feeds, [seed, array64([3], [1, 2, 4])]]), 1);
    expect(results.map((result) => [...result.data])).toEqual([ofData, ofUpdates]);
    await checkComputed([{ outputs, feeds, what: test }]);
  });

  it("of a ScatterND are not left to threads that lose some", async () => {
    const count = 50_000;
    const waves = (size: number) => Array.from({ length: size }, (_, i) => 1 + 1e-3 * Math.sin(i));
    const cases = ["add", "max", "min", "mul"].map((reduction) => ({
      op: "ScatterND",
      inputs: [
        { dims: [2], data: [1, 1] },
        { dims: [count, 1], data: Array.from({ length: count }, (_, i) => i % 2), dtype: "int64" as const },
        { dims: [count], data: waves(count) },
      ],
      attributes: { reduction },
    }));
    await checkComputed(
      cases.map((test, k) => emittedOf(test, `c${k}_`)),
      1e-4,
    );
  });
});

describe("GatherElements of shared data", () => {
  const indices = leaf("i", { dtype: "int64", shape: [N, 2] }, { kind: "input" });
  const axes = () => new SampleAxes(new Map([[indices, 0]]));
  const table = leaf("table", { dtype: "float32", shape: [3, 4] }, { kind: "parameter" });

  it("is refused where a sample's place in the batch would choose the row", () => {
    const y = build.op("GatherElements", [table, indices], { axis: 1 });
    expect(() => axes().of(y)).toThrow("place in the batch");
  });

  it("has per-sample gradients along the sample axis", () => {
    const y = build.op("GatherElements", [table, indices], { axis: 0 });
    const losses = build.sum(build.square(y), [1]);
    const gradient = perSampleGradients(losses, [table], axes()).get(table)?.materialise(build) as Value;
    const feeds = new Map([
      [table, array64([3, 4], [...Array(12).keys()])],
      [indices, array64([2, 2], [2, -2, 0, 0])],
    ]);
    const [found] = evaluateGraph([gradient], feeds, 2);
    expect(found?.dims).toEqual([2, 3, 4]);
    const expected = Array<number>(24).fill(0);
    for (const [at, element] of [
      [8, 8],
      [5, 5],
      [12, 0],
      [13, 1],
    ] as const)
      expected[at] = 2 * element;
    expect([...(found?.data ?? [])]).toEqual(expected);
  });
});

describe("shape arithmetic", () => {
  const dims = (...values: Shape) => dimsValue(values);
  const known = (value: Value | undefined) => value?.known;

  it("is followed through joining, slicing and indexing", () => {
    const twice = { perSample: 2 };
    const joined = build.concat([dims(N), dims(3, twice)], 0);
    expect(known(joined)).toEqual([N, 3, twice]);
    expect(known(build.slice(joined, 0, 1, 2 ** 31 - 1))).toEqual([3, twice]);
    expect(known(build.slice(joined, 0, -1, -(2 ** 31), -1))).toEqual([twice, 3, N]);
    expect(known(build.gather(joined, build.ints([-1], []), 0))).toEqual([twice]);
    expect(build.gather(joined, build.ints([0], []), 0).shape).toEqual([]);
    expect(build.node("Split", [joined, build.ints([1, 2])], {}, 2).outputs.map(known)).toEqual([[N], [3, twice]]);
    expect(known(build.op("Pad", [joined, build.ints([1, 0])]))).toEqual([0, N, 3, twice]);
  });

  const x = leaf("x", { dtype: "float32", shape: [N, 4] }, { kind: "input" });
  const axesOf = (value: Value) => new SampleAxes(new Map([[x, 0]])).of(value);

  it("lets whole samples pass, and refuses some of them", () => {
    const whole = build.slice(x, 0, 0, 2 ** 31 - 1);
    expect(whole.shape).toEqual([N, 4]);
    expect(axesOf(whole)).toEqual({ axis: 0, outer: 1, inner: 1 });
    expect(() => build.slice(x, 0, 1, 2 ** 31 - 1)).toThrow("samples");
    expect(() => axesOf(build.slice(x, 0, 0, 2))).toThrow("samples");
    expect(() => build.concat([x, build.zeros([1, 4], "float32")], 0)).toThrow("samples");
    expect(axesOf(build.concat([x, x], 0))).toEqual({ axis: 0, outer: 2, inner: 1 });
    expect(() => axesOf(build.gather(x, build.ints([0]), 0))).toThrow("sample axis");
    expect(() => build.pad(x, [1, 0], [0, 0])).toThrow("sample axis");
  });

  it("takes rounds of samples apart", () => {
    const twice = leaf("x", { dtype: "float32", shape: [2, N, 3] }, { kind: "input" });
    const rounds = build.reshape(twice, [{ perSample: 2 }, 3]);
    const second = build.slice(rounds, 0, N, { perSample: 2 });
    const axes = new SampleAxes(new Map([[twice, 1]]));
    expect(second.shape).toEqual([N, 3]);
    expect(axes.of(second)).toEqual({ axis: 0, outer: 1, inner: 1 });
    const [result] = evaluateGraph([second], new Map([[twice, array64([2, 2, 3], [...Array(12).keys()])]]), 2);
    expect([...(result?.data ?? [])]).toEqual([6, 7, 8, 9, 10, 11]);
  });
});

describe("the table of cases", () => {
  it("holds every operator of these families", () => {
    const { joining, slicing, indexing, "one-hot": oneHot } = families;
    expect([...joining, ...slicing, ...indexing, ...oneHot].map(({ op }) => op)).toEqual(Object.keys(structuralTable));
  });
});
