/** Equal nodes become one, whatever made them. */
import { expect, it } from "vitest";
import { N } from "../../src/graph/dim.js";
import { leaf } from "../../src/graph/value.js";
import { nodesBefore } from "../../src/graph/walk.js";
import { build } from "../../src/ops/registry.js";
import { merged } from "../../src/optimise/merger.js";

const x = leaf("x", { dtype: "float32", shape: [N, 3] }, { kind: "input" });

it("of nodes that read the same, equal constants included, one is kept, and so of those that read them", () => {
  const half = () => build.exp(build.mul(x, build.scalar(0.5, x)));
  const outputs = merged([build.add(half(), half()), half()]);
  expect(nodesBefore(outputs).map(({ op }) => op)).toEqual(["Mul", "Exp", "Add"]);
});

it("what differs in an attribute, an input or their order stays", () => {
  const [half, third] = [build.mul(x, build.scalar(1 / 2, x)), build.mul(x, build.scalar(1 / 3, x))];
  const sums = [build.reduce("ReduceSum", x, [1], true), build.reduce("ReduceSum", x, [1], false)];
  const outputs = [half, third, ...sums, build.sub(half, third), build.sub(third, half)];
  expect(merged(outputs)).toEqual(outputs);
});

it("random numbers are drawn for each node", () => {
  const draw = () => build.op("RandomNormalLike", [x], {});
  const outputs = [draw(), draw()];
  expect(new Set(merged(outputs)).size).toBe(2);
});
