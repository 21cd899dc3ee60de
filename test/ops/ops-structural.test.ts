import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SampleAxes } from "../../src/autodiff/sample-axes.js";
import { N, type Shape } from "../../src/graph/dim.js";
import { dimsValue, leaf, type Value } from "../../src/graph/value.js";
import { array64, zeros64 } from "../../src/ops/array64.js";
import { evaluateGraph } from "../../src/ops/evaluate.js";
import { build, families } from "../../src/ops/registry.js";
import { scatterRows } from "../../src/ops/rows.js";
import { sizeOf } from "../../src/tensor.js";
import { checkComputed, derivativeOf } from "../support/graph-checks.js";
import { anywhere, filled, ints, type OpCase, type OpInput, shape } from "../support/op-checks.js";
import { type Cases, describeOp } from "../support/op-suite.js";

const pick = fc.constantFrom;
const upTo = (max: number, min = 0) => fc.integer({ min, max });
const lists = <T>(element: fc.Arbitrary<T>, length: number) =>
  fc.array(element, { minLength: length, maxLength: length });
const replaced = (dims: readonly number[], axis: number, dim: number) =>
  dims.map((own, at) => (at === axis ? dim : own));

/** An axis of `dims`, counted from either end: as given, and from the front. */
const axisIn = (dims: readonly number[]) =>
  upTo(dims.length - 1, -dims.length).map((given) => ({ given, axis: (given + dims.length) % dims.length }));

// Joining

const concatCases: Cases = shape(1, 4).chain((dims) =>
  fc
    .tuple(axisIn(dims), fc.array(upTo(3), { minLength: 1, maxLength: 3 }))
    .chain(([{ given, axis }, sizes]) =>
      fc
        .tuple(...sizes.map((size) => filled(replaced(dims, axis, size))))
        .map((inputs) => ({ op: "Concat", inputs, attributes: { axis: given } })),
    ),
);

const splitCases: Cases = shape(1, 4).chain((dims) =>
  fc
    .tuple(axisIn(dims), fc.array(upTo(3), { minLength: 1, maxLength: 3 }), fc.boolean(), upTo(5, 1))
    .chain(([{ given, axis }, sizes, stated, size]) => {
      const whole = stated ? sizes.reduce((sum, own) => sum + own, 0) : size;
      // Parts that come out empty are refused by ONNX Runtime.
      const parts = stated
        ? sizes.length
        : Array.from({ length: Math.min(3, whole) }, (_, k) => k + 1)
            .filter((count) => Math.ceil(whole / count) * (count - 1) < whole)
            .at(-1);
      return filled(replaced(dims, axis, whole)).map((x) => ({
        op: "Split",
        inputs: stated ? [x, ints(sizes)] : [x],
        attributes: { axis: given, ...(stated ? {} : { num_outputs: parts ?? 1 }) },
        outputs: parts ?? 1,
      }));
    }),
);

describeOp("Concat", { cases: concatCases });
describeOp("Split", { cases: splitCases });

// Slicing

const bound = pick(0, 1, 2, 3, -1, -2, -3, -5, 7, 2 ** 31 - 1, -(2 ** 31));
const step = pick(1, 1, 1, 2, 3, -1, -2);

const sliceCases: Cases = shape(1, 4, 4).chain((dims) =>
  fc
    .tuple(
      filled(dims),
      fc.subarray(dims.map((_, axis) => axis)),
      lists(bound, 4),
      lists(bound, 4),
      lists(step, 4),
      upTo(3),
    )
    .map(([x, axes, starts, ends, steps, form]) => {
      const count = axes.length;
      const given = axes.map((axis, k) => (k % 2 === 0 ? axis : axis - dims.length));
      const [from, to] = [ints(starts.slice(0, count)), ints(ends.slice(0, count))];
      const bare = [x, from, to];
      const leading = axes.every((axis, k) => axis === k);
      if (form === 0 && leading) return { op: "Slice", inputs: bare };
      if (form === 1) return { op: "Slice", inputs: [...bare, ints(given)] };
      return {
        op: "Slice",
        inputs: [...bare, leading && form === 2 ? null : ints(given), ints(steps.slice(0, count))],
      };
    }),
);

const padModes = pick("constant", "constant", "reflect", "edge", "wrap");

const padCases: Cases = fc
  .tuple(shape(1, 3, 4), padModes, fc.boolean(), fc.boolean())
  .chain(([dims, mode, subset, valued]) => {
    const axes = subset ? fc.subarray(dims.map((_, axis) => axis)) : fc.constant(dims.map((_, axis) => axis));
    return axes.chain((chosen) => {
      // Reflection needs what it repeats; a crop takes at most the axis.
      const amounts = chosen.map((axis) => {
        const size = dims[axis] ?? 1;
        const most = mode === "constant" || mode === "edge" ? 3 : mode === "wrap" ? size : size - 1;
        return fc
          .tuple(upTo(most, mode === "constant" ? -1 : 0), upTo(most, mode === "constant" ? 1 - size : 0))
          .map(([before, after]) => {
            return before < 0 && size + before + after < 0 ? [0, after] : [before, after];
          });
      });
      return fc
        .tuple(filled(dims), fc.tuple(...amounts), filled([], anywhere, { shared: true }))
        .map(([x, pads, value]) => {
          const before = pads.map(([first]) => first ?? 0);
          const after = pads.map(([, last]) => last ?? 0);
          const given = chosen.map((axis, k) => (k % 2 === 0 ? axis : axis - dims.length));
          const tail = subset ? [ints(given)] : [];
          return {
            op: "Pad",
            inputs: [x, ints([...before, ...after]), valued ? value : null, ...tail],
            attributes: { mode },
          };
        });
    });
  });

const triluCases: Cases = shape(2, 4).chain((dims) =>
  fc
    .tuple(filled(dims), fc.option(upTo(3, -3), { nil: null }), fc.nat(1))
    .map(([x, k, upper]) => ({ op: "Trilu", inputs: k === null ? [x] : [x, ints([k], [])], attributes: { upper } })),
);

const blockCases = (op: string): Cases =>
  fc.tuple(shape(4, 4, 2), upTo(2, 1), pick("DCR", "CRD")).chain(([dims, block, mode]) => {
    const [n, c, h, w] = dims as [number, number, number, number];
    const deep = op === "DepthToSpace";
    const full = deep ? [n, c * block * block, h, w] : [n, c, h * block, w * block];
    return filled(full).map((x) => ({ op, inputs: [x], attributes: { blocksize: block, ...(deep ? { mode } : {}) } }));
  });

describeOp("Slice", { cases: sliceCases });
describeOp("Pad", { cases: padCases });
describeOp("Trilu", { cases: triluCases });
describeOp("DepthToSpace", { cases: blockCases("DepthToSpace") });
describeOp("SpaceToDepth", { cases: blockCases("SpaceToDepth") });

// Indexing

/** Indices into an axis of `size`, counted from either end: constant, the same for all samples, or the samples' own. */
const indicesInto = (size: number, dims: readonly number[], negative = true): fc.Arbitrary<OpInput> =>
  fc
    .tuple(
      lists(upTo(size - 1, negative ? -size : 0), sizeOf(dims)),
      pick({ constant: true }, { shared: true }, {}, {}),
      pick("int64" as const, "int32" as const),
    )
    .map(([data, kind, dtype]) => ({ dims, data, dtype, ...kind }));

const gatherCases: Cases = fc
  .tuple(shape(1, 3), shape(0, 2), fc.boolean())
  .chain(([dims, points, table]) =>
    axisIn(dims).chain(({ given, axis }) =>
      fc
        .tuple(filled(dims, anywhere, table ? { shared: true } : {}), indicesInto(dims[axis] ?? 1, points))
        .map(([data, indices]) => ({ op: "Gather", inputs: [data, indices], attributes: { axis: given } })),
    ),
  );

/** Data, an axis, and indices that are at most as large in the other axes. */
const elementCases = (
  make: (data: OpInput, indices: OpInput, updates: OpInput, axis: number, add: boolean) => OpCase,
): Cases =>
  fc.tuple(shape(1, 3), lists(upTo(3, 1), 3), fc.boolean(), fc.boolean()).chain(([dims, sizes, fewer, add]) =>
    axisIn(dims).chain(({ given, axis }) => {
      const points = dims.map((dim, at) =>
        at === axis ? (sizes[at] ?? 1) : fewer ? Math.min(dim, sizes[at] ?? 1) : dim,
      );
      return fc
        .tuple(filled(dims), indicesInto(dims[axis] ?? 1, points), filled(points))
        .map(([data, indices, updates]) => make(data, indices, updates, given, add));
    }),
  );

const gatherElementCases = elementCases((data, indices, _updates, axis) => ({
  op: "GatherElements",
  inputs: [data, indices],
  attributes: { axis },
}));
const scatterElementCases = elementCases((data, indices, updates, axis, add) => ({
  op: "ScatterElements",
  inputs: [data, indices, updates],
  attributes: { axis, reduction: add ? "add" : "none" },
}));

/** Indices `[...points, depth]` into the axes of `dims` from `first` on; each would fit any of these axes. */
const pointsInto = (
  dims: readonly number[],
  first: number,
  depth: number,
  points: readonly number[],
): fc.Arbitrary<OpInput> => {
  const least = Math.min(...dims.slice(first, first + depth));
  const kinds = pick({ constant: true }, { shared: true }, {});
  return fc
    .tuple(lists(upTo(least - 1, -least), sizeOf(points) * depth), kinds)
    .map(([data, kind]) => ({ dims: [...points, depth], data, dtype: "int64", ...kind }));
};

const gatherPointCases: Cases = fc
  .tuple(shape(1, 4), shape(0, 2), upTo(3), upTo(3))
  .chain(([dims, points, batch, deep]) => {
    const batchDims = batch % dims.length;
    const depth = 1 + (deep % (dims.length - batchDims));
    return fc
      .tuple(filled(dims), pointsInto(dims, batchDims, depth, [...dims.slice(0, batchDims), ...points]))
      .map(([data, indices]) => ({ op: "GatherND", inputs: [data, indices], attributes: { batch_dims: batchDims } }));
  });

/** Distinct points where they overwrite: ONNX Runtime writes in parallel, in no particular order. */
const scatterPointCases: Cases = fc
  .tuple(shape(1, 3), shape(0, 2, 2), upTo(2), fc.boolean())
  .chain(([dims, points, deep, add]) => {
    const depth = 1 + (deep % dims.length);
    const places = pointsInto(dims, 0, depth, points).map((indices) => {
      const counted = indices.data.map((index, at) => (index < 0 ? index + (dims[at % depth] ?? 1) : index));
      const rows = Array.from({ length: sizeOf(points) }, (_, p) => counted.slice(p * depth, (p + 1) * depth).join());
      return new Set(rows).size === rows.length
        ? indices
        : { ...indices, dims: [1, depth], data: indices.data.slice(0, depth) };
    });
    return places.chain((indices) =>
      fc.tuple(filled(dims), filled([...indices.dims.slice(0, -1), ...dims.slice(depth)])).map(([data, updates]) => ({
        op: "ScatterND",
        inputs: [data, indices, updates],
        attributes: { reduction: add ? "add" : "none" },
      })),
    );
  });

const oneHotCases: Cases = fc.tuple(shape(1, 3), upTo(3, 1)).chain(([dims, depth]) =>
  fc
    .tuple(
      lists(upTo(depth + 1, -depth), sizeOf(dims)),
      filled([2], anywhere, { shared: true }),
      upTo(dims.length, -dims.length - 1),
    )
    .map(([data, values, axis]) => ({
      op: "OneHot",
      inputs: [{ dims, data, dtype: "int64" }, ints([depth], []), values],
      attributes: { axis },
    })),
);

describeOp("Gather", { cases: gatherCases });
describeOp("GatherElements", { cases: gatherElementCases });
describeOp("ScatterElements", { cases: scatterElementCases });
describeOp("GatherND", { cases: gatherPointCases });
describeOp("ScatterND", { cases: scatterPointCases });
describeOp("OneHot", { cases: oneHotCases });

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
    expect(() => axesOf(build.concat([x, x], 0))).toThrow("sample axis");
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
    const { joining, slicing, indexing } = families;
    const tested =
      "Concat Split Slice Pad Trilu DepthToSpace SpaceToDepth Gather GatherElements ScatterElements GatherND ScatterND OneHot";
    expect([...joining, ...slicing, ...indexing].map(({ op }) => op)).toEqual(tested.split(" "));
  });
});
