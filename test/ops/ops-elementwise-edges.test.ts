import { describe, expect, it } from "vitest";
import { SampleAxes } from "../../src/analysis/sample-axes.js";
import { plain, reverse } from "../../src/autodiff/reverse.js";
import { array64 } from "../../src/float64/array64.js";
import { type Dim, N } from "../../src/graph/dim.js";
import { type Attributes, dimsValue, leaf, type Value } from "../../src/graph/value.js";
import { nodesBefore } from "../../src/graph/walk.js";
import { evaluateGraph } from "../../src/interpret/evaluate.js";
import { build } from "../../src/ops/registry.js";
import { erf } from "../../src/ops/rules/activations.js";
import { asRun } from "../support/graph-checks.js";

const feed = (dims: Dim[], name = "x", dtype: "float32" | "bool" = "float32"): Value =>
  leaf(name, { dtype, shape: dims }, { kind: "input" });

/** The cotangent of each input at `data`, for dy = 1. */
function cotangents(op: string, data: readonly number[][], dims: Dim[][], attributes = {}): number[][] {
  const inputs = data.map((_, k) => feed(dims[k] as Dim[], `x${k}`));
  const y = build.op(op, inputs, attributes);
  const seed = build.expand(build.scalar(1, y), y.shape);
  const found = reverse(new Map([[y, seed]]), new Set(inputs), plain);
  const feeds = new Map(inputs.map((input, k) => [input, array64(dims[k] as number[], data[k] as number[])]));
  return inputs.map((input) => [...(evaluateGraph([found.get(input) as Value], feeds, 1)[0]?.data ?? [])]);
}

describe("derivatives at kinks and edges", () => {
  const at = (op: string, data: number[], attributes = {}) => cotangents(op, [data], [[data.length]], attributes)[0];

  it("is PyTorch's choice at 0", () => {
    expect(at("Relu", [0, -0])).toEqual([0, 0]);
    expect(at("LeakyRelu", [0], { alpha: 0.25 })).toEqual([0.25]);
    expect(at("Abs", [0])).toEqual([0]);
    expect(at("Elu", [0], { alpha: 0.5 })).toEqual([0.5]);
    expect(at("ReduceL2", [0, 0])).toEqual([0, 0]);
  });

  it("shares an extremum's cotangent among ties", () => {
    expect(at("ReduceMax", [2, 1, 2])).toEqual([0.5, 0, 0.5]);
    expect(
      at(
        "ReduceMin",
        [2, 1, 1, 1].map((x) => x),
      ),
    ).toEqual([0, 1 / 3, 1 / 3, 1 / 3]);
  });

  it("divides by no zero in a product", () => {
    expect(at("ReduceProd", [2, 3, 5])).toEqual([15, 10, 6]);
    expect(at("ReduceProd", [2, 0, 5])).toEqual([0, 10, 0]);
    expect(at("ReduceProd", [0, 3, 0])).toEqual([0, 0, 0]);
  });

  it("passes through Clip on its bounds, and has one receiver per element", () => {
    const [x, low, high] = cotangents("Clip", [[-2, -1, 0, 1, 2], [-1], [1]], [[5], [], []]);
    expect([x, low, high]).toEqual([[0, 1, 1, 1, 0], [1], [1]]);
    const crossed = cotangents("Clip", [[-2, 0, 2], [1], [-1]], [[3], [], []]);
    expect(crossed).toEqual([[0, 0, 0], [0], [3]]);
  });

  it("stays finite far out", () => {
    expect(at("Softplus", [-1000, 1000])).toEqual([0, 1]);
    expect(at("Elu", [1000, -1000])).toEqual([1, 0]);
    expect(at("ReduceLogSumExp", [1000, -1000])).toEqual([1, 0]);
    const nothing = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
    expect(at("ReduceLogSumExp", nothing)).toEqual([0, 0]);
    expect(at("LogSoftmax", [1000, 0])).toEqual([-1, 1]);
  });

  it("uses constants in full precision", () => {
    expect(at("Erf", [0])?.[0]).toBeCloseTo(2 / Math.sqrt(Math.PI), 13);
    expect(at("Selu", [1])?.[0]).toBeCloseTo(1.0507009873554805, 13);
    expect([0.5, -2, 5].map(erf)).toEqual(
      [0.5204998778130465, -0.9953222650189527, 0.9999999999984626].map((y) => expect.closeTo(y, 14)),
    );
  });
});

describe("the sample axis", () => {
  const refuses = (make: () => Value, words: string) => {
    const check = () => new SampleAxes(new Map([[x, 0]])).of(make());
    expect(check).toThrow(
      expect.objectContaining({ code: "SAMPLES_INTERACT", message: expect.stringContaining(words) }),
    );
  };
  const x = feed([N, 3, 2, 2]);
  const channels = (name: string) => feed([3], name);

  it("must not be reduced, normalised or accumulated over", () => {
    for (const op of ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceProd", "ReduceL2", "ReduceLogSum"]) {
      refuses(() => build.op(op, [x, build.ints([0, 1])]), "over the sample axis");
      refuses(() => build.op(op, [x]), "over the sample axis");
    }
    refuses(() => build.op("ArgMax", [x], { axis: -4 }), "over the sample axis");
    refuses(() => build.op("Softmax", [x], { axis: 0 }), "along the sample axis");
    refuses(() => build.op("CumSum", [x, build.ints([0], [])]), "along the sample axis");
    refuses(() => build.op("MeanVarianceNormalization", [x]), "over the batch");
    refuses(() => build.op("LpNormalization", [x], { axis: 0 }), "over the sample axis");
    refuses(
      () => build.op("ReduceSum", [build.reshape(x, [{ perSample: 3 }, 4]), build.ints([0])]),
      "over the sample axis",
    );
    const vectors = ["s", "b", "m", "v"].map(channels);
    refuses(() => build.op("BatchNormalization", [x, ...vectors], { training_mode: 1 }), "training mode");
  });

  it("moves with the axes before it", () => {
    const y = feed([2, 3, N, 4], "y");
    const axes = new SampleAxes(new Map([[y, 2]]));
    const after = (axis: number[], keepdims: number) =>
      axes.of(build.op("ReduceSum", [y, build.ints(axis)], { keepdims }));
    expect(after([0, 3], 0)).toMatchObject({ axis: 1 });
    expect(after([0, 3], 1)).toMatchObject({ axis: 2 });
    expect(after([-1], 0)).toMatchObject({ axis: 2 });
    expect(axes.of(build.op("ArgMin", [y], { axis: 1, keepdims: 0 }))).toMatchObject({ axis: 1 });
  });

  it("does not become a number to compute with", () => {
    const size = build.op("Shape", [x]);
    const refused = expect.objectContaining({
      code: "SAMPLES_INTERACT",
      message: expect.stringContaining("batch size"),
    });
    expect(() => build.exp(build.cast(size, "float32"))).toThrow(refused);
    expect(() => build.neg(build.op("CastLike", [size, x]))).toThrow(refused);
    expect(build.cast(size, "int32").known).toEqual([N, 3, 2, 2]);
  });
});

describe("elements known at compile time", () => {
  it("are followed through Equal, Where and the connectives", () => {
    const target = dimsValue([N, -1, 4]);
    const absent = build.equal(target, build.ints([-1], []));
    expect(absent.known).toEqual([0, 1, 0]);
    expect(build.where(absent, build.ints([1, 1, 1]), target).known).toEqual([N, 1, 4]);
    expect(build.not(absent).known).toEqual([1, 0, 1]);
    expect(build.equal(target, target).known).toEqual([1, 1, 1]);
    // N may be 4.
    expect(build.equal(target, build.ints([4], [])).known).toBeUndefined();
    expect(build.less(build.ints([1, 5]), build.ints([3], [])).known).toEqual([1, 0]);
    expect(build.less(target, build.ints([3], [])).known).toBeUndefined();
  });

  it("are followed through floats and back to integers", () => {
    const size = build.cast(dimsValue([N, 3, 8, 5]), "float32");
    const grown = build.mul(size, build.floats([1, 1, 2, 1.5], [4], size));
    expect(build.cast(build.op("Floor", [grown]), "int64").known).toEqual([N, 3, 16, 7]);
    expect(build.cast(build.div(grown, size), "int64").known).toEqual([1, 1, 2, 1]);
    expect(build.cast(build.sub(build.add(size, size), size), "int64").known).toEqual([N, 3, 8, 5]);
  });

  it("that count samples are not computed with", () => {
    const size = build.cast(dimsValue([N, 3]), "float32");
    const uses = [
      () => build.exp(size),
      () => build.mul(feed([2]), size),
      () => build.add(size, build.floats([1, 1], [2], size)),
      () => build.cast(build.mul(size, build.floats([1.5], [1], size)), "int64"),
      () => build.op("Floor", [build.div(size, build.floats([2], [1], size))]),
      () => build.op("Greater", [size, build.floats([2], [1], size)]),
    ];
    for (const use of uses) expect(use).toThrow(expect.objectContaining({ code: "SAMPLES_INTERACT" }));
  });

  it("are followed through reductions", () => {
    const dims = dimsValue([N, 3, 4]);
    expect(build.reduce("ReduceProd", dims, [0])).toMatchObject({ shape: [], known: [{ perSample: 12 }] });
    expect(build.reduce("ReduceSum", build.ints([2, 3]), [0], true)).toMatchObject({ shape: [1], known: [5] });
    expect(build.reduce("ReduceSum", dims, [0]).known).toBeUndefined();
    expect(build.reduce("ReduceProd", dimsValue([N, N]), [0]).known).toBeUndefined();
    expect(build.reduce("ReduceMax", build.ints([2, 7, 3]), [0]).known).toEqual([7]);
  });
});

describe("errors name the node and what to do", () => {
  const named =
    (op: string, inputs: (Value | null)[], attributes = {}) =>
    () =>
      build.node(op, inputs, attributes, 1, { name: "here" });
  const fails = (make: () => unknown, code: string, words: string) =>
    expect(make).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(new RegExp(`(?=.*"here")(?=.*${words})`, "i")) }),
    );

  it.each<[string, (Value | null)[], Attributes, string, string]>([
    ["Dropout", [feed([2]), null, feed([], "t", "bool")], {}, "UNSUPPORTED_OP", "evaluation mode"],
    ["Dropout", [feed([2]), feed([1])], {}, "SHAPE_MISMATCH", "not a scalar"],
    ["LRN", [feed([1, 2, 3, 3])], { size: 0 }, "SHAPE_MISMATCH", "window of 0"],
    ["Tile", [feed([2, 3]), build.ints([2])], {}, "SHAPE_MISMATCH", "repeats"],
    ["Tile", [feed([2]), build.ints([2], [])], {}, "SHAPE_MISMATCH", "not a vector"],
    ["ReduceProd", [feed([2]), build.ints([0], [])], {}, "SHAPE_MISMATCH", "not a vector"],
    ["TopK", [feed([2]), build.ints([1], [])], {}, "SHAPE_MISMATCH", "not a vector"],
    ["Trilu", [feed([2, 2]), build.ints([1, 2])], {}, "SHAPE_MISMATCH", "not a scalar"],
    ["CumSum", [feed([2, 2]), build.ints([], [0])], {}, "SHAPE_MISMATCH", "not a scalar"],
    ["Split", [feed([2])], {}, "SHAPE_MISMATCH", "num_outputs"],
    ["DepthToSpace", [feed([1, 4, 1, 1])], { blocksize: 2, mode: "CDR" }, "UNSUPPORTED_OP", "CDR"],
    ["MeanVarianceNormalization", [feed([2])], { axes: [] }, "SHAPE_MISMATCH", "empty"],
    [
      "ConstantOfShape",
      [build.ints([2])],
      { value: { dtype: "float32", dims: [], data: new Float32Array(1) } },
      "SHAPE_MISMATCH",
      "one element",
    ],
    ["PRelu", [feed([2]), feed([3, 2])], {}, "SHAPE_MISMATCH", "slope"],
    ["Clip", [feed([2]), feed([2])], {}, "SHAPE_MISMATCH", "scalars"],
    ["Softmax", [feed([2])], { axis: 1 }, "SHAPE_MISMATCH", "axis 1"],
    ["Softmax", [feed([])], {}, "SHAPE_MISMATCH", "scalar"],
    ["ReduceSum", [feed([2]), build.ints([3])], {}, "SHAPE_MISMATCH", "axis 3"],
    ["ReduceSum", [feed([2]), feed([1], "axes")], {}, "UNKNOWN_SHAPE", "axes"],
    ["GroupNormalization", [feed([2, 3]), feed([3]), feed([3])], { num_groups: 2 }, "SHAPE_MISMATCH", "2 groups"],
    ["InstanceNormalization", [feed([2, 3, 4]), feed([2]), feed([3])], {}, "SHAPE_MISMATCH", "input 1"],
    ["LayerNormalization", [feed([2, 3]), feed([2])], {}, "SHAPE_MISMATCH", "broadcast"],
    ["Gelu", [feed([2])], { approximate: "sigmoid" }, "UNSUPPORTED_OP", "sigmoid"],
    ["Cast", [feed([2])], { to: "string" }, "UNSUPPORTED_OP", "string"],
    ["LpNormalization", [feed([2])], { p: 3 }, "UNSUPPORTED_OP", "p = 3"],
    ["Relu", [null], {}, "INVALID_MODEL", "missing"],
  ])("%s", (op, inputs, attributes, code, words) => fails(named(op, inputs, attributes), code, words));
});

describe("tensors without elements", () => {
  it("reduce to the neutral element", () => {
    const empty = feed([2, 0]);
    const reduce = (op: string) => {
      const [y] = evaluateGraph([build.reduce(op, empty, [1])], new Map([[empty, array64([2, 0], [])]]), 1);
      return [...(y?.data ?? [])];
    };
    expect(reduce("ReduceSum")).toEqual([0, 0]);
    expect(reduce("ReduceProd")).toEqual([1, 1]);
    expect(reduce("ReduceMax")).toEqual([Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]);
    expect(reduce("ReduceLogSumExp")).toEqual([Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]);
  });

  it("have cotangents without elements", () => {
    for (const op of ["ReduceMean", "ReduceProd", "ReduceMax", "Softmax", "Gelu"]) {
      expect(cotangents(op, [[]], [[3, 0]])).toEqual([[]]);
    }
  });
});

describe("SimplifiedLayerNormalization with its statistic", () => {
  const emitted = (axis: number, outputs: number) => {
    const inputs = [feed([N, 3, 4]), feed([4], "scale")];
    const node = build.node("SimplifiedLayerNormalization", inputs, { axis }, outputs);
    return nodesBefore(asRun(node.outputs)).map(({ op }) => op);
  };

  it("is emitted in parts where that is of several axes, whose shape ONNX Runtime mistakes", () => {
    expect(emitted(1, 2)).not.toContain("SimplifiedLayerNormalization");
    expect(emitted(1, 1)).toEqual(["SimplifiedLayerNormalization"]);
    expect(emitted(2, 2)).toEqual(["SimplifiedLayerNormalization"]);
  });
});
