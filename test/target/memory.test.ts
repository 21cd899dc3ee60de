/** What a program's memory is estimated from: what is alive at each moment. */
import { expect, it } from "vitest";
import { N } from "../../src/graph/dim.js";
import { leaf, type Value } from "../../src/graph/value.js";
import { build } from "../../src/ops/registry.js";
import { ProgramMemory } from "../../src/target/onnxruntime/memory.js";

const x = leaf("x", { dtype: "float32", shape: [N, 256] }, { kind: "input" });
const products = (from: Value, count: number): Value =>
  Array.from({ length: count }).reduce<Value>((value, _, k) => build.op("MatMul", [value, weight(k)]), from);
const weight = (k: number): Value => leaf(`w${k}`, { dtype: "float32", shape: [256, 256] }, { kind: "input" });

it("holds a result until the end of a run, however early it is computed", () => {
  const early = products(x, 1);
  const late = products(early, 4);
  const moments = new ProgramMemory([late, early]).moments([late, early]);
  const values = moments.map(({ perSample }) => perSample / (256 * 4));
  // The result, and beside it one product and what it is made of; the third and fourth take the first two's places.
  expect(values).toEqual([1, 2, 3, 3, 3]);
});

it("lets go of what nothing reads any more", () => {
  const late = products(x, 5);
  const moments = new ProgramMemory([late]).moments([late]);
  expect(moments.map(({ perSample }) => perSample / (256 * 4))).toEqual([1, 2, 2, 2, 2]);
});
