/**
 * The graphs that the GPU is given, computed by the kernels of the runtime that is here: what is put in operators' places,
 * whole numbers in int32, what is left to the CPU, and what is refused. `npm run test:browser` computes on a GPU.
 */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { array64 } from "../../src/float64/array64.js";
import { N } from "../../src/graph/dim.js";
import { outputOf } from "../../src/graph/operands.js";
import { dimsValue, leaf, type Value } from "../../src/graph/value.js";
import { losses, nn, want } from "../../src/index.js";
import { evaluateGraph } from "../../src/interpret/evaluate.js";
import { build } from "../../src/ops/registry.js";
import { simplifyFor } from "../../src/optimise/simplify.js";
import { nth } from "../../src/present.js";
import { Program } from "../../src/program/program.js";
import { webgpu } from "../../src/target/webgpu/index.js";
import { nodesOnCpu } from "../../src/target/webgpu/placement.js";
import { onGpu } from "../../src/target/webgpu/rules.js";
import { inInt32 } from "../../src/target/webgpu/whole-numbers.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { numbers } from "../support/per-sample.js";

const features = new Set<string>();
beforeAll(() => {
  vi.stubGlobal("navigator", { gpu: { requestAdapter: async () => ({ features }) } });
});
afterAll(() => {
  vi.unstubAllGlobals();
});

const input = (name: string, shape: Value["shape"], dtype: Value["dtype"] = "float32") =>
  leaf(name, { dtype, shape }, { kind: "input" });
const samples = 4;

describe("an operator without a kernel", () => {
  const x = input("x", [N, 3]);
  const y = input("y", [N, 3]);
  const cases: readonly (readonly [string, Value])[] = [
    ["LogSoftmax", build.op("LogSoftmax", [x], { axis: 1 })],
    ["LogSoftmax along the samples", build.op("LogSoftmax", [x], { axis: 0 })],
    ["Sum", build.op("Sum", [x, y, x, y])],
    ["Sum of one", build.op("Sum", [x])],
    ["Mean", build.op("Mean", [x, y, y])],
    ["Sign", build.sign(build.op("Relu", [x]))],
    ["Or", build.cast(build.op("Or", [build.less(x, y), build.less(y, build.scalar(0, y))]), "float32")],
    [
      "FusedMatMul, in its parts",
      outputOf(build.node("FusedMatMul", [x, y], { transB: 1, alpha: 0.5 }, 1, { domain: "com.microsoft" }), 0),
    ],
  ];

  it.each(cases)("is stated in those that have one: %s", (_, value) => {
    const own = nth(simplifyFor(onGpu, [value]), 0);
    expect(nodesOnCpu([value]).length).toBeGreaterThan(0);
    expect(nodesOnCpu([own])).toEqual([]);
    const feeds = new Map([
      [x, array64([samples, 3], numbers([samples, 3], 1).data)],
      [y, array64([samples, 3], numbers([samples, 3], 2).data)],
    ]);
    const [found, expected] = evaluateGraph([own, value], feeds, samples);
    for (const [k, element] of (expected?.data ?? []).entries()) expect(found?.data[k]).toBeCloseTo(element, 12);
  });
});

describe("whole numbers", () => {
  const words = input("words", [N, 2], "int64");

  /** What is asked of the graph in int32, fed as the target feeds it. */
  function computed(value: Value, given: readonly number[]): number[] {
    const own = inInt32({ inputs: [words], outputs: [{ name: "y", value }] });
    const count = given.length / 2;
    const tensor: Tensor = { dtype: "int64", dims: [count, 2], data: BigInt64Array.from(given, BigInt) };
    const feeds = own.inputs.map((each) => {
      const made = own.feeds.get(each.name)?.({ words: tensor }, count);
      return [each, array64(made?.dims ?? [], Array.from(made?.data ?? [], Number))] as const;
    });
    const [found] = evaluateGraph(
      own.outputs.map((output) => output.value),
      new Map(feeds),
      count,
    );
    return Array.from(found?.data ?? []);
  }

  const wrapped = (size: number) =>
    build.where(build.less(words, build.ints([0])), build.add(words, build.ints([size])), words);

  it("count from the end in int32, and rows of a table are found by them", () => {
    const size = 7;
    const flat = build.add(
      build.reshape(build.mul(wrapped(size), build.ints([5])), [{ perSample: 2 }, 1]),
      build.ints([0, 1]),
    );
    const property = fc.property(
      fc
        .array(fc.integer({ min: -size, max: size - 1 }), { minLength: 0, maxLength: 4 })
        .map((half) => half.flatMap((a) => [a, -1 - a])),
      (given) => {
        const expected = given.flatMap((each) => [0, 1].map((k) => (each < 0 ? each + size : each) * 5 + k));
        expect(computed(flat, given)).toEqual(expected);
      },
    );
    fc.assert(property, { numRuns: 20 });
    const own = inInt32({ inputs: [words], outputs: [{ name: "y", value: build.cast(flat, "float32") }] });
    expect(nodesOnCpu(own.outputs.map(({ value }) => value))).toEqual([]);
    expect(own.inputs.map(({ dtype }) => dtype)).toEqual(["int32"]);
  });

  it("are refused beyond what the program can compute in int32", () => {
    expect(computed(build.add(words, words), [2 ** 30 - 1, 0])).toEqual([2 ** 31 - 2, 0]);
    expect(() => computed(build.add(words, words), [2 ** 30, 0])).toThrow(/"words" holds 1073741824/);
    // Squares would overflow at usual sizes, so they are not computed in int32.
    expect(computed(build.mul(words, words), [2 ** 20, 3])).toEqual([2 ** 40, 9]);
  });

  it("that are shapes of N samples are fed", () => {
    const expanded = build.op("Expand", [build.cast(words, "float32"), dimsValue([3, N, 2])]);
    const own = inInt32({ inputs: [words], outputs: [{ name: "y", value: expanded }] });
    expect(own.inputs.map(({ name }) => name)).toEqual(["words", "shape/3,N*1,2"]);
    expect(own.feeds.get("shape/3,N*1,2")?.({}, 5).data).toEqual(BigInt64Array.of(3n, 5n, 2n));
    expect(computed(expanded, [1, 2])).toEqual([1, 2, 1, 2, 1, 2]);
  });
});

describe("a program for the GPU", () => {
  const options = { loss: losses.crossEntropy(), want: { norms: want.norms() } };
  const perceptron = () => nn.model(nn.sequential(nn.linear(3, 4), nn.gelu(), nn.linear(4, 2)), { seed: 1 });

  it("says what is left to the CPU", async () => {
    const own = await Program.compile(perceptron(), options, webgpu);
    expect(String(own.explain())).not.toContain("CPU");
    await own.release();
    const recurrent = nn.model(nn.gru(3, 4).last, { input: { x: ["N", 5, 3] }, seed: 1 });
    const loop = await Program.compile(recurrent, options, webgpu);
    expect(String(loop.explain())).toMatch(/On the CPU, since the GPU has no kernel for Scan: /);
    await loop.release();
  });

  it("takes no places of maxima, which the kernel does not give", async () => {
    const layers = [nn.conv2d(1, 2, 3), nn.maxPool2d(2), nn.flatten(), nn.linear(8, 2)];
    const pooled = nn.model(nn.sequential(...layers), { input: { x: ["N", 1, 6, 6] }, seed: 1 });
    await (await Program.compile(pooled, options, webgpu)).release();
    const byPlaces = Program.compile(pooled, { ...options, strategy: { maxPool: "indices" } }, webgpu);
    await expect(byPlaces).rejects.toThrow(/MaxPool .*indices of the maxima/);
  });

  it("runs a batch of none", async () => {
    const program = await Program.compile(perceptron(), options, webgpu);
    const { norms } = await program.run({
      x: { dtype: "float32", dims: [0, 3], data: new Float32Array() },
      target: [],
    });
    expect(norms.total.data).toEqual(new Float32Array());
    await program.release();
  });

  it("is refused in float16 by a GPU that lacks it, and where there is none", async () => {
    const half = { ...options, want: { gradients: want.gradients({ storage: "float16" }) } };
    await expect(Program.compile(perceptron(), half, webgpu)).rejects.toMatchObject({ code: "RUNTIME" });
    await expect(Program.compile(perceptron(), half, webgpu)).rejects.toThrow(/shader-f16/);
    features.add("shader-f16");
    await (await Program.compile(perceptron(), half, webgpu)).release();
    features.clear();
    vi.stubGlobal("navigator", {});
    await expect(Program.compile(perceptron(), options, webgpu)).rejects.toThrow(/WebGPU is not available here/);
    vi.stubGlobal("navigator", { gpu: { requestAdapter: async () => ({ features }) } });
  });
});
