import fc from "fast-check";
import { expect, it } from "vitest";
import { N, type Shape } from "../../src/graph/dim.js";
import { leaf } from "../../src/graph/value.js";
import { build } from "../../src/ops/registry.js";
import type { DType } from "../../src/tensor/tensor.js";
import { filled } from "../support/op-checks.js";
import { type Cases, describeOp } from "../support/op-suite.js";

/** Of 7 bits: processors without instructions for it add two products of 8 bits in 16, where they do not fit. */
const elements = (dtype: DType) => fc.integer({ min: dtype === "int8" ? -63 : 0, max: dtype === "int8" ? 63 : 127 });

const cases: Cases = fc
  .record({
    a: fc.constantFrom<DType>("uint8", "int8"),
    b: fc.constantFrom<DType>("uint8", "int8"),
    batch: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 2 }),
    rows: fc.integer({ min: 1, max: 5 }),
    inner: fc.integer({ min: 1, max: 9 }),
    columns: fc.integer({ min: 1, max: 5 }),
    zeros: fc.integer({ min: 0, max: 3 }),
  })
  .chain(({ a, b, batch, rows, inner, columns, zeros }) =>
    fc
      .tuple(
        filled([...batch, rows, inner], elements(a), { dtype: a }),
        filled([inner, columns], elements(b), { dtype: b, shared: true }),
        filled([], elements(a), { dtype: a, constant: true }),
        filled(zeros > 2 ? [columns] : [], elements(b), { dtype: b, constant: true }),
      )
      .map(([left, right, zeroA, zeroB]) => ({
        op: "MatMulInteger",
        inputs: zeros === 0 ? [left, right] : zeros === 1 ? [left, right, zeroA] : [left, right, zeroA, zeroB],
      })),
  );

describeOp("MatMulInteger", { cases, integer: true });

it("refuses what is not of 8 bits, other shapes, and zero points that do not fit", () => {
  const value = (dtype: DType, shape: Shape) => leaf("x", { dtype, shape }, { kind: "input" });
  const [a, b] = [value("uint8", [N, 4]), value("int8", [4, 3])];
  const made = (...inputs: Parameters<typeof build.op>[1]) => build.op("MatMulInteger", inputs);
  expect(made(a, b)).toMatchObject({ dtype: "int32", shape: [N, 3] });
  expect(() => made(value("float32", [N, 4]), b)).toThrow(/is float32, not int8 or uint8/);
  expect(() => made(a, value("int8", [3, 4]))).toThrow(/do not multiply/);
  expect(() => made(a, b, value("int8", []))).toThrow(/the zero point of uint8/);
  expect(() => made(a, b, value("uint8", [2]))).toThrow(/not one zero point/);
  expect(() => made(a, b, value("uint8", []), value("int8", [4]))).toThrow(/not one zero point/);
});
