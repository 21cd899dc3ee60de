/** Where ONNX Runtime departs from ONNX, and what we emit avoids it. */
import { expect, it } from "vitest";
import { N } from "../../src/graph/dim.js";
import { leaf } from "../../src/graph/value.js";
import { build } from "../../src/ops/registry.js";
import { compile } from "../../src/program/expressions.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { Traced } from "../../src/trace/traced.js";

const floats = (dims: readonly number[], ...data: number[]): Tensor => ({
  dtype: "float32",
  dims,
  data: Float32Array.from(data),
});

it("a transposed matrix times a vector", async () => {
  const a = leaf("a", { dtype: "float32", shape: [3, 2] }, { kind: "input" });
  const v = leaf("v", { dtype: "float32", shape: [3] }, { kind: "input" });
  const x = leaf("x", { dtype: "float32", shape: [N, 3, 2] }, { kind: "input" });
  const y = build.op("MatMul", [build.transpose(a, [1, 0]), v]);
  const many = build.op("MatMul", [build.transpose(x, [0, 2, 1]), v]);
  const program = await compile({ y: new Traced(y), many: new Traced(many) });
  const matrix = [1, 2, 3, 4, 5, 6];
  const found = await program.run({
    a: floats([3, 2], ...matrix),
    v: floats([3], 1, 10, 100),
    x: floats([2, 3, 2], ...matrix, ...matrix),
  });
  await program.release();
  expect([...found.y.data]).toEqual([531, 642]);
  expect([...found.many.data]).toEqual([531, 642, 531, 642]);
});
