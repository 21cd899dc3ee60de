import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SampleAxes } from "../../src/analysis/sample-axes.js";
import { plain, reverse } from "../../src/autodiff/reverse.js";
import { array64 } from "../../src/float64/array64.js";
import { N, type Shape } from "../../src/graph/dim.js";
import { dimsValue, leaf, type Value } from "../../src/graph/value.js";
import { evaluateGraph } from "../../src/interpret/evaluate.js";
import { build, definitionOf, families } from "../../src/ops/registry.js";
import type { DType } from "../../src/tensor/tensor.js";
import { asRun, checkComputed, derivativeOf, emittedOf } from "../support/graph-checks.js";
import {
  checkBatch,
  checkDerivative,
  checkRuntime,
  checkSampleAxis,
  type OpCase,
  type OpInput,
} from "../support/op-checks.js";
import { describeOp } from "../support/op-suite.js";
import { compareWithLoop, numbers } from "../support/per-sample.js";
import * as cases from "../support/region-cases.js";

// The one sample axis of an AffineGrid is in its constant size too; EyeLike would number the samples.
describeOp("GridSample", { cases: cases.gridCases, notInRuntime: cases.gridNotInRuntime, inParts: true });
describeOp("AffineGrid", { cases: cases.affineCases, neverApart: true });
describeOp("CenterCropPad", { cases: cases.centreCases });
describeOp("Col2Im", { cases: cases.col2ImCases });
describeOp("MaxRoiPool", { cases: cases.roiCases });
describeOp("RoiAlign", { cases: cases.roiAlignCases, derivatives: 20 });
describeOp("DeformConv", {
  cases: cases.deformCases,
  notInRuntime: cases.deformNotInRuntime,
  inParts: true,
  derivatives: 20,
});
describeOp("Det", { cases: cases.detCases });
describeOp("EyeLike", { cases: cases.eyeCases, neverApart: true });
describeOp("ReverseSequence", { cases: cases.reverseCases });

const input = (name: string, shape: Shape, dtype: DType = "float32") => leaf(name, { dtype, shape }, { kind: "input" });
const axisOf = (value: Value, axes: [Value, number][]) => new SampleAxes(new Map(axes)).of(value);
const first = { axis: 0, outer: 1, inner: 1 };

/** Operators of newer opsets than programs are emitted in: what is emitted is compared. */
describe.each([
  ["CumProd", cases.cumProdCases],
  ["TensorScatter", cases.tensorScatterCases],
])("%s", (_op, own) => {
  const runs = { numRuns: 60 };

  it("has the derivative that differences show", () => {
    fc.assert(
      fc.property(own, (test) => checkDerivative(test)),
      runs,
    );
  });

  it("takes one more leading axis", () => {
    const flags = fc.array(fc.boolean(), { minLength: 2, maxLength: 2 });
    fc.assert(
      // The places to write to stay, as those of another sample may not be there.
      fc.property(own, fc.integer({ min: 1, max: 3 }), flags, (test, size, marks) => {
        checkBatch(
          { ...test, inputs: test.inputs.map((one, k) => (k === 2 && one ? { ...one, constant: true } : one)) },
          size,
          marks,
        );
      }),
      runs,
    );
  });

  it("keeps samples apart along its sample axis, or refuses", () => {
    const apart = (test: OpCase, axis: number) => {
      try {
        checkSampleAxis(test, axis);
        return true;
      } catch (error) {
        expect(String(error)).toMatch(/influence each other|does not fit|not one for each/);
        return false;
      }
    };
    const tests = fc.sample(own, 200);
    expect(tests.filter((test) => apart(test, 0) || apart(test, 1)).length).toBeGreaterThan(0);
  });

  it("is emitted in a form that ONNX Runtime runs", async () => {
    const tests = fc.sample(own, 40);
    const emitted = tests.map((test, k) => {
      const feeds = new Map<Value, ReturnType<typeof array64>>();
      const inputs = test.inputs.map((one, i) => {
        const { dims, data, dtype, constant } = one as OpInput;
        if (constant) return build.ints(data, dims);
        const value = input(`c${k}_x${i}`, dims, dtype);
        feeds.set(value, array64(dims, data.map(Math.fround)));
        return value;
      });
      const node = build.node(test.op, inputs, test.attributes);
      return { outputs: definitionOf(node)?.lower?.(node, build) ?? [], feeds, what: test };
    });
    await checkComputed(emitted);
    await checkComputed(tests.map((test, k) => derivativeOf(test, `d${k}_`)));
  });
});

it("multiplies up along an axis", () => {
  const x = input("x", [4]);
  const feeds = new Map([[x, array64([4], [2, 3, 0, 5])]]);
  const product = (attributes: Record<string, number>) => [
    ...(evaluateGraph([build.op("CumProd", [x, build.ints([0], [])], attributes)], feeds, 1)[0]?.data ?? []),
  ];
  expect(product({})).toEqual([2, 6, 0, 0]);
  expect(product({ exclusive: 1 })).toEqual([1, 2, 6, 0]);
  expect(product({ reverse: 1 })).toEqual([0, 0, 0, 5]);
  expect(product({ exclusive: 1, reverse: 1 })).toEqual([0, 0, 5, 1]);
});

it("writes into a cache from where each sample stands, around its end", () => {
  const [cache, update, start] = [input("c", [2, 3, 1]), input("u", [2, 2, 1]), input("s", [2], "int64")];
  const feeds = new Map([
    [cache, array64([2, 3, 1], [1, 2, 3, 4, 5, 6])],
    [update, array64([2, 2, 1], [10, 20, 30, 40])],
    [start, array64([2], [1, 2])],
  ]);
  const written = build.op("TensorScatter", [cache, update, start], { mode: "circular" });
  expect([...(evaluateGraph([written], feeds, 1)[0]?.data ?? [])]).toEqual([1, 10, 20, 40, 5, 30]);
});

describe("GridSample", () => {
  const grid = input("grid", [N, 5, 6, 2]);

  it("keeps the samples of its input and its grid together", () => {
    const x = input("x", [N, 3, 4, 4]);
    const y = build.op("GridSample", [x, grid]);
    expect(y.shape).toEqual([N, 3, 5, 6]);
    const both: [Value, number][] = [
      [x, 0],
      [grid, 0],
    ];
    expect(axisOf(y, both)).toEqual(first);
    const tall = input("tall", [1, 3, N, 4]);
    expect(() => build.op("GridSample", [tall, input("g", [1, 5, 6, 2])])).toThrow("sample axis");
  });

  it("samples one shared image at points of the samples", () => {
    const [image, points] = [input("image", [1, 3, 4, 4]), input("points", [1, N, 7, 2])];
    const y = build.op("GridSample", [image, points]);
    expect(axisOf(y, [[points, 1]])).toEqual({ axis: 2, outer: 1, inner: 1 });
  });

  it("refuses what does not fit or is not known", () => {
    const x = input("x", [N, 3, 4, 4]);
    expect(() => build.op("GridSample", [x, input("g", [N, 5, 6, 3])])).toThrow("does not fit");
    expect(() => build.op("GridSample", [x, grid], { mode: "bilinear" })).toThrow(
      'has the mode "bilinear", which pergrad does not know',
    );
    expect(() => build.op("GridSample", [x, grid], { padding_mode: "wrap" })).toThrow("wrap");
    expect(() => build.op("GridSample", [input("x", [N, 3]), input("g", [N, 0])])).toThrow("no spatial axis");
    expect(() => build.op("GridSample", [input("x", [N, 3, 0, 4]), grid])).toThrow("no element to sample");
    const axes = Array<number>(7).fill(2);
    const deep = build.node("GridSample", [input("x", [N, 3, ...axes]), input("g", [N, ...axes, 7])], {
      mode: "cubic",
    });
    expect(() => definitionOf(deep)?.decompose?.(deep, build)).toThrow("no more than");
  });

  it("lets nothing flow back to points on the border, as PyTorch has it", () => {
    const [x, points] = [input("x", [1, 1, 2, 2]), input("points", [1, 1, 2, 2])];
    const y = build.op("GridSample", [x, points], { padding_mode: "border", align_corners: 1 });
    const dy = input("dy", y.shape);
    const found = reverse(new Map([[y, dy]]), new Set([points]), plain).get(points) as Value;
    const feeds = new Map([
      [x, array64([1, 1, 2, 2], [1, 2, 3, 5])],
      [points, array64([1, 1, 2, 2], [-1, -1, 0, 0.5])],
      [dy, array64([1, 1, 1, 2], [1, 1])],
    ]);
    const [gradient] = evaluateGraph([found], feeds, 1);
    expect([...(gradient?.data ?? [])].slice(0, 2)).toEqual([0, 0]);
    expect(gradient?.data[2]).not.toBe(0);
  });
});

describe("AffineGrid", () => {
  it("takes a size that holds the batch", () => {
    const theta = input("theta", [N, 2, 3]);
    const y = build.op("AffineGrid", [theta, dimsValue([N, 1, 3, 4])]);
    expect(y.shape).toEqual([N, 3, 4, 2]);
    expect(axisOf(y, [[theta, 0]])).toEqual(first);
  });

  it("refuses what does not fit, and the corner of an axis of one element", () => {
    const theta = input("theta", [N, 2, 3]);
    expect(() => build.op("AffineGrid", [theta, build.ints([5, 1, 3, 4])])).toThrow("does not fit");
    expect(() => build.op("AffineGrid", [theta, dimsValue([N, 1, 1, 4])], { align_corners: 1 })).toThrow("one element");
    expect(() => build.op("AffineGrid", [theta, input("s", [4], "int64")])).toThrow("must be known");
  });
});

describe("CenterCropPad", () => {
  it("keeps the batch, and refuses to change it", () => {
    const x = input("x", [N, 5]);
    expect(build.op("CenterCropPad", [x, dimsValue([N, 3])]).shape).toEqual([N, 3]);
    expect(() => build.op("CenterCropPad", [x, build.ints([4, 3])])).toThrow("influence each other");
  });
});

describe("MaxRoiPool", () => {
  const attributes = { pooled_shape: [2, 2] };
  const regions: OpInput = { dims: [2, 5], data: [0, 0, 0, 3, 2, 0, 1, 1, 2, 3] };
  const image: OpInput = { dims: [1, 2, 4, 4], data: Array.from({ length: 32 }, (_, i) => Math.sin(7 * i)) };
  const test: OpCase = { op: "MaxRoiPool", inputs: [image, regions], attributes };

  it("takes regions that are computed", async () => {
    await checkRuntime([test]);
    await checkComputed([derivativeOf(test, "")]);
    checkBatch(test, 3, [true, false]);
    // Every element is shifted, so of equal numbers only.
    const alike = { ...regions, data: regions.data.map(() => 0) };
    checkBatch({ ...test, inputs: [image, alike] }, 2, [false, true]);
    checkBatch({ ...test, inputs: [image, alike] }, 2, [true, true]);
  });

  it("pools the samples' own regions of one image, and refuses all that might be other samples' images", () => {
    const rois = input("rois", [N, 5]);
    const [shared, images, channels] = [input("x", [1, 2, 4, 4]), input("x", [N, 2, 4, 4]), input("x", [1, N, 4, 4])];
    expect(axisOf(build.op("MaxRoiPool", [shared, rois], attributes), [[rois, 0]])).toEqual(first);
    const fixed = build.op("MaxRoiPool", [channels, input("r", [3, 5])], attributes);
    expect(axisOf(fixed, [[channels, 1]])).toEqual({ axis: 1, outer: 1, inner: 1 });
    const both: [Value, number][] = [
      [images, 0],
      [rois, 0],
    ];
    expect(() => axisOf(build.op("MaxRoiPool", [images, rois], attributes), both)).toThrow("influence each other");
    const some = build.op("MaxRoiPool", [images, input("r", [3, 5])], attributes);
    expect(() => axisOf(some, [[images, 0]])).toThrow("influence each other");
  });

  it("gives 0 where a bin lies outside", () => {
    const [x, rois] = [input("x", [1, 1, 2, 2]), build.floats([0, 5, 5, 6, 6], [1, 5], input("like", []))];
    const y = build.op("MaxRoiPool", [x, rois], { pooled_shape: [1, 1] });
    expect(evaluateGraph([y], new Map([[x, array64([1, 1, 2, 2], [-1, -2, -3, -4])]]), 1)[0]?.data[0]).toBe(0);
  });
});

describe("Det", () => {
  it("has the derivative of singular matrices too", () => {
    const data = [1, 2, 3, 2, 4, 6, 3, 6, 9.5];
    checkDerivative({ op: "Det", inputs: [{ dims: [3, 3], data }] });
    checkDerivative({ op: "Det", inputs: [{ dims: [3, 3], data: data.map(() => 0) }] });
  });

  it("differentiates up to 12 rows", () => {
    const square = (side: number): OpCase => {
      const data = Array.from({ length: side * side }, (_, i) => Math.sin(12.9 * i * i) + Number(i % (side + 1) === 0));
      return { op: "Det", inputs: [{ dims: [side, side], data }] };
    };
    checkDerivative(square(12), 3e-4, 1e-7);
    expect(() => checkDerivative(square(13))).toThrow("more than 12 rows");
  });

  it("refuses the samples as rows", () => {
    expect(() => build.op("Det", [input("x", [N, N])])).toThrow("sample axis");
    expect(() => build.op("Det", [input("x", [N, 2, 3])])).toThrow("no square matrices");
    expect(() => build.op("EyeLike", [input("x", [N, 3])])).toThrow("influence each other");
  });
});

describe("ReverseSequence", () => {
  it("keeps the samples of sequences and lengths together", () => {
    const [x, lengths] = [input("x", [4, N, 3]), input("l", [N], "int64")];
    const y = build.op("ReverseSequence", [x, lengths]);
    const both: [Value, number][] = [
      [x, 1],
      [lengths, 0],
    ];
    expect(axisOf(y, both)).toEqual({ axis: 1, outer: 1, inner: 1 });
    const times = input("t", [N, 4, 3]);
    const reversed = build.op("ReverseSequence", [times, input("m", [4], "int64")]);
    expect(() => axisOf(reversed, [[times, 0]])).toThrow("reverses the samples");
    expect(() => build.op("ReverseSequence", [x, lengths], { batch_axis: 2, time_axis: 0 })).toThrow("first two");
  });
});

it("per-sample gradients reach through a grid that is computed", () => {
  const [x, weight] = [
    input("x", [N, 2, 4, 5]),
    leaf("w", { dtype: "float32", shape: [40, 6] }, { kind: "parameter" }),
  ];
  const theta = build.reshape(build.scale(build.matmul(build.reshape(x, [N, 40]), weight), 0.1), [N, 2, 3]);
  const grid = build.op("AffineGrid", [theta, dimsValue([N, 2, 3, 3])]);
  const kernel = leaf("k", { dtype: "float32", shape: [2, 2, 1, 1] }, { kind: "parameter" });
  const y = build.op("GridSample", [build.op("Conv", [x, kernel]), grid], { padding_mode: "reflection" });
  const samples = 3;
  const kinds = compareWithLoop({
    losses: build.sum(build.square(y), [1, 2, 3]),
    parameters: new Map([
      [weight, numbers([40, 6], 1)],
      [kernel, numbers([2, 2, 1, 1], 2)],
    ]),
    inputs: new Map([[x, { axis: 0, array: numbers([samples, 2, 4, 5], 3) }]]),
    samples,
  });
  expect(Object.fromEntries(kinds)).toEqual({ w: "outer", k: "convolution" });
});

describe("GridSample by cubes", () => {
  it("has the derivative that differences show, and is emitted in parts", async () => {
    const cube: OpInput = { dims: [1, 1, 1, 2, 2], data: [0.3, -0.7, 1.1, 0.4] };
    const grid: OpInput = { dims: [1, 1, 1, 1, 3], data: [0.11, -0.3, 1.2] };
    const test: OpCase = {
      op: "GridSample",
      inputs: [cube, grid],
      attributes: { mode: "cubic", padding_mode: "reflection" },
    };
    checkDerivative(test);
    await checkComputed([emittedOf(test, "e"), derivativeOf(test, "d")]);
  });
});

describe("DeformConv", () => {
  it.each([1, 2, 3])("without offsets is a convolution, of %i axes", async (rank) => {
    const [sizes, kernel] = [[5, 4, 3].slice(0, rank), [3, 2, 2].slice(0, rank)];
    const attributes = { strides: [2, 1, 1].slice(0, rank), pads: [1, 0, 1, 2, 1, 0].slice(0, 2 * rank), group: 2 };
    const [x, weight] = [input("x", [2, 4, ...sizes]), input("w", [6, 2, ...kernel])];
    const y = build.op("Conv", [x, weight], attributes);
    const size = kernel.reduce((product, count) => product * count, 1);
    const still = build.zeros([2, 2 * rank * size, ...y.shape.slice(2)], "float32");
    const deformed = build.op("DeformConv", [x, weight, still], { ...attributes, offset_group: 2 });
    const feeds = new Map([x, weight].map((value, k) => [value, numbers(value.shape as number[], k)] as const));
    const [expected, actual] = evaluateGraph([y, deformed], feeds, 1);
    expect(actual?.dims).toEqual(expected?.dims);
    actual?.data.forEach((element, k) => {
      expect(element).toBeCloseTo(expected?.data[k] as number, 12);
    });
    await checkComputed([{ outputs: asRun([deformed]), feeds, what: rank }]);
  });

  it("refuses what does not fit", () => {
    const [x, w, offset] = [input("x", [N, 4, 5, 5]), input("w", [2, 4, 3, 3]), input("o", [N, 18, 3, 3])];
    expect(build.op("DeformConv", [x, w, offset]).shape).toEqual([N, 2, 3, 3]);
    expect(() => build.op("DeformConv", [x, w, offset], { group: 2 })).toThrow("does not fit 4 channels");
    expect(() => build.op("DeformConv", [x, w, input("o", [N, 9, 3, 3])])).toThrow(
      "The offset [N, 9, 3, 3] of DeformConv",
    );
    expect(() => build.op("DeformConv", [x, w, offset, null, input("m", [N, 18, 3, 3])])).toThrow("The mask");
    expect(() => build.op("DeformConv", [x, w, offset, input("b", [3])])).toThrow("The bias");
    expect(() => build.op("DeformConv", [x, w, offset], { kernel_shape: [2, 2] })).toThrow("kernel_shape");
  });
});

describe("RoiAlign", () => {
  const attributes = { output_height: 2, output_width: 2 };
  const image: OpInput = { dims: [1, 2, 4, 4], data: Array.from({ length: 32 }, (_, i) => Math.sin(7 * i)) };

  it("takes regions that are computed, however long, and has their derivative", async () => {
    const data = [0.3, 0.4, 3.2, 2.9, -40, -30.3, 50.2, 61.9, 1.1, 1.3, 1.2, 1.7];
    const rois: OpInput = { dims: [3, 4], data };
    for (const mode of ["avg", "max"]) {
      const test: OpCase = {
        op: "RoiAlign",
        inputs: [image, rois, { dims: [3], data: [0, 0, 0], dtype: "int64", constant: true }],
        attributes: { ...attributes, mode },
      };
      await checkRuntime([test]);
      checkDerivative(test, 1e-5, 1e-6);
      await checkComputed([derivativeOf(test, "")]);
    }
  });

  it("pools the samples' own regions of one image", () => {
    const [x, rois, images] = [input("x", [1, 2, 4, 4]), input("rois", [N, 4]), build.zeros([N], "int64")];
    const y = build.op("RoiAlign", [x, rois, images], attributes);
    expect(y.shape).toEqual([N, 2, 2, 2]);
    expect(axisOf(y, [[rois, 0]])).toEqual(first);
    expect(() => build.op("RoiAlign", [x, input("r", [N, 5]), images])).toThrow("do not fit");
    expect(() => build.op("RoiAlign", [x, rois, images], { mode: "sum" })).toThrow('mode "sum"');
    const far = { sampling_ratio: 2 ** 40 };
    expect(() => build.op("RoiAlign", [x, rois, images], far)).toThrow(expect.objectContaining({ code: "TOO_LARGE" }));
  });
});

it.each([0, 1, 3])("per-sample gradients of %i samples reach through offsets and regions", (samples) => {
  const parameter = (name: string, shape: Shape) => leaf(name, { dtype: "float32", shape }, { kind: "parameter" });
  const x = input("x", [N, 2, 4, 4]);
  const rois = input("rois", [N, 4]);
  const [kernel, offsets, image] = [
    parameter("k", [2, 2, 2, 2]),
    parameter("o", [8, 2, 2, 2]),
    parameter("i", [1, 1, 3, 3]),
  ];
  const moved = build.scale(build.op("Conv", [x, offsets]), 0.1);
  const y = build.op("DeformConv", [x, kernel, moved]);
  const pooled = ["avg", "max"].map((mode) =>
    build.op("RoiAlign", [image, rois, build.zeros([N], "int64")], { mode, output_height: 2, sampling_ratio: 2 }),
  );
  const parts = [y, ...pooled].map((value) => build.sum(build.square(value), [1, 2, 3]));
  const kinds = compareWithLoop({
    losses: parts.reduce((sum, part) => build.add(sum, part)),
    parameters: new Map([
      [kernel, numbers([2, 2, 2, 2], 1)],
      [offsets, numbers([8, 2, 2, 2], 2)],
      [image, numbers([1, 1, 3, 3], 4)],
    ]),
    inputs: new Map([
      [x, { axis: 0, array: numbers([samples, 2, 4, 4], 3) }],
      [rois, { axis: 0, array: numbers([samples, 4], 5) }],
    ]),
    samples,
  });
  expect(kinds.get("o")).toBe("convolution");
  expect(kinds.get("k")).toBe("outer");
});

it("refuses constants of any size before they are made", () => {
  const far = 2 ** 40;
  const theta = input("theta", [N, 2, 3]);
  const decomposed = build.node("AffineGrid", [theta, dimsValue([N, 1, far, 4])]);
  const tooLarge = expect.objectContaining({ code: "TOO_LARGE" });
  expect(() => definitionOf(decomposed)?.decompose?.(decomposed, build)).toThrow(tooLarge);
  const scatter = [input("c", [N, far, 1]), input("u", [N, far, 1])];
  expect(() => build.op("TensorScatter", scatter)).toThrow(tooLarge);
  expect(() => build.op("HannWindow", [build.ints([far], [])])).toThrow(tooLarge);
  const rois = input("r", [2, 5]);
  expect(() => build.op("MaxRoiPool", [input("x", [1, 1, 2, 2]), rois], { pooled_shape: [far, 1] })).toThrow(tooLarge);
});

it("every operator of these families has its cases", () => {
  const { grids, regions, matrices, running, deformable } = families;
  const all = [...grids, ...regions, ...families["roi-align"], ...deformable, ...matrices, ...running];
  expect(all.map(({ op }) => op)).toEqual([
    "GridSample",
    "AffineGrid",
    "CenterCropPad",
    "Col2Im",
    "MaxRoiPool",
    "RoiAlign",
    "DeformConv",
    "Det",
    "EyeLike",
    "ReverseSequence",
    "CumProd",
    "TensorScatter",
  ]);
});
