/** Einsum as files have it: inputs of one element along a subscript, and numbers made for the batch that a file fixes. */
import { describe, expect, it } from "vitest";
import { expectAgreement, refusalOf } from "../support/file-agreement.js";
import { type FileInit, file, floats, initializer, node, tensor, text, valueInfo, waves } from "./models.js";

const einsum = (inputs: readonly string[], equation: string) =>
  node("Einsum", inputs, ["y"], [text("equation", equation)]);

describe("an input of one element along a subscript", () => {
  it.each<[string, string, readonly number[]]>([
    ["queries that all samples share", "bqd,bkd->bqk", [1, 2, 4]],
    ["a row that all positions share", "bqd,bkd->bqk", [1, 1, 4]],
    ["what three dots stand for", "...qd,...kd->...qk", [1, 2, 4]],
    ["one number for all of a summed axis", "bqd,bkd->bqk", [1, 2, 1]],
  ])("is repeated: %s", async (_, equation, dims) => {
    const bytes = file({
      inputs: [valueInfo("x", ["N", 3, 4])],
      initializers: [initializer("w", waves(dims))],
      nodes: [einsum(["w", "x"], equation)],
    });
    await expectAgreement({ bytes, feeds: { x: waves([3, 3, 4]) }, samples: 3 });
  });

  it("is refused beside another size than one", () => {
    const init: FileInit = {
      inputs: [valueInfo("x", ["N", 3, 4])],
      initializers: [initializer("w", waves([2, 3, 4]))],
      nodes: [einsum(["x", "w"], "bqd,bkd->bqk")],
    };
    expect(refusalOf(file(init))).toMatch(
      /^SHAPE_MISMATCH: Einsum node "y" has inputs that differ in the size of the subscript "b"/,
    );
  });
});

describe("an Einsum written for a batch of three samples", () => {
  const init = (...rows: readonly number[]): FileInit => ({
    inputs: [valueInfo("x", [3, 2])],
    initializers: [initializer("w", floats([2], 0.5, -1.5))],
    nodes: [
      node("Constant", [], ["s"], [tensor("value", floats([3, 1, 2], ...rows.flatMap((row) => [row, -2 * row])))]),
      node("Mul", ["x", "w"], ["m"]),
      einsum(["s", "m"], "nij,nj->ni"),
    ],
  });
  it("takes any number of them, where the state is the same for each", async () => {
    await expectAgreement({ bytes: file(init(1, 1, 1)), feeds: { x: waves([3, 2]) }, samples: 3, fixed: 3 });
  });
  it("is refused where the state is one sample's own", () => {
    expect(refusalOf(file(init(1, 1, 2)))).toMatch(/^SHAPE_MISMATCH: Einsum node "y".*the file fixes its batch to 3/);
  });
});
