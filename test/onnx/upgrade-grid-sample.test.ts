/** GridSample of opsets 16 to 19: ONNX Runtime computes the same from a file and from its upgraded form. */
import { AttributeProto_AttributeType as Kind } from "onnx-buf";
import { describe, expect, it } from "vitest";
import { encodeModel } from "../../src/onnx/encode.js";
import { nodeRuntime } from "../../src/run/node.js";
import { sizeOf, type Tensor } from "../../src/tensor.js";
import { relativeError } from "./compare.js";
import { decode, file, floats, initializer, int, node, valueInfo } from "./models.js";

const text = (name: string, value: string) => ({ name, type: Kind.STRING, s: new TextEncoder().encode(value) });
const waves = (dims: readonly number[]) =>
  floats(dims, ...Array.from({ length: sizeOf(dims) }, (_, i) => Math.sin(3 * i + 1)));

async function run(bytes: Uint8Array, inputs: Record<string, Tensor>): Promise<Tensor> {
  const session = await nodeRuntime.load(bytes, { threads: 1 });
  const results = await session.run(inputs);
  await session.release();
  return results.y as Tensor;
}

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
    const { graph, parameters } = decode(whole);
    const [expected, found] = [await run(whole, inputs), await run(encodeModel({ ...graph, parameters }), inputs)];
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
    expect(() => decode(whole)).toThrow('mode "lanczos" is not supported');
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
    const { graph, parameters } = decode(whole);
    const x = waves([2, 3]);
    const found = await run(encodeModel({ ...graph, parameters }), { x });
    expect(relativeError(found, await run(whole, { x }))).toBeLessThan(1e-6);
  });
});
