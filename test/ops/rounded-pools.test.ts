/** Pools that round their number of windows up, in the midst of other nodes: ONNX Runtime infers shapes there. */
import fc from "fast-check";
import { describe, it } from "vitest";
import { array64, zeros64 } from "../../src/float64/array64.js";
import { N } from "../../src/graph/dim.js";
import { leaf } from "../../src/graph/value.js";
import { build } from "../../src/ops/registry.js";
import { type DType, sizeOf } from "../../src/tensor/tensor.js";
import { asRun, type Computed, checkComputed } from "../support/graph-checks.js";
import { filled, type OpCase } from "../support/op-checks.js";
import { builds, upTo } from "../support/window-cases.js";

/** The pool's results, and each of them compared with a tensor of the shape that it should have. */
function compared({ op, inputs, attributes, outputs = 1 }: OpCase, prefix: string): Computed {
  const { dims, data, dtype = "float32" } = inputs[0] as NonNullable<OpCase["inputs"][0]>;
  const [samples = 0, ...each] = dims;
  const x = leaf(`${prefix}x`, { dtype, shape: [N, ...each] }, { kind: "input" });
  const feeds = new Map([[x, array64(dims, data)]]);
  const results = build.node(op, [x], attributes, outputs).outputs.flatMap((result, k) => {
    const zeros = leaf(`${prefix}zeros${k}`, result, { kind: "input" });
    feeds.set(zeros, zeros64([samples, ...(result.shape.slice(1) as number[])]));
    return [result, build.equal(result, zeros)];
  });
  return { outputs: asRun(results), feeds, samples, what: { op, dims, dtype, attributes, outputs } };
}

/** A convolution and a product, which ONNX Runtime makes one node, whereupon it infers all shapes of a graph again. */
function fused(): Computed {
  const x = leaf("fused", { dtype: "float32", shape: [1, 1, 2] }, { kind: "input" });
  const product = build.scale(build.op("Conv", [x, build.filled(3, [1, 1, 1], "float32")]), 2);
  return { outputs: [product], feeds: new Map([[x, array64([1, 1, 2], [1, 2])]]), what: "Conv and Mul" };
}

function checkPools(tests: readonly OpCase[]): Promise<void> {
  return checkComputed([fused(), ...tests.map((test, k) => compared(test, `c${k}_`))]);
}

const axis = fc
  .record({ size: upTo(7, 1), kernel: upTo(3, 1), stride: upTo(4, 1), dilation: upTo(3, 1) })
  .chain((one) => fc.tuple(fc.constant(one), upTo(one.kernel - 1), upTo(one.kernel - 1)))
  .map(([one, before, after]) => ({ ...one, before, after }));

/** Elements above the least of their type, whose place ONNX Runtime does not find. */
function elements(dtype: DType): fc.Arbitrary<number> {
  const most = { int8: 127, uint8: 255 }[dtype as string];
  return most ? upTo(most, most - 254) : upTo(80, -80).map((i) => Math.fround(i * 0.05 + 0.013));
}

interface Kind {
  readonly op: string;
  readonly dtype?: DType;
  readonly outputs?: number;
  readonly more?: NonNullable<OpCase["attributes"]>;
}

function cases({ op, dtype = "float32", outputs = 1, more = {} }: Kind, samples: number): fc.Arbitrary<OpCase> {
  return fc
    .tuple(fc.array(axis, { minLength: 1, maxLength: 3 }), upTo(2, 1), fc.nat(5))
    .chain(([axes, c, auto]) => {
      const windows = {
        kernel_shape: axes.map(({ kernel }) => kernel),
        strides: axes.map(({ stride }) => stride),
        dilations: axes.map(({ dilation }) => dilation),
      };
      const pads = [...axes.map(({ before }) => before), ...axes.map(({ after }) => after)];
      const padding = ["SAME_UPPER", "SAME_LOWER", "VALID"].map((mode) => ({ auto_pad: mode }))[auto] ?? { pads };
      const attributes = { ...windows, ...padding, ...more, ceil_mode: 1 };
      return filled([samples, c, ...axes.map(({ size }) => size)], elements(dtype)).map((x) => ({
        op,
        inputs: [{ ...x, dtype }],
        attributes,
        outputs,
      }));
    })
    .filter(builds);
}

const found = [
  // Along axis 0 the last window reaches as far beyond the input as its kernel is large; along axis 2 ONNX counts one that is not there.
  { spatial: [3, 3, 3], kernel_shape: [2, 2, 3], strides: [3, 3, 2], dilations: [2, 2, 1], pads: [1, 1, 1, 1, 1, 2] },
  // Along axis 1 no window reads the last element.
  { spatial: [3, 4], kernel_shape: [2, 1], strides: [3, 2], dilations: [2, 1], pads: [1, 0, 1, 0] },
];

const kinds: Kind[] = [
  { op: "MaxPool" },
  { op: "MaxPool", outputs: 2 },
  { op: "MaxPool", dtype: "float64", outputs: 2 },
  { op: "MaxPool", dtype: "int8", outputs: 2 },
  { op: "MaxPool", dtype: "uint8", outputs: 2 },
  { op: "AveragePool" },
  { op: "AveragePool", more: { count_include_pad: 1 } },
  { op: "LpPool" },
];

describe("pools that round up", () => {
  it("run where one axis rounds up beyond the kernel and another does not", async () => {
    const tests = found.flatMap(({ spatial, ...window }) =>
      [1, 2].map((outputs) => {
        const dims = [2, 3, ...spatial];
        const data = Array.from({ length: sizeOf(dims) }, (_, k) => Math.fround(Math.sin(k * 12.9898)));
        return { op: "MaxPool", inputs: [{ dims, data }], attributes: { ...window, ceil_mode: 1 }, outputs };
      }),
    );
    for (const test of tests) await checkPools([test]);
  });

  for (const kind of kinds) {
    const { op, dtype = "float32", outputs = 1, more } = kind;
    it(`are computed as in the reference: ${[op, dtype, outputs, ...Object.keys(more ?? {})].join(" ")}`, async () => {
      const many = fc.nat(2).chain((samples) => fc.array(cases(kind, samples), { minLength: 20, maxLength: 20 }));
      const property = fc.asyncProperty(many, checkPools);
      await fc.assert(property, { numRuns: 5 });
    });
  }
});
