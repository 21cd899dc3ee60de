/** Two masks are one only if they pick the same elements in every run. */
import { expect, it } from "vitest";
import { madeAlike } from "../../src/onnx/read/masks/made-alike.js";
import { build } from "../../src/ops/registry.js";
import { input } from "../../src/trace/functions.js";

const chances = input("p", ["N", 5]).value;
const drawn = () => build.op("Bernoulli", [chances]);
const above = (bound: number) => build.op("Greater", [chances, build.scalar(bound, chances)]);

it("values made from the same values by equal nodes are alike", () => {
  expect(madeAlike(above(0.5), above(0.5))).toBe(true);
  expect(madeAlike(above(0.5), above(0.25))).toBe(false);
});

it("values drawn by two nodes are not, and those of one node are", () => {
  expect(madeAlike(drawn(), drawn())).toBe(false);
  const once = drawn();
  expect(madeAlike(build.cast(once, "bool"), build.cast(once, "bool"))).toBe(true);
});
