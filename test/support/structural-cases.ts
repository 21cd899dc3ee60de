/** Random cases of the operators that join, slice and index. */
import fc from "fast-check";
import { sizeOf } from "../../src/tensor/tensor.js";
import { anywhere, distinct, filled, ints, type OpCase, type OpInput, shape } from "./op-checks.js";
import type { Cases } from "./op-suite.js";

const pick = fc.constantFrom;
export const upTo = (max: number, min = 0) => fc.integer({ min, max });
export const lists = <T>(element: fc.Arbitrary<T>, length: number) =>
  fc.array(element, { minLength: length, maxLength: length });
const replaced = (dims: readonly number[], axis: number, dim: number) =>
  dims.map((own, at) => (at === axis ? dim : own));

/** An axis of `dims`, counted from either end: as given, and from the front. */
export const axisIn = (dims: readonly number[]) =>
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
    return filled(full).map((x) => ({
      op,
      inputs: [x],
      attributes: { blocksize: block, ...(deep || mode === "CRD" ? { mode } : {}) },
    }));
  });

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

const reduction = pick("none", "add", "mul", "max", "min");

/** Two tensors of which no element equals another, so that the greatest of some of them is one alone. */
const apart = (left: readonly number[], right: readonly number[]) =>
  distinct([sizeOf(left) + sizeOf(right)]).map(({ data }): [OpInput, OpInput] => [
    { dims: left, data: data.slice(0, sizeOf(left)) },
    { dims: right, data: data.slice(sizeOf(left)) },
  ]);

/** Data, an axis, and indices that are at most as large in the other axes. */
const elementCases = (
  make: (data: OpInput, indices: OpInput, updates: OpInput, axis: number, reduction: string) => OpCase,
): Cases =>
  fc.tuple(shape(1, 3), lists(upTo(3, 1), 3), fc.boolean(), reduction).chain(([dims, sizes, fewer, kind]) =>
    axisIn(dims).chain(({ given, axis }) => {
      const points = dims.map((dim, at) =>
        at === axis ? (sizes[at] ?? 1) : fewer ? Math.min(dim, sizes[at] ?? 1) : dim,
      );
      return fc
        .tuple(apart(dims, points), indicesInto(dims[axis] ?? 1, points))
        .map(([[data, updates], indices]) => make(data, indices, updates, given, kind));
    }),
  );

const gatherElementCases = elementCases((data, indices, _updates, axis) => ({
  op: "GatherElements",
  inputs: [data, indices],
  attributes: { axis },
}));
const scatterElementCases = elementCases((data, indices, updates, axis, kind) => ({
  op: "ScatterElements",
  inputs: [data, indices, updates],
  attributes: { axis, reduction: kind },
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
  .tuple(shape(1, 3), shape(0, 2, 2), upTo(2), reduction)
  .chain(([dims, points, deep, kind]) => {
    const depth = 1 + (deep % dims.length);
    const places = pointsInto(dims, 0, depth, points).map((indices) => {
      const counted = indices.data.map((index, at) => (index < 0 ? index + (dims[at % depth] ?? 1) : index));
      const rows = Array.from({ length: sizeOf(points) }, (_, p) => counted.slice(p * depth, (p + 1) * depth).join());
      return new Set(rows).size === rows.length
        ? indices
        : { ...indices, dims: [1, depth], data: indices.data.slice(0, depth) };
    });
    return places.chain((indices) =>
      apart(dims, [...indices.dims.slice(0, -1), ...dims.slice(depth)]).map(([data, updates]) => ({
        op: "ScatterND",
        inputs: [data, indices, updates],
        attributes: { reduction: kind },
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

/** By operator. */
export const structuralTable: Record<string, Cases> = {
  Concat: concatCases,
  Split: splitCases,
  Slice: sliceCases,
  Pad: padCases,
  Trilu: triluCases,
  DepthToSpace: blockCases("DepthToSpace"),
  SpaceToDepth: blockCases("SpaceToDepth"),
  Gather: gatherCases,
  GatherElements: gatherElementCases,
  ScatterElements: scatterElementCases,
  GatherND: gatherPointCases,
  ScatterND: scatterPointCases,
  OneHot: oneHotCases,
};
