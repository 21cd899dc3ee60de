/** Scan in files: read, written again, and computed as ONNX Runtime computes the file; PyTorch's scripted loops end there. */
import { describe, expect, it } from "vitest";
import { losses, perSample, want } from "../../src/index.js";
import { modelOf } from "../../src/onnx/read/model-of.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { relativeError } from "./compare.js";
import { encoded, file, floats, graph, initializer, int, ints, node, refusal, run, valueInfo } from "./models.js";

const x = floats([2, 4, 3], ...Array.from({ length: 24 }, (_, i) => Math.sin(i + 1)));
const weights = [
  initializer("w", floats([3, 3], 0.5, -0.3, 0.2, 0.1, 0.4, -0.6, 0.7, -0.2, 0.3)),
  initializer("b", floats([3], 0.1, -0.2, 0.3)),
];

/** h' = tanh(x_t W + h W^T + b), y_t = h' * x_t; W^T and the bias are read from around. */
const body = graph("body", {
  name: "step",
  input: [valueInfo("h", ["N", 3]), valueInfo("xt", ["N", 3])],
  node: [
    node("MatMul", ["xt", "w"], ["p"]),
    node("Transpose", ["w"], ["wt"], [ints("perm", [1, 0])]),
    node("MatMul", ["h", "wt"], ["q"]),
    node("Sum", ["p", "q", "b"], ["s"]),
    node("Tanh", ["s"], ["next"]),
    node("Mul", ["next", "xt"], ["yt"]),
  ],
  output: [valueInfo("next", ["N", 3]), valueInfo("yt", ["N", 3])],
});

function model(attributes: Parameters<typeof node>[3]) {
  return file({
    inputs: [valueInfo("x", ["N", 4, 3])],
    initializers: weights,
    nodes: [
      node("ReduceMean", ["x"], ["h0"], [ints("axes", [1]), int("keepdims", 0)]),
      {
        ...node("Scan", ["h0", "x"], ["last", "all"], [body, int("num_scan_inputs", 1), ...(attributes ?? [])]),
        name: "loop",
      },
      node("ReduceSum", ["all", "axes"], ["sum"], [int("keepdims", 0)]),
      node("Add", ["last", "sum"], ["y"]),
      node(
        "Constant",
        [],
        ["axes"],
        [ints("value_ints", [attributes?.some(({ name }) => name === "scan_output_axes") ? 1 : 0])],
      ),
    ],
    opset: 17,
  });
}

const y = async (bytes: Uint8Array) => (await run(bytes, { x })).y as Tensor;

describe("Scan", () => {
  it.each([
    ["over axis 1", [ints("scan_input_axes", [1])]],
    ["from the end", [ints("scan_input_axes", [1]), ints("scan_input_directions", [1])]],
    [
      "with results along axis 1, the last first",
      [ints("scan_input_axes", [1]), ints("scan_output_axes", [1]), ints("scan_output_directions", [1])],
    ],
  ])("%s computes as in the file, and differentiates as in the loop", async (_, attributes) => {
    const bytes = model(attributes);
    const read = modelOf(bytes, "m.onnx", {});
    expect(Object.keys(read.parameters)).toEqual(["w", "b"]);
    expect(relativeError(await y(encoded(read)), await y(bytes))).toBeLessThan(1e-6);
    const target = floats([2, 3], 0.3, -0.4, 0.1, 0.9, 0.2, -0.5);
    const program = await perSample(read, { loss: losses.mse(), want: { g: want.gradients(), n: want.norms() } });
    const all = await program.run({ x, target });
    for (const [n, own] of [x.data.slice(0, 12), x.data.slice(12)].entries()) {
      const one = await program.run({
        x: { dtype: "float32", dims: [1, 4, 3], data: own },
        target: { dtype: "float32", dims: [1, 3], data: target.data.slice(3 * n, 3 * n + 3) },
      });
      for (const name of ["w", "b"]) {
        const [found, alone] = [all.g[name], one.g[name]] as [Tensor, Tensor];
        const size = alone.data.length;
        const part = { ...alone, data: found.data.slice(n * size, (n + 1) * size) } as Tensor;
        expect(relativeError(part, alone)).toBeLessThan(1e-5);
      }
    }
    await program.release();
  });

  it("over the samples is refused", () => {
    expect(refusal(() => modelOf(model([ints("scan_input_axes", [0])]), "m.onnx", {}))).toMatch(
      /^SAMPLES_INTERACT: Scan node "loop" steps from sample to sample/,
    );
  });
});
