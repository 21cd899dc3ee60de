import { describe, expect, it } from "vitest";
import { SampleAxes } from "../../src/analysis/sample-axes.js";
import { plain, reverse } from "../../src/autodiff/reverse.js";
import { N, type Shape } from "../../src/graph/dim.js";
import { type Attributes, leaf, nodeOf, type Value } from "../../src/graph/value.js";
import { evaluateGraph } from "../../src/interpret/evaluate.js";
import { foldNode } from "../../src/interpret/fold.js";
import { build, families } from "../../src/ops/registry.js";
import { simplify } from "../../src/optimise/simplify.js";
import type { DType } from "../../src/tensor/tensor.js";
import { checkRuntime } from "../support/op-checks.js";
import { describeOp } from "../support/op-suite.js";
import { compressCases, constantTable } from "../support/region-cases.js";

describeOp("Compress", { cases: compressCases });
for (const [op, cases] of Object.entries(constantTable)) describeOp(op, { cases, integer: true, neverApart: true });

const input = (name: string, shape: Shape, dtype: DType = "float32") => leaf(name, { dtype, shape }, { kind: "input" });
const x = input("x", [N, 4]);

describe("operators whose results are as many as the data says", () => {
  it.each([
    ["Compress", [x, input("c", [4], "bool")]],
    ["NonZero", [x]],
    ["Unique", [x]],
    ["NonMaxSuppression", [input("b", [1, 3, 4]), input("s", [1, 1, 3])]],
  ] as const)("%s is refused where the data are not constant", (op, inputs) => {
    const make = () => build.op(op, inputs, op === "Compress" ? { axis: 1 } : {});
    expect(make).toThrow(expect.objectContaining({ code: "UNKNOWN_SHAPE" }));
    expect(make).toThrow("computed from the data");
  });

  it("are folded where they are", () => {
    const node = build.node("NonZero", [build.ints([0, 3, 0, 4])]);
    const [folded] = foldNode(node) ?? [];
    expect(folded?.source.kind).toBe("constant");
    expect(folded?.shape).toEqual([1, 2]);
  });

  it("take scalars, and nothing", () => {
    expect(build.op("NonZero", [build.ints([7], [])]).shape).toEqual([1, 1]);
    expect(build.op("NonZero", [build.ints([])]).shape).toEqual([1, 0]);
    expect(build.op("Unique", [build.ints([])]).shape).toEqual([0]);
  });

  it("do not choose among the samples", () => {
    const condition = build.constant({ dtype: "bool", dims: [2], data: Uint8Array.of(1, 0) });
    const y = build.op("Compress", [x, condition], { axis: 0 });
    expect(() => new SampleAxes(new Map([[x, 0]])).of(y)).toThrow("sample axis");
    expect(build.op("Compress", [x, condition], { axis: 1 }).shape).toEqual([N, 1]);
    const long = build.constant({ dtype: "bool", dims: [5], data: Uint8Array.of(0, 0, 0, 0, 1) });
    expect(() => build.op("Compress", [x, long], { axis: 1 })).toThrow("element 4 of 4");
  });
});

describe("windows", () => {
  it("of one element are their middle", () => {
    for (const op of ["HannWindow", "HammingWindow", "BlackmanWindow"]) {
      const y = build.op(op, [build.ints([1], [])], { periodic: 0 });
      expect(evaluateGraph([y], new Map(), 1)[0]?.data[0]).toBeCloseTo(1, 12);
    }
  });

  it("refuse sizes that are computed, negative, or the batch's", () => {
    expect(() => build.op("HannWindow", [input("s", [], "int64")])).toThrow("must be known");
    expect(() => build.op("HannWindow", [build.ints([-1], [])])).toThrow("The size of HannWindow node is -1");
    const batch = build.op("Shape", [x], { end: 1 });
    expect(() => build.op("HannWindow", [build.squeeze(batch, [0])])).toThrow("batch size");
  });

  it("refuse filters beyond the spectrum", () => {
    const edges = [100, 5000].map((edge) => build.floats([edge], [], x));
    const sizes = [8, 16, 8000].map((size) => build.ints([size], []));
    expect(() => build.op("MelWeightMatrix", [...sizes, ...edges])).toThrow("do not rise within the 9 bins");
  });
});

describe.each([
  ["RandomNormal", [], { shape: [2, 3] }, "float32", [2, 3]],
  ["RandomUniform", [], { shape: [4] }, "float32", [4]],
  ["RandomNormalLike", [x], {}, "float32", [N, 4]],
  ["RandomUniformLike", [x], {}, "float32", [N, 4]],
  ["Bernoulli", [x], { dtype: "bool" }, "bool", [N, 4]],
  ["Multinomial", [x], { sample_size: 7 }, "int32", [N, 7]],
] as [string, Value[], Attributes, DType, Shape][])("%s", (op, inputs, attributes, dtype, shape) => {
  it("has its shape and dtype, and no derivative", () => {
    const drawn = build.op(op, inputs, attributes);
    expect(drawn).toMatchObject({ dtype, shape });
    const noisy = build.concat([build.cast(drawn, "float32"), build.cast(drawn, "float32")], shape.length - 1);
    expect(reverse(new Map([[noisy, input("dy", noisy.shape)]]), new Set([x]), plain).has(x)).toBe(false);
  });
});

describe("operators that draw random numbers", () => {
  const like = (op: string) => build.op(op, [x]);

  it("ask for what they cannot do without", () => {
    expect(() => build.op("RandomNormal", [], { shape: [2], dtype: "int32" })).toThrow("int32");
    expect(() => build.op("RandomNormal", [], {})).toThrow("has no shape");
  });

  it("draw for each sample apart", () => {
    const axes = new SampleAxes(new Map([[x, 0]]));
    for (const op of ["RandomNormalLike", "Bernoulli"])
      expect(axes.of(like(op))).toEqual({ axis: 0, outer: 1, inner: 1 });
    const wide = input("w", [4, N]);
    const drawn = build.op("Multinomial", [wide]);
    expect(() => new SampleAxes(new Map([[wide, 1]])).of(drawn)).toThrow("draws one of the samples");
    // Not all alike, though what they are shaped after is.
    const zeros = build.zeros([N, 4], "float32");
    expect(axes.of(build.op("RandomNormalLike", [zeros]))).toEqual({ axis: 0, outer: 1, inner: 1 });
  });

  it("are neither evaluated, folded nor merged", () => {
    const draw = () => build.op("RandomNormal", [], { shape: [2] });
    expect(() => evaluateGraph([draw()], new Map(), 1)).toThrow(expect.objectContaining({ code: "UNSUPPORTED_OP" }));
    expect(() => evaluateGraph([draw()], new Map(), 1)).toThrow("draws random numbers");
    const difference = build.sub(draw(), draw());
    const [kept] = simplify([difference]);
    const [a, b] = nodeOf(kept as Value)?.inputs ?? [];
    expect(a).not.toBe(b);
    expect(nodeOf(a as Value)?.op).toBe("RandomNormal");
    const once = draw();
    const [zero] = simplify([build.sub(once, once)]);
    const inputs = nodeOf(zero as Value)?.inputs;
    expect(inputs?.[0]).toBe(inputs?.[1]);
  });
});

it("computes like ONNX Runtime with the defaults", async () => {
  const boxes = { dims: [1, 3, 4], data: [0, 0, 1, 1, 0, 0.1, 1, 1.1, 0, 3, 1, 4], constant: true };
  const scores = { dims: [1, 1, 3], data: [0.9, 0.75, 0.6], constant: true };
  await checkRuntime([{ op: "NonMaxSuppression", inputs: [boxes, scores] }]);
});

it("every operator of these families has its cases", () => {
  const { selection, signal } = families;
  expect([...selection, ...signal].map(({ op }) => op)).toEqual(["Compress", ...Object.keys(constantTable)]);
});
