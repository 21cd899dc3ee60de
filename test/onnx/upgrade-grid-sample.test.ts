/** GridSample of opsets 16 to 19: ONNX Runtime computes the same from a file and from its upgraded form. */
import { describe, expect, it } from "vitest";
import type { Tensor } from "../../src/tensor/tensor.js";
import { relativeError } from "./compare.js";
import { decode, encoded, file, initializer, int, node, run, text, valueInfo, waves } from "./models.js";

const y = async (bytes: Uint8Array, feeds: Record<string, Tensor>) => (await run(bytes, feeds)).y as Tensor;

describe("GridSample before opset 20", () => {
  it.each([undefined, "bilinear", "bicubic", "nearest"])("is read: mode %s", async (mode) => {
    const inputs = { x: waves([2, 3, 4, 5]), grid: waves([2, 3, 4, 2]) };
    const attributes = [int("align_corners", 1), ...(mode ? [text("mode", mode)] : [])];
    const whole = file({
      inputs: [valueInfo("x", ["N", 3, 4, 5]), valueInfo("grid", ["N", 3, 4, 2])],
      nodes: [node("GridSample", ["x", "grid"], ["y"], attributes)],
      outputs: ["y"],
      opset: 16,
    });
    const [expected, found] = [await y(whole, inputs), await y(encoded(decode(whole)), inputs)];
    expect(found.dims).toEqual([2, 3, 3, 4]);
    expect(relativeError(found, expected)).toBeLessThan(1e-6);
  });

  it("names what no opset had", () => {
    const whole = file({
      inputs: [valueInfo("x", ["N", 1, 2, 2]), valueInfo("grid", ["N", 1, 1, 2])],
      nodes: [node("GridSample", ["x", "grid"], ["y"], [text("mode", "lanczos")])],
      outputs: ["y"],
      opset: 16,
    });
    expect(() => decode(whole)).toThrow('has the mode "lanczos", which pergrad does not know');
  });
});

describe("attributes that name an element type", () => {
  it("are read and written", async () => {
    const whole = file({
      inputs: [valueInfo("x", ["N", 3])],
      nodes: [
        node("EyeLike", ["w"], ["eye"], [int("dtype", 11)]),
        node("HannWindow", ["size"], ["window"], [int("output_datatype", 11)]),
        node("Cast", ["eye"], ["narrow"], [int("to", 1)]),
        node("Cast", ["window"], ["weights"], [int("to", 1)]),
        node("Mul", ["narrow", "weights"], ["scaled"]),
        node("MatMul", ["x", "scaled"], ["y"]),
      ],
      initializers: [
        initializer("w", waves([3, 3])),
        initializer("size", { dtype: "int64", dims: [], data: BigInt64Array.of(3n) }),
      ],
      outputs: ["y"],
      opset: 17,
    });
    const x = waves([2, 3]);
    const found = await y(encoded(decode(whole)), { x });
    expect(relativeError(found, await y(whole, { x }))).toBeLessThan(1e-6);
  });
});
