import { expect, it } from "vitest";
import { simplify } from "../../src/emit/simplify.js";
import { leaf } from "../../src/graph/value.js";
import { build, families } from "../../src/ops/registry.js";
import { arithmeticTable, countingTable } from "../support/arithmetic-cases.js";
import type { OpCase } from "../support/op-checks.js";
import { describeOp } from "../support/op-suite.js";

/** ONNX Runtime takes an empty list of axes for none given. */
const emptyAxes = ({ op, inputs }: OpCase) => op === "Squeeze" && inputs[1]?.dims[0] === 0;

for (const [op, cases] of Object.entries(arithmeticTable)) describeOp(op, { cases, notInRuntime: emptyAxes });
for (const [op, cases] of Object.entries(countingTable))
  describeOp(op, { cases, integer: true, global: true, neverApart: true });

it("every operator of these families has its cases", () => {
  const { arithmetic, linear, shapes } = families;
  const tested = [...Object.keys(arithmeticTable), ...Object.keys(countingTable)];
  expect([...arithmetic, ...linear, ...shapes].map(({ op }) => op).sort()).toEqual(tested.sort());
});

it("no axes to squeeze is nothing to emit", () => {
  const x = leaf("x", { dtype: "float32", shape: [1, 2] }, { kind: "input" });
  expect(simplify([build.op("Squeeze", [x, build.ints([])])])).toEqual([x]);
});
