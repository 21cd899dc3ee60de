import { expect, it } from "vitest";
import { leaf, type Value } from "../../src/graph/value.js";
import { encodeModel } from "../../src/onnx/write/encode.js";
import { build } from "../../src/ops/registry.js";
import { nodeRuntime } from "../../src/target/onnxruntime/node.js";
import type { Tensor } from "../../src/tensor/tensor.js";

const [rows, size] = [2, 4096];
const tensor = (data: Float32Array): Tensor => ({ dtype: "float32", dims: [1, rows, size], data });

it.each([
  [1e3, 2e-4],
  [1e6, 5e-3],
])("a residual sum around %d is normalised with its digits (not by SkipLayerNormalization)", async (offset, within) => {
  const [a, b] = ["a", "b"].map((name) =>
    leaf(name, { dtype: "float32", shape: [1, rows, size] }, { kind: "input" }),
  ) as [Value, Value];
  const vector = (x: number) =>
    build.constant({ dtype: "float32", dims: [size], data: new Float32Array(size).fill(x) });
  const { outputs } = build.node("LayerNormalization", [build.add(a, b), vector(1), vector(0)], { axis: -1 }, 1);
  const model = encodeModel({ inputs: [a, b], outputs: [{ name: "y", value: outputs[0] as Value }] });
  const first = Float32Array.from({ length: rows * size }, (_, i) => offset + Math.sin(i * 12.9898));
  const second = Float32Array.from(first, (_, i) => Math.cos(i * 7.3));
  const session = await nodeRuntime.load(model);
  const { y } = await session.run({ a: tensor(first), b: tensor(second) });
  await session.release();
  for (let row = 0; row < rows; row++) {
    const from = row * size;
    const sums = Array.from({ length: size }, (_, i) =>
      Math.fround((first[from + i] as number) + (second[from + i] as number)),
    );
    const mean = sums.reduce((sum, x) => sum + x, 0) / size;
    const variance = sums.reduce((sum, x) => sum + (x - mean) ** 2, 0) / size;
    const errors = sums.map((x, i) => Math.abs(Number(y?.data[from + i]) - (x - mean) / Math.sqrt(variance + 1e-5)));
    const worst = Math.max(...errors);
    expect(worst).toBeLessThan(within);
  }
});
