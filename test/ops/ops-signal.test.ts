/** The Fourier transforms. */
import { describe, expect, it } from "vitest";
import { SampleAxes } from "../../src/analysis/sample-axes.js";
import type { Array64 } from "../../src/float64/array64.js";
import { array64 } from "../../src/float64/array64.js";
import { N, type Shape } from "../../src/graph/dim.js";
import { leaf, nodeOf, type Value } from "../../src/graph/value.js";
import { nodesBefore } from "../../src/graph/walk.js";
import { evaluateGraph } from "../../src/interpret/evaluate.js";
import { build, families } from "../../src/ops/registry.js";
import { asRun, checkComputed } from "../support/graph-checks.js";
import { checkDerivative, type OpCase } from "../support/op-checks.js";
import { type Cases, describeOp } from "../support/op-suite.js";
import { compareWithLoop, numbers } from "../support/per-sample.js";
import { signalTable } from "../support/signal-cases.js";

/** Where the runtime's one-sided inverse reads more or fewer elements than make up half the spectrum. */
function runtimeErrs({ inputs: [x, length, axis], attributes }: OpCase): boolean {
  if (attributes?.inverse !== 1 || attributes.onesided !== 1) return false;
  const size = x?.dims.at(axis?.data[0] ?? -2) ?? 0;
  return size !== Math.floor((length?.data[0] ?? 2 * (size - 1)) / 2) + 1;
}

/** ONNX Runtime (1.30) multiplies complex numbers by a window as if the window were complex too, and reads beyond it. */
const runtimeErrsInWindow = ({ inputs: [x, , window] }: OpCase): boolean => x?.dims[2] === 2 && window != null;

describeOp("DFT", { cases: signalTable.DFT as Cases, notInRuntime: runtimeErrs, inParts: true });
describeOp("STFT", { cases: signalTable.STFT as Cases, notInRuntime: runtimeErrsInWindow, inParts: true });

const input = (name: string, shape: Shape) => leaf(name, { dtype: "float32", shape }, { kind: "input" });
const transform = (x: Value, attributes: { inverse?: number; onesided?: number }, length?: number) =>
  build.op("DFT", [x, length === undefined ? null : build.ints([length], [])], attributes);

describe("DFT", () => {
  it("is what its definition says", () => {
    const x = input("x", [4, 1]);
    const of = (y: Value) => [...(evaluateGraph([y], new Map([[x, array64([4, 1], [1, 2, 3, 5])]]), 1)[0]?.data ?? [])];
    const close = (actual: number[], expected: number[]) => {
      for (const [k, element] of actual.entries()) expect(element).toBeCloseTo(expected[k] as number, 12);
    };
    close(of(transform(x, {})), [11, 0, -2, 3, -3, 0, -2, -3]);
    close(of(transform(x, { onesided: 1 })), [11, 0, -2, 3, -3, 0]);
    close(of(transform(x, { inverse: 1 })), [2.75, 0, -0.5, -0.75, -0.75, 0, -0.5, 0.75]);
    close(of(transform(transform(x, { onesided: 1 }), { inverse: 1, onesided: 1 }, 4)), [1, 2, 3, 5]);
  });

  /** One and more numbers of every way in which a transform is emitted. */
  const lengths = [256, 400, 1024, 1025, 1500];

  it.each(lengths)("of %i elements is emitted right to 2e-6, all forms of it", async (length) => {
    const [signal, wave] = [input("x", [2, length, 1]), input("z", [2, length + 3, 2])];
    const half = input("h", [2, Math.floor(length / 2) - 2, 2]);
    const outputs = [
      transform(signal, {}),
      transform(signal, { onesided: 1 }),
      transform(signal, { inverse: 1 }),
      transform(wave, {}, length),
      transform(wave, { inverse: 1 }, length),
      transform(half, { inverse: 1, onesided: 1 }, length),
    ];
    const feeds = new Map([signal, wave, half].map((x, k) => [x, numbers(x.shape as number[], k)] as const));
    for (const [k, output] of asRun(outputs).entries()) {
      const own = new Map([...feeds].filter(([x]) => nodesBefore([output]).some(({ inputs }) => inputs.includes(x))));
      const inFloat32 = new Map([...own].map(([x, { dims, data }]) => [x, array64(dims, data.map(Math.fround))]));
      // Against the reference of the operator, not of what is emitted.
      const [expected, emitted] = evaluateGraph([outputs[k] as Value, output], inFloat32, 1) as [Array64, Array64];
      const scale = expected.data.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
      const worst = expected.data.reduce((most, x, i) => Math.max(most, Math.abs(x - (emitted.data[i] ?? 0))), 0);
      expect(worst / scale, `form ${k}`).toBeLessThan(1e-12);
      await checkComputed([{ outputs: [output], feeds: inFloat32, what: k }], 2e-6 * Math.min(1, scale));
    }
  });

  it("of a long signal has the derivative that differences show", () => {
    const data = Array.from({ length: 66 }, (_, i) => Math.sin(3 * i));
    checkDerivative({ op: "DFT", inputs: [{ dims: [33, 2], data }], attributes: { inverse: 0, onesided: 0 } });
  });

  it("refuses the samples as a signal, and forms that are not defined", () => {
    const samples = input("x", [N, 4, 1]);
    const along = (axis: number) => build.op("DFT", [samples, null, build.ints([axis], [])]);
    expect(() => along(0)).toThrow("influence each other");
    expect(() => along(-1)).toThrow("real and imaginary");
    const at = new SampleAxes(new Map([[samples, 0]])).of(along(1));
    expect(at).toEqual({ axis: 0, outer: 1, inner: 1 });
    expect(() => transform(input("x", [4, 2]), { onesided: 1 })).toThrow("its signal is not real");
    expect(() => transform(input("x", [4, 1]), { onesided: 1, inverse: 1 })).toThrow("not complex");
    expect(() => transform(input("x", [4, 3]), {})).toThrow("real or complex");
    expect(() => transform(input("x", [4, 1]), {}, 0)).toThrow("0 elements");
  });
});

describe("STFT", () => {
  it("takes one side of a complex signal, and a frame as long as the signal", () => {
    const x = input("x", [1, 6, 2]);
    const both = build.op("STFT", [x, build.ints([2], [])], { onesided: 0 });
    const one = build.op("STFT", [x, build.ints([2], [])], {});
    expect([both.shape, one.shape]).toEqual([
      [1, 1, 6, 2],
      [1, 1, 4, 2],
    ]);
    const [all, some] = evaluateGraph([both, one], new Map([[x, numbers([1, 6, 2], 1)]]), 1);
    expect([...(some?.data ?? [])]).toEqual([...(all?.data ?? [])].slice(0, 8));
  });

  it("refuses frames that do not fit", () => {
    const x = input("x", [N, 6, 1]);
    expect(() => build.op("STFT", [x, build.ints([2], []), null, build.ints([7], [])])).toThrow("do not fit");
    expect(() => build.op("STFT", [x, build.ints([0], [])])).toThrow("do not fit");
    expect(() => build.op("STFT", [x, build.ints([2], []), input("w", [3]), build.ints([4], [])])).toThrow(
      "as long as",
    );
  });
});

/** A window and a filter are trained: of the signal and of its spectrum. */
it.each([0, 1, 3])("per-sample gradients of %i samples reach through transforms", (samples) => {
  const parameter = (name: string, shape: Shape) => leaf(name, { dtype: "float32", shape }, { kind: "parameter" });
  const [x, window, filter] = [input("x", [N, 20, 1]), parameter("window", [8]), parameter("filter", [5, 2])];
  const spectra = build.op("STFT", [x, build.ints([3], []), window]);
  const filtered = build.op("DFT", [build.mul(spectra, filter), null], { inverse: 1, onesided: 1 });
  const shifted = build.op("DFT", [build.add(filtered, build.unsqueeze(window, [1])), build.ints([7], [])], {});
  const kinds = compareWithLoop({
    losses: build.sum(build.square(shifted), [1, 2, 3]),
    parameters: new Map([
      [window, numbers([8], 1)],
      [filter, numbers([5, 2], 2)],
    ]),
    inputs: new Map([[x, { axis: 0, array: numbers([samples, 20, 1], 3) }]]),
    samples,
  });
  expect([...kinds.keys()].sort()).toEqual(["filter", "window"]);
});

it("a short transform is one matrix product", () => {
  const [y] = asRun([transform(input("x", [N, 400, 1]), { onesided: 1 })]);
  expect(nodesBefore([y as Value]).map(({ op }) => op)).toEqual(["Reshape", "MatMul", "Reshape"]);
  const [long] = asRun([transform(input("x", [N, 512, 1]), { onesided: 1 })]);
  expect(nodeOf(long as Value)?.op).toBe("DFT");
});

it("every operator of the family has its cases", () => {
  expect(families.fourier.map(({ op }) => op)).toEqual(Object.keys(signalTable));
});
