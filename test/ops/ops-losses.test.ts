import { describe, expect, it } from "vitest";
import { SampleAxes } from "../../src/analysis/sample-axes.js";
import { PergradError } from "../../src/errors.js";
import { array64 } from "../../src/float64/array64.js";
import { N } from "../../src/graph/dim.js";
import { leaf, type Value } from "../../src/graph/value.js";
import { evaluateGraph } from "../../src/interpret/evaluate.js";
import { build } from "../../src/ops/registry.js";
import { lossCases } from "../support/loss-cases.js";
import { describeOp } from "../support/op-suite.js";
import { compareWithLoop, numbers } from "../support/per-sample.js";

// Labels have one axis less than scores, so the suite never puts samples on both: see below.
describeOp("NegativeLogLikelihoodLoss", { cases: lossCases("NegativeLogLikelihoodLoss", 1), neverApart: true });
describeOp("SoftmaxCrossEntropyLoss", { cases: lossCases("SoftmaxCrossEntropyLoss", 2), neverApart: true });

const scoresOf = (...rest: number[]) => leaf("x", { dtype: "float32", shape: [N, ...rest] }, { kind: "input" });
const labelsOf = (...rest: number[]) => leaf("t", { dtype: "int64", shape: [N, ...rest] }, { kind: "input" });

describe.each(["NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"])("%s", (op) => {
  it.each(["mean", "sum"])("reduced by %s is refused, with what to do", (reduction) => {
    const [x, t] = [scoresOf(3), labelsOf()];
    const loss = build.op(op, [x, t], { reduction });
    const axes = new SampleAxes(new Map([x, t].map((value) => [value, 0])));
    expect(() => axes.of(loss)).toThrow(/reduction "none"/);
    expect(() => axes.of(loss)).toThrow(PergradError);
  });

  it("reduced is the loss of shared values where no sample reaches it", () => {
    const x = leaf("x", { dtype: "float32", shape: [2, 3] }, { kind: "input" });
    const loss = build.op(op, [x, build.ints([0, 2])], { reduction: "mean" });
    expect(new SampleAxes(new Map()).of(loss)).toBeNull();
  });

  it("refuses classes along the sample axis", () => {
    const x = leaf("x", { dtype: "float32", shape: [2, N] }, { kind: "input" });
    const loss = build.op(op, [x, build.ints([0, 1])], { reduction: "none" });
    expect(() => new SampleAxes(new Map([[x, 1]])).of(loss)).toThrow(/sample axis/);
  });

  it("has per-sample gradients where it is not reduced", () => {
    const [x, t] = [scoresOf(4, 2), labelsOf(2)];
    const weight = leaf("w", { dtype: "float32", shape: [3, 4] }, { kind: "parameter" });
    const classWeights = leaf("c", { dtype: "float32", shape: [3] }, { kind: "parameter" });
    const loss = build.op(op, [build.matmul(weight, x), t, classWeights], { reduction: "none", ignore_index: 9 });
    const samples = 3;
    const kinds = compareWithLoop({
      losses: build.sum(loss, [1]),
      parameters: new Map([
        [weight, numbers([3, 4], 1)],
        [classWeights, numbers([3], 2)],
      ]),
      inputs: new Map<Value, { axis: number; array: ReturnType<typeof array64> }>([
        [x, { axis: 0, array: numbers([samples, 4, 2], 3) }],
        [t, { axis: 0, array: array64([samples, 2], [0, 2, 9, 1, 1, 9]) }],
      ]),
      samples,
    });
    expect(kinds.get("w")).toBe("outer");
  });

  it("is not a number where no label counts", () => {
    const x = leaf("x", { dtype: "float32", shape: [2, 3] }, { kind: "input" });
    const loss = build.op(op, [x, build.ints([1, 1])], { ignore_index: 1 });
    expect(evaluateGraph([loss], new Map([[x, numbers([2, 3], 0)]]), 1)[0]?.data[0]).toBeNaN();
  });

  it.each([
    ["scores without classes", [[3], [3]]],
    [
      "labels of another shape",
      [
        [2, 3, 4],
        [2, 3],
      ],
    ],
    ["weights of another length", [[2, 3], [2], [2]]],
    ["no classes at all", [[2, 0], [2]]],
  ])("refuses %s", (_, shapes) => {
    const dtypes = ["float32", "int64", "float32"] as const;
    const inputs = shapes.map((shape, k) => leaf(`x${k}`, { dtype: dtypes[k] ?? "float32", shape }, { kind: "input" }));
    expect(() => build.op(op, inputs, {})).toThrow(PergradError);
  });
});
