/** The machine's own speed, in GFLOPS of one large matrix product; times are given relative to it. */

import { leaf } from "../src/graph/value.js";
import { encodeModel } from "../src/onnx/write/encode.js";
import { build } from "../src/ops/registry.js";
import { nodeRuntime } from "../src/target/onnxruntime/node.js";
import type { Tensor } from "../src/tensor/tensor.js";
import { interleave, timed } from "./measure.js";

const size = 1024;

export async function matmulSpeed(seconds: number): Promise<number> {
  const [a, b] = ["a", "b"].map((name) => leaf(name, { dtype: "float32", shape: [size, size] }, { kind: "input" }));
  if (!a || !b) throw new RangeError("two operands");
  const bytes = encodeModel({ inputs: [a, b], outputs: [{ name: "y", value: build.matmul(a, b) }] });
  const session = await nodeRuntime.load(bytes);
  const operand: Tensor = { dtype: "float32", dims: [size, size], data: new Float32Array(size * size).fill(0.5) };
  const [timing] = await interleave([timed("matmul", () => session.run({ a: operand, b: operand }))], seconds);
  await session.release();
  return (2 * size ** 3) / ((timing?.median ?? Number.NaN) * 1e6);
}
