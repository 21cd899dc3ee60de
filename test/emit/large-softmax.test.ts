/** Probabilities of many classes at many positions are computed in place of the logits, and are the same. */
import { describe, expect, it } from "vitest";
import { N } from "../../src/graph/dim.js";
import { leaf, type Value } from "../../src/graph/value.js";
import { nodesBefore } from "../../src/graph/walk.js";
import { evaluateGraph, toArray64 } from "../../src/interpret/evaluate.js";
import { inPlace, softmaxInPlace } from "../../src/lower/large-softmax.js";
import { build } from "../../src/ops/registry.js";
import { lowMemoryOrder } from "../../src/target/onnxruntime/order.js";

const [positions, classes] = [48, 50_021];
const x = leaf("x", { dtype: "float32", shape: [N, positions, classes] }, { kind: "input" });
const labels = leaf("labels", { dtype: "int64", shape: [N, positions, 1] }, { kind: "input" });
const logits = build.tanh(x);
const softmax = (op: string, of: Value = logits) => build.op(op, [of], { axis: 2 });
const picked = (of: Value) => build.op("GatherElements", [of, labels], { axis: 2 });
const sum = (value: Value) => build.sum(value, [1, 2]);

const logarithms = softmax("LogSoftmax");
const cases: Readonly<Record<string, readonly Value[]>> = {
  probabilities: [sum(build.square(softmax("Softmax")))],
  "what is made of logarithms": [sum(build.square(build.exp(logarithms)))],
  "a loss and probabilities": [sum(picked(logarithms)), sum(build.square(build.exp(logarithms)))],
};

/** Some of them minus infinity, one of them large. */
function numbers(size: number): Float32Array {
  return Float32Array.from({ length: size }, (_, i) => (i % 7 === 0 ? Number.NEGATIVE_INFINITY : Math.sin(1.3 * i)));
}

describe("large probabilities", () => {
  it.each(Object.keys(cases))("%s: in less memory, and the same", (name) => {
    const before = cases[name] as readonly Value[];
    const rules: (string | null)[] = [];
    const after = softmaxInPlace(before, [], ({ rule }) => rules.push(rule));
    expect(rules).toContain(inPlace);
    expect(nodesBefore(after).map(({ op }) => op)).not.toContain("LogSoftmax");
    const [less, more] = [after, before].map((outputs) => lowMemoryOrder(outputs).memory.at(2)) as [number, number];
    expect(less).toBeLessThan(0.6 * more);
    const size = positions * classes;
    const data = numbers(size).map((value) => (value === Number.NEGATIVE_INFINITY ? -1e30 : value));
    const given = new Map([
      [x, toArray64({ dtype: "float32", dims: [1, positions, classes], data })],
      [
        labels,
        toArray64({
          dtype: "int64",
          dims: [1, positions, 1],
          data: BigInt64Array.from({ length: positions }, (_, t) => BigInt(11 * t + 1)),
        }),
      ],
    ]);
    const [expected, found] = [before, after].map((values) => evaluateGraph(values, given, 1));
    expected?.forEach((own, k) => {
      const [exact, value] = [own?.data[0] as number, found?.[k]?.data[0] as number];
      expect(Math.abs(value - exact)).toBeLessThan(1e-12 * Math.abs(exact));
    });
  });

  it("stay where logits or logarithms are read otherwise, where they are results, and where they are small", () => {
    const small = leaf("s", { dtype: "float32", shape: [N, 3, 5] }, { kind: "input" });
    const kept: readonly (readonly Value[])[] = [
      [sum(softmax("Softmax")), sum(logits)],
      [sum(build.square(logarithms))],
      [softmax("Softmax")],
      [sum(softmax("Softmax", build.tanh(small)))],
      [sum(softmax("Softmax", x))],
    ];
    for (const outputs of kept) expect(softmaxInPlace(outputs)).toEqual(outputs);
    const own = [sum(softmax("Softmax"))];
    expect(softmaxInPlace(own, own)).toEqual(own);
  });
});
