/** What is stated otherwise because ONNX Runtime is faster at it stays what it was. */
import { describe, expect, it } from "vitest";
import { type Dim, N } from "../../src/graph/dim.js";
import { leaf, nodeOf, type Value } from "../../src/graph/value.js";
import { nodesBefore } from "../../src/graph/walk.js";
import { encodeModel } from "../../src/onnx/write/encode.js";
import { build } from "../../src/ops/registry.js";
import { stated } from "../../src/target/onnxruntime/faster.js";
import { loadSession } from "../../src/target/onnxruntime/node.js";
import { floatsIn, type Tensor } from "../../src/tensor/tensor.js";

const input = (name: string, shape: readonly Dim[]) => leaf(name, { dtype: "float32", shape }, { kind: "input" });

const floats = (dims: readonly number[]): Tensor<"float32"> => ({
  dtype: "float32",
  dims,
  data: Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(1.7 * i + 0.3)),
});

async function resultOf(value: Value, inputs: readonly Value[], feeds: Record<string, Tensor>): Promise<Float32Array> {
  const session = await loadSession(encodeModel({ inputs, outputs: [{ name: "result", value }] }), { threads: 1 });
  const { result } = await session.run(feeds);
  await session.release();
  return floatsIn(result as Tensor) as Float32Array;
}

const operators = (value: Value) => nodesBefore([value]).map(({ op }) => op);

describe("a product of a turned matrix", () => {
  const product = (positions: number, rows: number, columns: number) => {
    const [left, right] = [input("left", [{ perSample: positions }, rows]), input("right", [N, positions, columns])];
    const flat = build.reshape(right, [{ perSample: positions }, columns]);
    return { left, right, value: build.op("Gemm", [left, flat], { transA: 1, alpha: 0.5 }) };
  };

  it.each([
    [1, 70, 33],
    [3, 70, 33],
    [5, 1, 130],
  ])(
    "is the same of a matrix that is turned before, for %i samples of %i positions",
    async (samples, positions, rows) => {
      const { left, right, value } = product(positions, rows, 513);
      const [found] = stated([value]) as [Value];
      expect(nodeOf(found)?.attributes.transA).toBe(0);
      expect(operators(found)).toContain("Transpose");
      const feeds = { left: floats([samples * positions, rows]), right: floats([samples, positions, 513]) };
      const [before, after] = [
        await resultOf(value, [left, right], feeds),
        await resultOf(found, [left, right], feeds),
      ];
      expect(after).toHaveLength(rows * 513);
      after.forEach((x, k) => {
        expect(Math.abs(x - (before[k] as number))).toBeLessThan(1e-4);
      });
    },
  );

  it.each([
    ["few columns", 70, 33, 256],
    ["few elements", 1, 33, 600],
    ["one row", 70, 1, 600],
    ["more positions than columns", 700, 33, 600],
  ] as const)("stays where there is little to gain: %s", (_, positions, rows, columns) => {
    const { value } = product(positions, rows, columns);
    expect(stated([value])).toEqual([value]);
  });
});

describe("a sum over steps and samples", () => {
  const [steps, left, right] = [6, 8, 4];
  const flat = (value: Value) => build.reshape(value, [{ perSample: steps }, Number(value.shape[2])]);
  const turned = (value: Value) => build.transpose(value, [1, 0, 2]);
  const a = input("a", [steps, N, left]);
  const b = input("b", [steps, N, right]);
  const samplesFirst = input("b", [N, steps, right]);
  const summed = (x: Value, y: Value) => build.op("Gemm", [flat(x), flat(y)], { transA: 1 });

  it.each([
    ["both turned", summed(turned(a), turned(b)), b, 0],
    ["the larger turned", summed(turned(a), samplesFirst), samplesFirst, 1],
  ] as const)("is the same in another order: %s", async (_, value, other, transposes) => {
    const [found] = stated([value]) as [Value];
    expect(operators(found).filter((op) => op === "Transpose")).toHaveLength(transposes);
    if (transposes > 0) expect(nodesBefore([found]).find(({ op }) => op === "Transpose")?.inputs).toEqual([other]);
    const feeds = { a: floats([steps, 3, left]), b: floats(other === b ? [steps, 3, right] : [3, steps, right]) };
    const [before, after] = [await resultOf(value, [a, other], feeds), await resultOf(found, [a, other], feeds)];
    after.forEach((x, k) => {
      expect(Math.abs(x - (before[k] as number))).toBeLessThan(1e-5);
    });
  });

  it("stays where the smaller is turned, or axes are exchanged otherwise", () => {
    const smaller = summed(input("c", [N, steps, left]), turned(b));
    const last = summed(build.transpose(input("d", [steps, left, N]), [2, 0, 1]), turned(b));
    for (const value of [smaller, last]) expect(stated([value])).toEqual([value]);
  });

  it.each([
    [[1], 1],
    [[-3], 1],
    [[0, 1], 0],
  ])("of a turned value over the axes %j is that of the value", async (axes, keepdims) => {
    const value = build.op("ReduceSum", [turned(a), build.ints(axes)], { keepdims });
    const [found] = stated([value]) as [Value];
    expect(operators(found)).not.toContain("Transpose");
    expect(found.shape).toEqual(value.shape);
    const feeds = { a: floats([steps, 3, left]) };
    const [before, after] = [await resultOf(value, [a], feeds), await resultOf(found, [a], feeds)];
    after.forEach((x, k) => {
      expect(Math.abs(x - (before[k] as number))).toBeLessThan(1e-5);
    });
  });

  it("of a turned value over its last axis stays", () => {
    const value = build.sum(turned(a), [2]);
    expect(stated([value])).toEqual([value]);
  });
});

describe("probabilities from their logarithms", () => {
  it("are those of Softmax, with classes that are ruled out too", async () => {
    const x = input("x", [N, 3, 200]);
    const value = build.exp(build.op("LogSoftmax", [x], { axis: -1 }));
    const [found] = stated([value]) as [Value];
    expect(operators(found)).toEqual(["Softmax"]);
    const tensor = floats([2, 3, 200]);
    tensor.data.fill(Number.NEGATIVE_INFINITY, 0, 150);
    const [before, after] = [await resultOf(value, [x], { x: tensor }), await resultOf(found, [x], { x: tensor })];
    expect(after.subarray(0, 150).every((p) => p === 0)).toBe(true);
    after.forEach((p, k) => {
      expect(Math.abs(p - (before[k] as number))).toBeLessThan(1e-7);
    });
  });

  it("stay where there are few classes", () => {
    const value = build.exp(build.op("LogSoftmax", [input("x", [N, 10])], { axis: -1 }));
    expect(stated([value])).toEqual([value]);
  });
});
