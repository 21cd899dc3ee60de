import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SampleAxes } from "../../src/analysis/sample-axes.js";
import { array64 } from "../../src/float64/array64.js";
import { N } from "../../src/graph/dim.js";
import { constantValue, dimsValue, leaf, type Value } from "../../src/graph/value.js";
import { evaluateGraph } from "../../src/interpret/evaluate.js";
import { build, definitionOf, families } from "../../src/ops/registry.js";
import { checkComputed, derivativeOf } from "../support/graph-checks.js";
import { ints, type OpCase, type OpInput, typed } from "../support/op-checks.js";
import { type Cases, describeOp } from "../support/op-suite.js";
import { bitwiseTable, resizeCases, samplingTable } from "../support/sampling-cases.js";

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
    expect(() => build.op("Resize", sizes(6, 4), { axes: [2, 3], antialias: 1 })).toThrow("antialias=1");
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

describeOp("TopK", { cases: samplingTable.TopK as Cases });
/** Signed integers came with opset 28. */
const signedShift = ({ op, inputs }: OpCase): boolean =>
  op === "BitShift" && inputs[0]?.dtype?.startsWith("i") === true;
for (const [op, cases] of Object.entries(bitwiseTable))
  describeOp(op, { cases, integer: true, notInRuntime: signedShift, inParts: true });

it("every operator of these families has its cases", () => {
  const { resize, ordering, bitwise } = families;
  expect([...resize, ...ordering, ...bitwise].map(({ op }) => op)).toEqual([
    ...Object.keys(samplingTable),
    ...Object.keys(bitwiseTable),
  ]);
});
