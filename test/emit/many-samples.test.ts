/** Sums over hundreds of samples in parts: the same numbers, of fewer terms in a row. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bindShape, type Dim, N } from "../../src/graph/dim.js";
import { leaf, nodeOf, type Value } from "../../src/graph/value.js";
import { nodesBefore } from "../../src/graph/walk.js";
import { evaluateGraph, toArray64 } from "../../src/interpret/evaluate.js";
import { samplesInParts, splitting } from "../../src/lower/many-samples.js";
import { encodeModel } from "../../src/onnx/write/encode.js";
import { build } from "../../src/ops/registry.js";
import { nodeRuntime } from "../../src/target/onnxruntime/node.js";
import { sizeOf, type Tensor } from "../../src/tensor/tensor.js";

const input = (name: string, shape: readonly Dim[]) => leaf(name, { dtype: "float32", shape }, { kind: "input" });

interface Form {
  readonly inputs: readonly Value[];
  readonly value: Value;
}

const forms: Readonly<Record<string, (size: number) => Form>> = {
  "a row times a matrix": (size) => {
    const inputs = [input("a", [1, N]), input("b", [N, size])];
    return { inputs, value: build.op("MatMul", inputs) };
  },
  "a vector times a matrix": (size) => {
    const inputs = [input("a", [N]), input("b", [N, size])];
    return { inputs, value: build.op("MatMul", inputs) };
  },
  "a matrix times a column": (size) => {
    const inputs = [input("a", [size, N]), input("b", [N, 1])];
    return { inputs, value: build.op("MatMul", inputs) };
  },
  "a turned matrix times a column, with an addend": (size) => {
    const inputs = [input("a", [N, size]), input("b", [N, 1]), input("c", [size, 1])];
    return { inputs, value: build.op("Gemm", inputs, { transA: 1, alpha: 0.5, beta: 2 }) };
  },
  "over the first axis": (size) => {
    const inputs = [input("a", [N, size, 2])];
    return { inputs, value: build.reduce("ReduceSum", inputs[0] as Value, [0]) };
  },
  "over the last axis": (size) => {
    const inputs = [input("a", [size, N])];
    return { inputs, value: build.reduce("ReduceSum", inputs[0] as Value, [1], true) };
  },
};

const numbers = (dims: readonly number[], at: (i: number) => number): Tensor<"float32"> => ({
  dtype: "float32",
  dims,
  data: Float32Array.from({ length: sizeOf(dims) }, (_, i) => at(i)),
});

describe("a sum over the samples in parts", () => {
  it.each(Object.keys(forms))("%s: errs by 1e-6 at most, for any number of samples", async (name) => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 1024 }),
        fc.integer({ min: 1, max: 150 }),
        fc.double({ min: 0.1, max: 3, noNaN: true }),
        fc.constantFrom(0, 0.5),
        async (samples, size, offset, spread) => {
          const { inputs, value } = (forms[name] as (size: number) => Form)(size);
          const rules: (string | null)[] = [];
          const [parts] = samplesInParts([value], [], ({ rule }) => rules.push(rule)) as [Value];
          expect(rules).toContain(splitting);
          expect(parts.shape).toEqual(value.shape);
          const feeds = inputs.map((each, k) =>
            numbers(bindShape(each.shape, samples), (i) => (offset + k) * (1 + spread * Math.sin(1.3 * i))),
          );
          const given = new Map(inputs.map((each, k) => [each, toArray64(feeds[k] as Tensor)]));
          const [expected] = evaluateGraph([value], given, samples);
          const session = await nodeRuntime.load(encodeModel({ inputs, outputs: [{ name: "y", value: parts }] }), {
            threads: 1,
          });
          const { y } = await session.run(Object.fromEntries(inputs.map((each, k) => [each.name, feeds[k] as Tensor])));
          await session.release();
          const reference = Array.from(expected?.data ?? []);
          const largest = Math.max(...reference.map(Math.abs));
          reference.forEach((exact, i) => {
            expect(Math.abs((y?.data[i] as number) - exact) / largest).toBeLessThan(1e-6);
          });
        },
      ),
      { numRuns: 8, examples: [[1024, 33, 0.7, 0]] },
    );
  });

  it("leaves sums over anything else, and the model's own results, as they are", () => {
    const [a, b] = [input("a", [4, 7]), input("b", [7, 5])];
    const fixed = build.op("MatMul", [a, b]);
    const both = build.op("MatMul", [input("c", [3, N]), input("d", [N, 5])]);
    const own = build.reduce("ReduceSum", input("e", [N, 3]), [0]);
    const outputs = samplesInParts([fixed, both, own], [own]);
    expect(outputs).toEqual([fixed, both, own]);
    expect(nodesBefore(outputs).map(({ op }) => op)).not.toContain("Mod");
    expect(nodeOf(own)?.op).toBe("ReduceSum");
  });
});
