/** Whatever type of integers ONNX allows an operator to compute with, the runtime computes it, as the float64 reference does. */
import { describe, expect, it } from "vitest";
import { type Array64, array64 } from "../../src/float64/array64.js";
import { type Attributes, leaf, type Value } from "../../src/graph/value.js";
import { evaluateGraph } from "../../src/interpret/evaluate.js";
import { encodeModel } from "../../src/onnx/write/encode.js";
import { build } from "../../src/ops/registry.js";
import { simplifyInFloat32 } from "../../src/optimise/simplify.js";
import { nth } from "../../src/present.js";
import { nodeRuntime } from "../../src/target/onnxruntime/node.js";
import { aroundFaults } from "../../src/target/onnxruntime/workarounds/index.js";
import type { DType } from "../../src/tensor/tensor.js";

const narrow: readonly DType[] = ["int8", "uint8", "int16", "uint16"];
const wide: readonly DType[] = ["int32", "uint32", "int64", "uint64"];
const integers = [...narrow, ...wide];
const any: readonly DType[] = ["bool", ...integers];
/** The runtime orders no unsigned numbers of 64 bits. */
const ordered = integers.filter((dtype) => dtype !== "uint64");

type Make = (x: Value, y: Value) => Value | readonly Value[];
const one = (op: string, attributes: Attributes = {}, count = 1, ...others: readonly Value[]): Make => {
  return (x) => build.node(op, [x, ...others], attributes, count).outputs;
};
const two = (op: string, attributes: Attributes = {}): Make => {
  return (x, y) => build.op(op, [x, y], attributes);
};

const last = build.ints([1]);
const floats = (values: readonly number[]) =>
  build.constant({ dtype: "float32", dims: [values.length], data: Float32Array.from(values) });
const asImage = (x: Value, channels: number, rows: number) =>
  build.reshape(x, [1, channels, rows, 8 / channels / rows]);

const cases: Readonly<Record<string, { readonly of: readonly DType[]; readonly make: Make }>> = {
  Where: {
    of: any,
    make: (x, y) => build.where(build.greater(build.cast(x, "float32"), build.cast(y, "float32")), x, y),
  },
  "Pow, exponents": {
    of: integers,
    make: (x, y) => build.op("Pow", [build.add(build.cast(x, "float32"), floats([1])), y]),
  },
  Max: { of: integers, make: two("Max") },
  Min: { of: integers, make: two("Min") },
  "Max, of many": {
    of: integers,
    make: (x, y) => build.op("Max", [...Array.from({ length: 70 }, () => x), y]),
  },
  Clip: { of: integers, make: (x) => build.op("Clip", [x, build.cast(build.ints([1], []), x.dtype), null]) },
  Relu: { of: ["int8", "int16", "int32", "int64"], make: one("Relu") },
  ArgMax: { of: ordered, make: one("ArgMax", { axis: 1 }) },
  ArgMin: { of: ordered, make: one("ArgMin", { axis: 1, select_last_index: 1 }) },
  ReduceMax: { of: ["int8", "uint8", "int32", "uint32", "int64"], make: one("ReduceMax", {}, 1, last) },
  ReduceMin: { of: ["int8", "uint8", "int32", "uint32", "int64"], make: one("ReduceMin", {}, 1, last) },
  ReduceSum: { of: wide, make: one("ReduceSum", {}, 1, last) },
  ReduceProd: { of: wide, make: one("ReduceProd", { keepdims: 0 }, 1, last) },
  ReduceL1: { of: wide, make: one("ReduceL1", {}, 1, last) },
  ReduceSumSquare: { of: wide, make: one("ReduceSumSquare", {}, 1, last) },
  CumSum: { of: wide, make: one("CumSum", { reverse: 1 }, 1, build.ints([1], [])) },
  TopK: { of: ordered, make: one("TopK", { axis: 1 }, 2, build.ints([2])) },
  Trilu: { of: any, make: one("Trilu") },
  Pad: { of: any, make: one("Pad", { mode: "reflect" }, 1, build.ints([1, 0, 0, 2])) },
  "Einsum, a sum": { of: integers, make: one("Einsum", { equation: "ab->a" }) },
  "Einsum, a product": { of: integers, make: two("Einsum", { equation: "ab,cb->ac" }) },
  OneHot: { of: integers, make: one("OneHot", {}, 1, build.ints([4], []), floats([-1, 2])) },
  "OneHot, depth": {
    of: integers,
    make: (x) => build.op("OneHot", [build.cast(x, "int64"), build.cast(build.ints([3], []), x.dtype), floats([0, 1])]),
  },
  "OneHot, values": {
    of: any,
    make: (x) =>
      build.op("OneHot", [build.cast(x, "int32"), build.ints([4], []), build.cast(build.ints([0, 1]), x.dtype)]),
  },
  Gemm: {
    of: wide,
    make: (x, y) => build.op("Gemm", [x, y, build.slice(x, 1, 0, 2)], { transB: 1, alpha: 2, beta: 3 }),
  },
  DepthToSpace: { of: any, make: (x) => build.op("DepthToSpace", [asImage(x, 4, 1)], { blocksize: 2 }) },
  SpaceToDepth: { of: any, make: (x) => build.op("SpaceToDepth", [asImage(x, 1, 2)], { blocksize: 2 }) },
  Resize: {
    of: integers,
    make: (x) => build.op("Resize", [asImage(x, 1, 2), null, floats([1, 1, 2, 1.5])], { mode: "nearest" }),
  },
};

const dims = [2, 4];
const numbers = { x: [3, 0, 2, 1, 1, 3, 0, 2], y: [1, 2, 2, 0, 3, 1, 0, 1] };

async function run(inputs: readonly Value[], outputs: readonly Value[]): Promise<number[][]> {
  const named = outputs.map((value, k) => ({ name: `y${k}`, value: build.cast(value, "float32") }));
  const session = await nodeRuntime.load(encodeModel({ inputs, outputs: named }));
  try {
    const feeds = inputs.map(({ name }, k) => {
      const data = Float32Array.from(k === 0 ? numbers.x : numbers.y);
      return [name, { dtype: "float32", dims, data }] as const;
    });
    const found = await session.run(Object.fromEntries(feeds));
    return named.map(({ name }) => Array.from(found[name]?.data ?? [], Number));
  } finally {
    await session.release();
  }
}

describe.each(Object.entries(cases))("%s", (_, { of, make }) => {
  it.each(of)("of %s", async (dtype) => {
    const inputs = ["x", "y"].map((name) => leaf(name, { dtype: "float32", shape: dims }, { kind: "input" }));
    const [x, y] = inputs.map((input) => build.cast(input, dtype));
    const outputs = [make(x as Value, y as Value)].flat();
    const feeds = new Map<Value, Array64>(
      inputs.map((input, k) => [input, array64(dims, k === 0 ? numbers.x : numbers.y)]),
    );
    const adapted = aroundFaults(simplifyInFloat32(outputs));
    expect(adapted.map((value) => [value.dtype, value.shape])).toEqual(
      outputs.map((value) => [value.dtype, value.shape]),
    );
    const found = await run(inputs, adapted);
    for (const [k, expected] of evaluateGraph(outputs, feeds, 1).entries())
      expect(nth(found, k)).toEqual(Array.from(expected.data));
  });
});
