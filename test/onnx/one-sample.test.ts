/** Files made for one sample that take the batch axis away: any number of samples, each as the file computes it. */
import { describe, expect, it } from "vitest";
import { Oracle } from "../../src/check/oracle.js";
import { objectiveOf } from "../../src/compile/objective.js";
import { losses, perSample, want } from "../../src/index.js";
import { modelOf } from "../../src/onnx/read/model-of.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { expectClose } from "../support/per-sample.js";
import { relativeError } from "./compare.js";
import {
  encoded,
  file,
  floats,
  initializer,
  int,
  int64s,
  ints,
  node,
  refusal,
  run,
  tensor,
  valueInfo,
  waves,
} from "./models.js";

const first = (index: number, axis: number, output: boolean) =>
  file({
    inputs: [valueInfo("x", axis === 0 ? [1, 4, 3] : [4, 1, 3])],
    initializers: [initializer("w", waves([3, 2])), initializer("b", waves([2]))],
    nodes: [
      node(
        "Constant",
        [],
        ["k"],
        [tensor("value", { dtype: "int64", dims: [], data: BigInt64Array.of(BigInt(index)) })],
      ),
      node("Tanh", ["x"], ["t"]),
      node("Gather", ["t", "k"], ["own"], [int("axis", axis)]),
      node("MatMul", ["own", "w"], ["p"]),
      node("Add", ["p", "b"], ["q"]),
      node("ReduceSum", ["q", "a"], ["sum"], [int("keepdims", output ? 1 : 0)]),
      node("Constant", [], ["a"], [ints("value_ints", [0])]),
      node("Sigmoid", ["sum"], ["y"]),
    ],
  });

describe("x[0] of a file made for one sample", () => {
  it.each([
    [0, 0, true],
    [-1, 0, false],
    [0, 1, true],
  ])("index %i along axis %i, keeping an axis in the output: %s", async (index, axis, keeps) => {
    const bytes = first(index, axis, keeps);
    const model = modelOf(bytes, "m.onnx", { sampleAxes: { x: axis } });
    expect(model.notes.join()).toContain("computed for each sample separately");
    const dims = axis === 0 ? [3, 4, 3] : [4, 3, 3];
    const x = waves(dims);
    const found = (await run(encoded(model), { x })).y as Tensor<"float32">;
    expect(found.dims).toEqual([3, 2]);
    for (let n = 0; n < 3; n++) {
      const own =
        axis === 0
          ? x.data.slice(12 * n, 12 * n + 12)
          : Float32Array.from({ length: 12 }, (_, i) => x.data[Math.floor(i / 3) * 9 + 3 * n + (i % 3)] as number);
      const alone = (await run(bytes, { x: floats(axis === 0 ? [1, 4, 3] : [4, 1, 3], ...own) }))
        .y as Tensor<"float32">;
      expect(
        relativeError({ ...found, dims: [2], data: found.data.slice(2 * n, 2 * n + 2) }, { ...alone, dims: [2] }),
      ).toBeLessThan(1e-6);
    }
  });

  it("gives the gradients of the loop over samples", async () => {
    const model = modelOf(first(0, 0, true), "m.onnx", {});
    const options = { loss: losses.mse(), target: { dtype: "float32" as const, shape: ["N" as const, 2] } };
    const batch = { x: waves([3, 4, 3]), target: waves([3, 2]) };
    const program = await perSample(model, { ...options, want: { gradients: want.gradients() } });
    const { gradients } = await program.run(batch);
    await program.release();
    const oracle = new Oracle(objectiveOf(model, options), batch);
    for (const name of ["w", "b"]) {
      const expected = [0, 1, 2].flatMap((n) => [...(oracle.sample(n).gradients.get(name) ?? [])]);
      expectClose(gradients[name]?.data ?? [], expected, 1e-5, name);
    }
  });

  it("a mean over the batch axis is still refused", () => {
    const bytes = file({
      inputs: [valueInfo("x", [1, 3])],
      initializers: [initializer("w", waves([3, 2])), initializer("axes", int64s(0))],
      nodes: [node("MatMul", ["x", "w"], ["p"]), node("ReduceMean", ["p", "axes"], ["y"])],
    });
    expect(refusal(() => modelOf(bytes, "m.onnx", {}))).toMatch(/^SAMPLES_INTERACT: ReduceMean node "y"/);
  });
});
