import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SampleAxes } from "../../src/autodiff/sample-axes.js";
import { N } from "../../src/graph/dim.js";
import { constantValue, dimsValue, leaf, type Value } from "../../src/graph/value.js";
import { array64 } from "../../src/ops/array64.js";
import { evaluateGraph } from "../../src/ops/evaluate.js";
import { build, definitionOf, families } from "../../src/ops/registry.js";
import { checkComputed, derivativeOf } from "../support/graph-checks.js";
import { distinct, filled, ints, type OpCase, type OpInput, shape, typed } from "../support/op-checks.js";
import { type Cases, describeOp } from "../support/op-suite.js";

const pick = fc.constantFrom;
const upTo = (max: number, min = 0) => fc.integer({ min, max });

// Resize

const coordinates = pick("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric");
const sampling = fc.record({
  mode: pick("nearest", "nearest", "linear", "cubic"),
  coordinate_transformation_mode: coordinates,
  nearest_mode: pick("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"),
  exclude_outside: upTo(1),
  cubic_coeff_a: pick(-0.75, -0.5),
});
const scale = pick(1, 1, 2, 3, 0.5, 1.5, 0.6, 2.7);

/** As many scales or sizes as there are axes; the first two axes, of four, mostly stay. */
const resizeCases: Cases = fc.tuple(shape(1, 4, 4), sampling, upTo(3), fc.boolean()).chain(([dims, how, form, keep]) =>
  fc
    .tuple(
      filled(dims),
      fc.array(scale, { minLength: 4, maxLength: 4 }),
      fc.array(upTo(7, 1), { minLength: 4, maxLength: 4 }),
    )
    .map(([x, scales, sizes]) => {
      const stays = (axis: number) => keep && dims.length === 4 && axis < 2;
      const attributes = { ...how, ...(how.mode === "cubic" ? {} : { exclude_outside: 0 }) };
      const factors = dims.map((dim, axis) => {
        const factor = stays(axis) ? 1 : (scales[axis] ?? 1);
        return Math.floor(factor * dim) < 1 ? 1 : factor;
      });
      const counts = dims.map((dim, axis) => (stays(axis) ? dim : (sizes[axis] ?? 1)));
      const byScale = (list: readonly number[]): OpInput => ({ dims: [list.length], data: list, constant: true });
      const some = dims.map((_, axis) => axis).filter((axis) => axis >= Math.floor(dims.length / 2));
      if (form === 0) return { op: "Resize", inputs: [x, null, byScale(factors)], attributes };
      if (form === 1) return { op: "Resize", inputs: [x, null, null, ints(counts)], attributes };
      const axes = some.map((axis, k) => (k % 2 === 0 ? axis : axis - dims.length));
      const named = { ...attributes, axes };
      if (form === 2)
        return { op: "Resize", inputs: [x, null, byScale(some.map((axis) => factors[axis] ?? 1))], attributes: named };
      return {
        op: "Resize",
        inputs: [x, null, null, ints(some.map((axis) => counts[axis] ?? 1))],
        attributes: named,
      };
    }),
);

/** ONNX Runtime interpolates along the last two of four axes, or in matrices. */
const interpolated = ({ inputs, attributes }: OpCase): boolean => {
  const [x, , scales, sizes] = inputs;
  const rank = x?.dims.length ?? 0;
  if (attributes?.mode === "nearest" || rank === 2) return true;
  const axes = (attributes?.axes as number[] | undefined)?.map((axis) => (axis < 0 ? axis + rank : axis));
  const still = (k: number) => (scales ? scales.data[k] === 1 : sizes?.data[k] === x?.dims[axes ? (axes[k] ?? 0) : k]);
  return rank === 4 && (axes ?? [0, 1, 2, 3]).every((axis, k) => axis >= 2 || still(k));
};

describeOp("Resize", { cases: resizeCases, notInRuntime: (test) => !interpolated(test) });

describe("what is emitted for a Resize", () => {
  it("is run by ONNX Runtime in every rank", async () => {
    const property = fc.asyncProperty(fc.array(resizeCases, { minLength: 15, maxLength: 15 }), async (tests) => {
      const computed = tests.map((test, k) => {
        const { node, feeds } = made(test, `c${k}_`);
        const outputs = definitionOf(node)?.lower?.(node, build) ?? node.outputs;
        const [actual, expected] = [outputs, node.outputs].map(
          ([value]) => evaluateGraph([value as Value], feeds, 1)[0],
        );
        expect(actual?.dims).toEqual(expected?.dims);
        for (const [i, y] of (actual?.data ?? []).entries()) expect(y).toBeCloseTo(expected?.data[i] ?? Number.NaN, 10);
        return { outputs, feeds, what: test };
      });
      await checkComputed(computed);
    });
    await fc.assert(property, { numRuns: 4 });
  });
});

function made(test: OpCase, prefix: string) {
  const [input] = test.inputs as [OpInput];
  const x = leaf(`${prefix}x`, { dtype: "float32", shape: input.dims }, { kind: "input" });
  const rest = test.inputs.slice(1).map((one) => one && constantValue(typed(one, one.dtype ?? "float32")));
  const feeds = new Map([[x, array64(input.dims, input.data.map(Math.fround))]]);
  return { node: build.node(test.op, [x, ...rest], test.attributes), feeds };
}

describe("Resize", () => {
  const x = leaf("x", { dtype: "float32", shape: [N, 2, 3, 4] }, { kind: "input" });

  it("takes sizes that hold the batch", () => {
    const y = build.op("Resize", [x, null, null, dimsValue([N, 2, 6, 4])]);
    expect(y.shape).toEqual([N, 2, 6, 4]);
    expect(new SampleAxes(new Map([[x, 0]])).of(y)).toEqual({ axis: 0, outer: 1, inner: 1 });
  });

  it("refuses to resize the samples, and what it does not know", () => {
    const sizes = (...list: number[]) => [x, null, null, build.ints(list)];
    expect(() => build.op("Resize", sizes(5, 2, 6, 4))).toThrow("sample axis");
    expect(() => build.op("Resize", sizes(6, 4))).toThrow("2 sizes for 4 axes");
    expect(() => build.op("Resize", sizes(6, 0), { axes: [2, 3] })).toThrow("cannot resize 4 elements to 0");
    expect(() => build.op("Resize", [x])).toThrow("neither");
    expect(() => build.op("Resize", sizes(6, 4), { axes: [2, 3], antialias: 1 })).toThrow("antialias");
    const cropped = { axes: [2, 3], coordinate_transformation_mode: "tf_crop_and_resize" };
    expect(() => build.op("Resize", sizes(6, 4), cropped)).toThrow("tf_crop_and_resize");
    const scales = leaf("s", { dtype: "float32", shape: [4] }, { kind: "input" });
    expect(() => build.op("Resize", [x, null, scales])).toThrow("must be known");
  });

  it.each(["nearest", "linear"])("takes large axes back without a matrix: %s", async (mode) => {
    const test: OpCase = {
      op: "Resize",
      inputs: [
        { dims: [1, 1, 1, 300], data: Array.from({ length: 300 }, (_, i) => Math.sin(i)) },
        null,
        null,
        ints([700]),
      ],
      attributes: { mode, axes: [3] },
    };
    await checkComputed([derivativeOf(test, "")]);
  });

  it.each(["not_larger", "not_smaller"])("keeps the aspect ratio: %s", (policy) => {
    const attributes = { axes: [2, 3], keep_aspect_ratio_policy: policy };
    const y = build.op("Resize", [x, null, null, build.ints([6, 6])], attributes);
    expect(y.shape).toEqual(policy === "not_larger" ? [N, 2, 5, 6] : [N, 2, 6, 8]);
  });
});

// TopK

const topCases: Cases = shape(1, 3, 4).chain((dims) =>
  fc.tuple(distinct(dims), upTo(dims.length - 1, -dims.length), upTo(1)).chain(([x, axis, largest]) =>
    upTo(dims.at(axis) ?? 1, 1).map((count) => ({
      op: "TopK",
      inputs: [x, ints([count])],
      attributes: { axis, largest },
      outputs: 2,
    })),
  ),
);

describeOp("TopK", { cases: topCases });

// Bits

const bits = (op: string, dtype: "int64" | "int32" | "uint8" | "uint32", attributes = {}): Cases =>
  shape(0, 3).chain((dims) => {
    const operand = filled(dims, upTo(op === "BitShift" ? 7 : 200), { dtype });
    return fc.tuple(operand, operand).map(([a, b]) => ({ op, inputs: op === "BitwiseNot" ? [a] : [a, b], attributes }));
  });

for (const op of ["BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot"])
  describeOp(op, { cases: fc.oneof(bits(op, "int64"), bits(op, "int32"), bits(op, "uint8")), integer: true });
describeOp("BitShift", {
  cases: fc.oneof(
    ...["LEFT", "RIGHT"].flatMap((direction) => [
      bits("BitShift", "uint8", { direction }),
      bits("BitShift", "uint32", { direction }),
    ]),
  ),
  integer: true,
});

it("every operator of these families has its cases", () => {
  const { resize, ordering, bitwise } = families;
  expect([...resize, ...ordering, ...bitwise].map(({ op }) => op)).toEqual([
    "Resize",
    "TopK",
    "BitwiseAnd",
    "BitwiseOr",
    "BitwiseXor",
    "BitwiseNot",
    "BitShift",
  ]);
});
