import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { N } from "../../src/graph/dim.js";
import { leaf, type Value } from "../../src/graph/value.js";
import { array64, zeros64 } from "../../src/ops/array64.js";
import { evaluateGraph } from "../../src/ops/evaluate.js";
import { build } from "../../src/ops/registry.js";
import { foldWeight, patchWeight, type UnfoldMethod, unfold, unfoldMethod } from "../../src/ops/unfold.js";
import { extentOf } from "../../src/ops/window.js";
import { sizeOf } from "../../src/tensor.js";
import { checkComputed, derivativeOf } from "../support/graph-checks.js";
import { anywhere, distinct, filled, type OpCase } from "../support/op-checks.js";
import { type Cases, describeOp } from "../support/op-suite.js";

const upTo = (max: number, min = 0) => fc.integer({ min, max });

interface Axis {
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  readonly before: number;
  readonly after: number;
  readonly room: number;
  readonly extra: number;
}

/** One spatial axis: `room` is what the kernel has to move in, `extra` a choice of output padding. */
const axisCases = (maxPad: (kernel: number) => number): fc.Arbitrary<Axis> =>
  fc
    .tuple(upTo(3, 1), upTo(3, 1), upTo(2, 1), upTo(4), upTo(2))
    .chain(([kernel, stride, dilation, room, extra]) =>
      fc
        .tuple(upTo(maxPad(kernel)), upTo(maxPad(kernel)))
        .map(([before, after]) => ({ kernel, stride, dilation, room, extra, before, after })),
    );

const axesCases = (maxPad: (kernel: number) => number) =>
  fc.oneof(
    { weight: 2, arbitrary: fc.array(axisCases(maxPad), { minLength: 1, maxLength: 1 }) },
    { weight: 3, arbitrary: fc.array(axisCases(maxPad), { minLength: 2, maxLength: 2 }) },
    {
      weight: 1,
      arbitrary: fc.array(
        axisCases(maxPad).map((axis) => ({ ...axis, room: axis.room % 2 })),
        { minLength: 3, maxLength: 3 },
      ),
    },
  );

/** The size of the side that the kernel slides over. */
const sizeOn = ({ kernel, dilation, before, after, room }: Axis) =>
  Math.max(1, (kernel - 1) * dilation + 1 + room - before - after);

const windowAttributes = (axes: readonly Axis[]) => ({
  strides: axes.map(({ stride }) => stride),
  dilations: axes.map(({ dilation }) => dilation),
  pads: [...axes.map(({ before }) => before), ...axes.map(({ after }) => after)],
});

const autoPads = fc.constantFrom("SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET", "NOTSET", "NOTSET");
type Attributes = NonNullable<OpCase["attributes"]>;

/** auto_pad and pads exclude each other. */
function padded(attributes: Attributes, mode: string): Attributes {
  if (mode === "NOTSET") return attributes;
  const { pads: _, ...rest } = attributes;
  return { ...rest, auto_pad: mode };
}

const fits = ({ dilation, kernel }: Axis, size: number) => size >= (kernel - 1) * dilation + 1;

const channels = fc.record({
  n: upTo(2, 1),
  groups: fc.constantFrom(1, 1, 2, 3),
  i: upTo(2, 1),
  o: upTo(2, 1),
  biased: fc.boolean(),
});

const convCases: Cases = fc
  .tuple(
    axesCases(() => 2),
    channels,
    autoPads,
  )
  .chain(([axes, { n, groups, i, o, biased }, mode]) => {
    const sizes = axes.map(sizeOn);
    const safe = mode !== "VALID" || axes.every((axis, k) => fits(axis, sizes[k] ?? 0)) ? mode : "NOTSET";
    const kernel = axes.map((axis) => axis.kernel);
    return fc
      .tuple(
        filled([n, groups * i, ...sizes]),
        filled([groups * o, i, ...kernel], anywhere, { shared: true }),
        biased ? filled([groups * o], anywhere, { shared: true }) : fc.constant(null),
      )
      .map(([x, w, bias]) => ({
        op: "Conv",
        inputs: bias ? [x, w, bias] : [x, w],
        attributes: { ...padded(windowAttributes(axes), safe), group: groups },
      }));
  });

const transposeCases: Cases = fc
  .tuple(
    axesCases(() => 1),
    channels,
    autoPads,
    fc.boolean(),
    fc.array(upTo(2), { minLength: 3, maxLength: 3 }),
  )
  .filter(([axes]) =>
    axes.every(
      ({ kernel, dilation, before, after, room, stride }) =>
        room * stride + (kernel - 1) * dilation + 1 > before + after,
    ),
  )
  .chain(([axes, { n, groups, i, o, biased }, mode, stated, crop]) => {
    const sizes = axes.map(({ room }) => room + 1);
    const kernel = axes.map((axis) => axis.kernel);
    const extra = axes.map((axis) => axis.extra % Math.max(axis.stride, axis.dilation));
    const full = axes.map(
      (axis, k) => axis.room * axis.stride + (axis.kernel - 1) * axis.dilation + 1 + (extra[k] ?? 0),
    );
    const shape = full.map((size, k) => Math.max(1, size - (crop[k] ?? 0)));
    const base = { ...padded(windowAttributes(axes), mode), output_padding: extra, group: groups };
    const { pads: _, ...rest } = base as Attributes;
    return fc
      .tuple(
        filled([n, groups * i, ...sizes]),
        filled([groups * i, o, ...kernel], anywhere, { shared: true }),
        biased ? filled([groups * o], anywhere, { shared: true }) : fc.constant(null),
      )
      .map(([x, w, bias]) => ({
        op: "ConvTranspose",
        inputs: bias ? [x, w, bias] : [x, w],
        attributes: stated ? { ...rest, output_shape: shape } : base,
      }));
  });

const same = (test: OpCase) => String(test.attributes?.auto_pad ?? "").startsWith("SAME");
const numbers = (test: OpCase, name: string) => (test.attributes?.[name] ?? []) as readonly number[];
const dilated = (test: OpCase) => numbers(test, "dilations").some((dilation) => dilation > 1);

describeOp("Conv", { cases: convCases, notInRuntime: (test) => same(test) && dilated(test) });
describeOp("ConvTranspose", {
  cases: transposeCases,
  // Output padding of a stride or more makes ONNX Runtime read past its input.
  notInRuntime: (test) => {
    const strides = numbers(test, "strides");
    return numbers(test, "output_padding").some((extra, axis) => extra >= (strides[axis] ?? 1));
  },
});

const poolCases = (op: string, more: fc.Arbitrary<Attributes>, data = distinct): Cases =>
  fc
    .tuple(
      axesCases((kernel) => kernel - 1),
      upTo(2, 1),
      upTo(2, 1),
      more,
      autoPads,
      fc.nat(1),
    )
    .chain(([axes, n, c, own, mode, ceil]) => {
      const sizes = axes.map((axis) => Math.min(sizeOn(axis), axes.length === 3 ? 3 : 6));
      const whole = axes.every((axis, k) =>
        fits(axis, (sizes[k] ?? 0) + (mode === "NOTSET" ? axis.before + axis.after : 0)),
      );
      const dilations =
        whole || (mode.startsWith("SAME") && axes.every(({ dilation }) => dilation === 1))
          ? axes
          : axes.map((axis) => ({ ...axis, kernel: 1, before: 0, after: 0 }));
      const attributes = {
        ...padded(windowAttributes(dilations), mode),
        kernel_shape: dilations.map((axis) => axis.kernel),
        ceil_mode: ceil,
      };
      return data([n, c, ...sizes].map((dim, k) => (axes.length === 3 && k < 2 ? 1 : dim))).map((x) => ({
        op,
        inputs: [x],
        attributes: { ...attributes, ...own },
      }));
    });

/** A window that lies in the padding altogether is refused. */
const builds = ({ op, inputs, attributes }: OpCase): boolean => {
  try {
    build.op(
      op,
      inputs.map((input) => leaf("x", { dtype: "float32", shape: input?.dims ?? [] }, { kind: "input" })),
      attributes,
    );
    return true;
  } catch {
    return false;
  }
};
const maxPoolCases: Cases = poolCases("MaxPool", fc.constant({}))
  .filter(builds)
  .map((test) => ({ ...test, outputs: 2 }));
const ties = (dims: readonly number[]) => filled(dims, fc.constantFrom(0, 0, 1));
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

describeOp("MaxPool", { cases: poolCases("MaxPool", fc.constant({})).filter(builds), notInRuntime: unusual });
describeOp("MaxPool with indices", { cases: maxPoolCases, global: true, notInRuntime: unusual });
describeOp("AveragePool", {
  cases: poolCases("AveragePool", fc.record({ count_include_pad: fc.nat(1) }), (dims) => filled(dims)),
  notInRuntime: unusual,
});
describeOp("LpPool", { cases: poolCases("LpPool", fc.record({ p: upTo(3, 1) })), notInRuntime: unusual });

const globalCases = (op: string, more: fc.Arbitrary<Attributes> = fc.constant({})): Cases =>
  fc
    .tuple(fc.array(upTo(3, 1), { minLength: 3, maxLength: 4 }).chain(distinct), more)
    .map(([x, attributes]) => ({ op, inputs: [x], attributes }));
describeOp("GlobalAveragePool", { cases: globalCases("GlobalAveragePool") });
describeOp("GlobalMaxPool", { cases: globalCases("GlobalMaxPool") });
describeOp("GlobalLpPool", { cases: globalCases("GlobalLpPool", fc.record({ p: upTo(3, 1) })) });

/** Indices as MaxPool gives them: a place of its own for each window, here of size 2 and stride 2. */
const unpoolCases: Cases = fc
  .tuple(upTo(2, 1), upTo(2, 1), upTo(3, 1), fc.array(fc.nat(1), { minLength: 12, maxLength: 12 }))
  .chain(([n, c, t, odd]) =>
    filled([n, c, t]).map((x) => ({
      op: "MaxUnpool",
      inputs: [
        x,
        { dims: [n, c, t], data: x.data.map((_, at) => 2 * at + (odd[at] ?? 0)), dtype: "int64", shared: true },
      ],
      attributes: { kernel_shape: [2], strides: [2] },
    })),
  );
// Indices hold the place of each sample in the batch, so they cannot be rotated or shared among samples.
describeOp("MaxUnpool", { cases: unpoolCases, global: true, neverApart: true });

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
      const methods: UnfoldMethod[] = ["oneHot", "gather"];
      if (unfoldMethod(data.shape, window, groups) === "tiles") methods.push("tiles");
      const outputs = methods.flatMap((method) => {
        const { byPatch, byPosition, order } = unfold(build, data, window, groups, method);
        // Not broadcast by MatMul, which ONNX Runtime cannot do for no samples.
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
    expect(unfoldMethod([N, 1, 28, 28], square(8, 2, 3), 1)).toBe("oneHot");
    expect(unfoldMethod([N, 64, 14, 14], square(5, 1, 2), 1)).toBe("gather");
    expect(unfoldMethod([N, 64, 14, 14], square(1, 2, 0), 1)).toBe("tiles");
    expect(unfoldMethod([N, 3, 32, 32], square(8, 8, 0), 1)).toBe("tiles");
    expect(extentOf({ ...square(3, 1, 0), dilations: [2, 2] }, 0)).toBe(5);
  });
});
