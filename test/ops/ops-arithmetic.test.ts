import { expect, it } from "vitest";
import { SampleAxes } from "../../src/analysis/sample-axes.js";
import { array64 } from "../../src/float64/array64.js";
import { leaf, type Value } from "../../src/graph/value.js";
import { build, families } from "../../src/ops/registry.js";
import { arithmeticTable, countingTable } from "../support/arithmetic-cases.js";
import { asRun, checkComputed } from "../support/graph-checks.js";
import type { OpCase } from "../support/op-checks.js";
import { describeOp } from "../support/op-suite.js";

/** ONNX Runtime takes an empty list of axes for none given. */
const emptyAxes = ({ op, inputs }: OpCase) => op === "Squeeze" && inputs[1]?.dims[0] === 0;

/** The runtime's kernel has this form of opset 28 for integers only. */
const floorsFloats = ({ op, inputs, attributes }: OpCase): boolean =>
  op === "Mod" && inputs[0]?.dtype === undefined && attributes?.fmod !== 1;

for (const [op, cases] of Object.entries(arithmeticTable))
  describeOp(op, { cases, notInRuntime: (test) => emptyAxes(test) || floorsFloats(test), inParts: op === "Mod" });
for (const [op, cases] of Object.entries(countingTable))
  describeOp(op, { cases, integer: true, global: true, neverApart: true });

it("every operator of these families has its cases", () => {
  const { arithmetic, einsum, linear, shapes, sizes } = families;
  const tested = [...Object.keys(arithmeticTable), ...Object.keys(countingTable)];
  expect([...arithmetic, ...einsum, ...linear, ...shapes, ...sizes].map(({ op }) => op).sort()).toEqual(tested.sort());
});

it("no axes to squeeze is nothing to emit", () => {
  const x = leaf("x", { dtype: "float32", shape: [1, 2] }, { kind: "input" });
  expect(asRun([build.op("Squeeze", [x, build.ints([])])])).toEqual([x]);
});

it("a product over no elements is zeros", async () => {
  const [a, b] = [
    leaf("a", { dtype: "float32", shape: [3, 4, 0] }, { kind: "input" }),
    leaf("b", { dtype: "float32", shape: [0, 2] }, { kind: "input" }),
  ];
  // A result that is read again, so that no kernel may leave its memory as it was.
  const product = build.add(build.matmul(a, b), build.floats([1, 2], [2], a));
  await checkComputed([
    {
      outputs: [product],
      feeds: new Map([
        [a, array64([3, 4, 0], [])],
        [b, array64([0, 2], [])],
      ]),
      what: "MatMul over nothing",
    },
  ]);
});

it("an axis that becomes empty is cut off", async () => {
  const x = leaf("x", { dtype: "float32", shape: [1, 2] }, { kind: "input" });
  const [empty] = asRun([build.op("Expand", [x, build.ints([0, 2])])]);
  const joined = build.concat([empty as Value, x], 0);
  await checkComputed([
    { outputs: [joined], feeds: new Map([[x, array64([1, 2], [3, 4])]]), what: "Expand to nothing" },
  ]);
});

it("a reshape of other axes leaves alike what is alike along the sample axis", () => {
  const ones = build.expand(build.floats([1], [], build.zeros([1], "float32")), [{ perSample: 2 }, 3, 1]);
  const at = new SampleAxes(new Map()).of(build.reshape(ones, [{ perSample: 2 }, 3]));
  expect(at).toMatchObject({ axis: 0, uniform: true });
});
