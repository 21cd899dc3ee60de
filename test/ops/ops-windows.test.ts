import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { batchOver } from "../../src/autodiff/vmap.js";
import { array64, zeros64 } from "../../src/float64/array64.js";
import { N } from "../../src/graph/dim.js";
import { leaf, type Value } from "../../src/graph/value.js";
import { extentOf } from "../../src/graph/window.js";
import { evaluateGraph } from "../../src/interpret/evaluate.js";
import type { BuildStrategy, UnfoldMethod } from "../../src/ops/build-strategy.js";
import { build } from "../../src/ops/registry.js";
import { dataMethods } from "../../src/ops/subgraphs/convolution-data.js";
import { foldWeight, patchWeight, unfold, unfoldMethod } from "../../src/ops/subgraphs/unfold.js";
import { sizeOf } from "../../src/tensor/tensor.js";
import { checkComputed, derivativeOf } from "../support/graph-checks.js";
import { filled, type OpCase } from "../support/op-checks.js";
import { type Cases, describeOp } from "../support/op-suite.js";
import {
  axesCases,
  builds,
  channels,
  indexedPoolCases,
  poolCases,
  sizeOn,
  windowAttributes,
  windowTable,
} from "../support/window-cases.js";

const cases = (op: string) => windowTable[op] as Cases;

const same = (test: OpCase) => String(test.attributes?.auto_pad ?? "").startsWith("SAME");
const numbers = (test: OpCase, name: string) => (test.attributes?.[name] ?? []) as readonly number[];
const dilated = (test: OpCase) => numbers(test, "dilations").some((dilation) => dilation > 1);

describeOp("Conv", {
  cases: cases("Conv"),
  notInRuntime: (test) => same(test) && dilated(test),
  inParts: true,
});
describeOp("ConvTranspose", {
  cases: cases("ConvTranspose"),
  inParts: true,
  // Output padding of a stride or more makes ONNX Runtime read past its input.
  notInRuntime: (test) => {
    const strides = numbers(test, "strides");
    return numbers(test, "output_padding").some((extra, axis) => extra >= (strides[axis] ?? 1));
  },
});

/**
 * With ceil_mode a window that would begin behind the end is left out; ONNX's shape inference counts it, and
 * ONNX Runtime then fails where it reuses memory.
 */
function leavesOut(test: OpCase): boolean {
  const sizes = test.inputs[0]?.dims.slice(2) ?? [];
  const [kernel, strides, dilations, pads] = ["kernel_shape", "strides", "dilations", "pads"].map((name) =>
    numbers(test, name),
  );
  return sizes.some((size, axis) => {
    const [before, after] = [pads?.[axis] ?? 0, pads?.[axis + sizes.length] ?? 0];
    const [reach, stride] = [((kernel?.[axis] ?? 1) - 1) * (dilations?.[axis] ?? 1) + 1, strides?.[axis] ?? 1];
    return Math.ceil((size + before + after - reach) / stride) * stride >= size + before;
  });
}

/** ONNX Runtime refuses dilation with auto_pad, and computes another shape where a stride exceeds its kernel. */
function unusual(test: OpCase): boolean {
  const [kernel, strides] = [numbers(test, "kernel_shape"), numbers(test, "strides")];
  const ceil = test.attributes?.ceil_mode === 1;
  if (same(test)) return ceil || dilated(test) || kernel.some((size, axis) => size < (strides[axis] ?? 1));
  return ceil && leavesOut(test);
}

describeOp("MaxPool", { cases: cases("MaxPool"), notInRuntime: unusual, inParts: true });
describeOp("MaxPool with indices", { cases: indexedPoolCases, global: true, notInRuntime: unusual, inParts: true });
describeOp("AveragePool", {
  cases: cases("AveragePool"),
  inParts: true,
  notInRuntime: unusual,
});
describeOp("LpPool", { cases: cases("LpPool"), notInRuntime: unusual, inParts: true });

describeOp("GlobalAveragePool", { cases: cases("GlobalAveragePool") });
describeOp("GlobalMaxPool", { cases: cases("GlobalMaxPool") });
describeOp("GlobalLpPool", { cases: cases("GlobalLpPool") });

// Indices hold the place of each sample in the batch, so they cannot be rotated or shared among samples.
describeOp("MaxUnpool", { cases: cases("MaxUnpool"), global: true, neverApart: true });

const ties = (dims: readonly number[]) => filled(dims, fc.constantFrom(0, 0, 1));

describe("MaxUnpool with the same indices for all", () => {
  it("takes one more leading axis of elements", () => {
    const x = leaf("x", { dtype: "float32", shape: [2, 2, 2, 1, 2] }, { kind: "input" });
    const one = leaf("one", { dtype: "float32", shape: [2, 2, 1, 2] }, { kind: "input" });
    const indices = build.ints([1, 3, 6, 4, 9, 11, 14, 12], [2, 2, 1, 2]);
    const y = build.op("MaxUnpool", [one, indices], { kernel_shape: [1, 2], strides: [1, 2] });
    const [batched] = batchOver([y], new Map([[one, x]]));
    const data = [...Array(16).keys()].map((k) => k + 1);
    const [all] = evaluateGraph([batched as Value], new Map([[x, array64([2, 2, 2, 1, 2], data)]]), 1);
    const each = [0, 8].map((from) => new Map([[one, array64([2, 2, 1, 2], data.slice(from, from + 8))]]));
    expect([...(all?.data ?? [])]).toEqual(each.flatMap((feeds) => [...(evaluateGraph([y], feeds, 1)[0]?.data ?? [])]));
  });
});

describe("MaxPool with ties", () => {
  it("gives the cotangent to the first maximum of a window", () => {
    const given = (kernel: number, stride: number, dy: number[]) => {
      const test = {
        op: "MaxPool",
        inputs: [{ dims: [1, 1, 5], data: [0, 0, 1, 1, 0] }],
        attributes: { kernel_shape: [kernel], strides: [stride] },
      };
      const { outputs, feeds } = derivativeOf(test, "");
      const seed = [...feeds.keys()].find(({ name }) => name === "dy0") as Value;
      const [dx] = evaluateGraph(outputs, new Map([...feeds, [seed, array64([1, 1, dy.length], dy)]]), 1);
      return [...(dx?.data ?? [])];
    };
    expect(given(2, 1, [1, 2, 4, 8])).toEqual([1, 0, 6, 8, 0]);
    expect(given(2, 2, [1, 2])).toEqual([1, 0, 2, 0, 0]);
    expect(given(5, 1, [1])).toEqual([0, 0, 1, 0, 0]);
  });

  it("agrees with ONNX Runtime on which that is", async () => {
    const cases = poolCases("MaxPool", fc.constant({}), ties).filter((test) => !unusual(test) && builds(test));
    await fc.assert(
      fc.asyncProperty(fc.array(cases, { minLength: 20, maxLength: 20 }), async (tests) => {
        await checkComputed(tests.map((test, k) => derivativeOf(test, `c${k}_`)));
      }),
      { numRuns: 3 },
    );
  });
});

/** The derivative by every way that may be asked for: the same in float64, and ONNX Runtime agrees with each. */
async function expectWaysToAgree(drawn: fc.Arbitrary<OpCase>, ways: readonly BuildStrategy[]): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.array(drawn, { minLength: 12, maxLength: 12 }), async (tests) => {
      const all = tests.map((test, k) => ways.map((way, i) => derivativeOf(test, `c${k}_${i}_`, way)));
      for (const each of all) {
        const [first, ...others] = each.map(({ outputs, feeds }) => evaluateGraph(outputs, feeds, 1));
        for (const other of others) {
          other.forEach(({ dims, data }, k) => {
            expect(dims).toEqual(first?.[k]?.dims);
            for (const [at, x] of data.entries()) expect(x).toBeCloseTo(first?.[k]?.data[at] as number, 10);
          });
        }
      }
      await checkComputed(all.flat(), 1e-4);
    }),
    { numRuns: 3 },
  );
}

describe("ways of one derivative", () => {
  it("of MaxPool agree, ties included", async () => {
    const drawn = poolCases("MaxPool", fc.constant({}), ties).filter((test) => !unusual(test) && builds(test));
    await expectWaysToAgree(drawn, [{ maxPool: "indices" }, { maxPool: "comparison" }]);
  });

  it("of Conv agree", async () => {
    const drawn = cases("Conv").filter((test) => !(same(test) && dilated(test)));
    const data = dataMethods.map((convolutionData): BuildStrategy => ({ convolutionData }));
    const unfolds = (["oneHot", "gather", "slices"] as const).map((unfold): BuildStrategy => ({ unfold }));
    await expectWaysToAgree(drawn, [...data, ...unfolds]);
  });
});

describe("unfold", () => {
  const unfoldCases = fc
    .tuple(
      axesCases(() => 2),
      channels,
    )
    .map(([axes, { groups, i, o }]) => {
      const { strides, dilations } = windowAttributes(axes);
      const window = {
        kernel: axes.map(({ kernel }) => kernel),
        strides,
        dilations,
        before: axes.map(({ before }) => before),
        after: axes.map(({ after }) => after),
      };
      return { window, groups, i, o, sizes: axes.map(sizeOn) };
    });

  it("gives the same products and weight gradients in every way", async () => {
    const compare = async (
      { window, groups, i, o, sizes }: typeof unfoldCases extends fc.Arbitrary<infer T> ? T : never,
      samples: number,
    ) => {
      const dims = [samples, groups * i, ...sizes];
      const data = leaf("data", { dtype: "float32", shape: [N, ...dims.slice(1)] }, { kind: "input" });
      const weightDims = [groups * o, i, ...window.kernel];
      const weight = leaf("w", { dtype: "float32", shape: weightDims }, { kind: "input" });
      const noise = (shape: readonly number[], seed: number) =>
        array64(
          shape,
          zeros64(shape).data.map((_, k) => Math.fround(Math.cos(k * 3.7 + seed))),
        );
      const feeds = new Map([
        [data, noise(dims, 1)],
        [weight, noise(weightDims, 2)],
      ]);
      const attributes = {
        strides: window.strides,
        dilations: window.dilations,
        pads: [...window.before, ...window.after],
        group: groups,
      };
      const direct = build.op("Conv", [data, weight], attributes);
      const positions = sizeOf(direct.shape.slice(2) as number[]);
      const cotangent = build.reshape(direct, [N, groups, o, positions]);
      const methods: UnfoldMethod[] = ["oneHot", "gather", "slices"];
      if (unfoldMethod(data.shape, window, groups, build) === "tiles") methods.push("tiles");
      const outputs = methods.flatMap((method) => {
        const { byPatch, byPosition, order } = unfold(build, data, window, groups, method);
        const each = patchWeight(build, weight, order, groups, window.kernel.length);
        const matrices = build.expand(each, [N, ...each.shape]);
        const product = build.reshape(build.matmul(matrices, byPatch), direct.shape);
        const gradient = foldWeight(build, build.matmul(cotangent, byPosition), order, window.kernel);
        return [product, gradient];
      });
      const [expected, ...found] = evaluateGraph([direct, ...outputs], feeds, samples);
      found.forEach((one, k) => {
        const reference = k % 2 === 0 ? expected : found[1];
        expect(one.dims).toEqual(reference?.dims);
        for (const [at, x] of one.data.entries()) expect(x).toBeCloseTo(reference?.data[at] as number, 10);
      });
      // An empty batch never reaches the runtime, which multiplies none by a broadcast matrix: programs answer it themselves.
      if (samples === 0) return;
      await checkComputed([{ outputs, feeds, samples, what: { window, groups, i, o, sizes } }], 1e-4);
    };
    await fc.assert(fc.asyncProperty(unfoldCases, fc.nat(2), compare), { numRuns: 40 });
  });

  it("chooses as measured", () => {
    const square = (kernel: number, stride: number, padding: number) => ({
      kernel: [kernel, kernel],
      strides: [stride, stride],
      dilations: [1, 1],
      before: [padding, padding],
      after: [padding, padding],
    });
    expect(unfoldMethod([N, 1, 28, 28], square(8, 2, 3), 1, build)).toBe("oneHot");
    expect(unfoldMethod([N, 64, 14, 14], square(5, 1, 2), 1, build)).toBe("gather");
    expect(unfoldMethod([N, 64, 14, 14], square(1, 2, 0), 1, build)).toBe("tiles");
    expect(unfoldMethod([N, 3, 32, 32], square(8, 8, 0), 1, build)).toBe("tiles");
    expect(extentOf({ ...square(3, 1, 0), dilations: [2, 2] }, 0)).toBe(5);
  });
});
