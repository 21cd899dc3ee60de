import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Array64 } from "../../src/float64/array64.js";
import type { DimSpec } from "../../src/graph/dim.js";
import * as nn from "../../src/nn/index.js";
import { sizeOf } from "../../src/tensor/tensor.js";
import { at, build64, difference, forward, wave } from "./support.js";

const close = 1e-12;

/** The module's output for x, with other weights where given. */
function run(module: nn.Module, x: Array64, parameters: Readonly<Record<string, Array64>> = {}): Array64 {
  const model = nn.model(module, { input: { x: ["N", ...x.dims.slice(1)] as DimSpec[] } });
  return forward(model, { x, ...parameters });
}

/** Weights for a module, of its shapes. */
function weightsOf(module: nn.Module): Record<string, Array64> {
  return Object.fromEntries(
    Object.entries(module.parameters).map(([name, { shape }], k) => [name, wave(shape, k + 1)]),
  );
}

/** Every index of `dims`. */
function indices(dims: readonly number[]): number[][] {
  return dims.reduce<number[][]>(
    (all, size) => all.flatMap((index) => Array.from({ length: size }, (_, i) => [...index, i])),
    [[]],
  );
}

describe("linear", () => {
  it.each([[[5, 3]], [[5, 2, 3]], [[2, 2, 4, 3]], [[0, 3]]])("applies to the last axis of %j", (dims) => {
    for (const bias of [true, false]) {
      const layer = nn.linear(3, 4, { bias });
      const weights = weightsOf(layer);
      const x = wave(dims);
      const expected = build64([...dims.slice(0, -1), 4], (...index) => {
        const o = index.pop() as number;
        const products = [0, 1, 2].map((i) => at(x, ...index, i) * at(weights.weight as Array64, o, i));
        return products.reduce((a, b) => a + b, bias ? at(weights.bias as Array64, o) : 0);
      });
      expect(difference(run(layer, x, weights), expected)).toBeLessThan(close);
    }
  });

  it("is one Gemm on a matrix", () => {
    const model = nn.model(nn.sequential(nn.linear(3, 4)));
    const source = model.graph.outputs[0]?.value.source;
    expect(source?.kind === "node" && [source.node.op, source.node.name]).toEqual(["Gemm", "0"]);
    expect(model.parameters["0.weight"]?.dims).toEqual([4, 3]);
  });
});

interface Spatial {
  readonly spatial: number;
  readonly groups: number;
  readonly inputs: number;
  readonly outputs: number;
  readonly size: readonly number[];
  readonly kernel: readonly number[];
  readonly stride: readonly number[];
  readonly padding: readonly number[];
  readonly dilation: readonly number[];
  readonly samples: number;
}

const spatialCase = fc.integer({ min: 1, max: 3 }).chain((spatial): fc.Arbitrary<Spatial> => {
  const sizes = (min: number, max: number) =>
    fc.array(fc.integer({ min, max }), { minLength: spatial, maxLength: spatial });
  return fc
    .record({
      spatial: fc.constant(spatial),
      groups: fc.integer({ min: 1, max: 2 }),
      inputs: fc.integer({ min: 1, max: 2 }),
      outputs: fc.integer({ min: 1, max: 2 }),
      size: sizes(3, 5),
      kernel: sizes(1, 3),
      stride: sizes(1, 3),
      padding: sizes(0, 1),
      dilation: sizes(1, 2),
      samples: fc.integer({ min: 0, max: 2 }),
    })
    .filter((c) =>
      c.size.every((n, k) => n + 2 * (c.padding[k] ?? 0) > (c.dilation[k] ?? 1) * ((c.kernel[k] ?? 1) - 1)),
    );
});

const convolutions = [nn.conv1d, nn.conv2d, nn.conv3d];
const transposed = [nn.convTranspose1d, nn.convTranspose2d, nn.convTranspose3d];

function pick<T>(list: readonly T[], spatial: number): T {
  return list[spatial - 1] as T;
}

/** stride * t + dilation * k - padding, along each axis. */
function offsets(c: Spatial, t: readonly number[], k: readonly number[]): number[] {
  return t.map(
    (p, axis) =>
      p * (c.stride[axis] as number) + (k[axis] as number) * (c.dilation[axis] as number) - (c.padding[axis] as number),
  );
}

const inside = (place: readonly number[], size: readonly number[]) =>
  place.every((p, k) => p >= 0 && p < (size[k] as number));

function outSizes(c: Spatial): number[] {
  return c.size.map(
    (n, k) =>
      Math.floor(
        (n + 2 * (c.padding[k] ?? 0) - (c.dilation[k] ?? 1) * ((c.kernel[k] ?? 1) - 1) - 1) / (c.stride[k] ?? 1),
      ) + 1,
  );
}

describe("convolution", () => {
  it("is the sum over channels and kernel places", () => {
    fc.assert(
      fc.property(spatialCase, (c) => {
        const [inputs, outputs] = [c.inputs * c.groups, c.outputs * c.groups];
        const layer = pick(convolutions, c.spatial)(inputs, outputs, c.kernel, c);
        const weights = weightsOf(layer);
        const x = wave([c.samples, inputs, ...c.size]);
        const expected = build64([c.samples, outputs, ...outSizes(c)], (n, o, ...t) => {
          const group = Math.floor(o / c.outputs);
          const terms = indices([c.inputs, ...c.kernel]).map(([i = 0, ...k]) => {
            const place = offsets(c, t, k);
            return inside(place, c.size)
              ? at(x, n, group * c.inputs + i, ...place) * at(weights.weight as Array64, o, i, ...k)
              : 0;
          });
          return terms.reduce((a, b) => a + b, at(weights.bias as Array64, o));
        });
        expect(difference(run(layer, x, weights), expected)).toBeLessThan(close);
      }),
      { numRuns: 40 },
    );
  });

  it("keeps sizes with padding same, odd or even kernels", () => {
    for (const kernel of [1, 2, 3, 4]) {
      const y = run(nn.conv2d(1, 1, kernel, { padding: "same", dilation: 2 }), wave([1, 1, 7, 9]));
      expect(y.dims).toEqual([1, 1, 7, 9]);
    }
    expect(() => nn.conv2d(1, 1, 3, { padding: "same", stride: 2 })).toThrow(/stride 1/);
  });

  it("scatters where it is transposed", () => {
    fc.assert(
      fc.property(spatialCase, fc.boolean(), (c, extra) => {
        const [inputs, outputs] = [c.inputs * c.groups, c.outputs * c.groups];
        const outputPadding = c.stride.map((step, k) => (extra && Math.max(step, c.dilation[k] as number) > 1 ? 1 : 0));
        const layer = pick(transposed, c.spatial)(inputs, outputs, c.kernel, { ...c, outputPadding });
        const size = c.size.map(
          (n, k) =>
            (n - 1) * (c.stride[k] ?? 1) -
            2 * (c.padding[k] ?? 0) +
            (c.dilation[k] ?? 1) * ((c.kernel[k] ?? 1) - 1) +
            (outputPadding[k] ?? 0) +
            1,
        );
        fc.pre(size.every((n) => n > 0));
        const weights = weightsOf(layer);
        const x = wave([c.samples, inputs, ...c.size]);
        const expected = build64([c.samples, outputs, ...size], (n, o, ...place) => {
          const group = Math.floor(o / c.outputs);
          let sum = at(weights.bias as Array64, o);
          for (const [i = 0, ...rest] of indices([c.inputs, ...c.size, ...c.kernel])) {
            const [t, k] = [rest.slice(0, c.spatial), rest.slice(c.spatial)];
            if (offsets(c, t, k).some((p, axis) => p !== place[axis])) continue;
            const channel = group * c.inputs + i;
            sum += at(x, n, channel, ...t) * at(weights.weight as Array64, channel, o % c.outputs, ...k);
          }
          return sum;
        });
        expect(difference(run(layer, x, weights), expected)).toBeLessThan(close);
      }),
      { numRuns: 25 },
    );
  });

  it("refuses options and inputs that do not fit", () => {
    for (const wrong of [
      () => nn.conv2d(3, 4, 3, { groups: 2 }),
      () => nn.conv2d(3, 4, [3]),
      () => nn.conv2d(3, 4, 0),
      () => nn.conv2d(3, 4, 3, { stride: 1.5 }),
      () => nn.conv1d(3, 4, 3, { padding: -1 }),
      () => nn.conv1d(0, 4, 3),
    ]) {
      expect(wrong).toThrowError(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
    }
    for (const dims of [
      [2, 3, 8],
      [2, 4, 8, 8],
      [2, 3, 2, 2],
    ]) {
      expect(() => run(nn.conv2d(3, 4, 3), wave(dims))).toThrowError(
        expect.objectContaining({ code: "SHAPE_MISMATCH" }),
      );
    }
  });
});

describe("pooling", () => {
  const maxPools = [nn.maxPool1d, nn.maxPool2d, nn.maxPool3d];
  const avgPools = [nn.avgPool1d, nn.avgPool2d, nn.avgPool3d];
  const fits = (c: Spatial) => c.padding.every((p, k) => p <= (c.kernel[k] as number) / 2);

  it("takes the largest of each window", () => {
    fc.assert(
      fc.property(spatialCase.filter(fits), (c) => {
        const x = wave([c.samples, c.inputs, ...c.size]);
        const expected = build64([c.samples, c.inputs, ...outSizes(c)], (n, i, ...t) =>
          Math.max(
            ...indices(c.kernel).flatMap((k) =>
              inside(offsets(c, t, k), c.size) ? [at(x, n, i, ...offsets(c, t, k))] : [],
            ),
          ),
        );
        const { kernel, stride, padding, dilation } = c;
        expect(difference(run(pick(maxPools, c.spatial)(kernel, { stride, padding, dilation }), x), expected)).toBe(0);
      }),
      { numRuns: 40 },
    );
  });

  it("averages each window, with the padding or without", () => {
    fc.assert(
      fc.property(spatialCase.filter(fits), fc.boolean(), (given, countIncludePad) => {
        const c = { ...given, dilation: given.dilation.map(() => 1) };
        const x = wave([c.samples, c.inputs, ...c.size]);
        const expected = build64([c.samples, c.inputs, ...outSizes(c)], (n, i, ...t) => {
          const places = indices(c.kernel)
            .map((k) => offsets(c, t, k))
            .filter((place) => inside(place, c.size));
          const sum = places.reduce((total, place) => total + at(x, n, i, ...place), 0);
          return sum / (countIncludePad ? sizeOf(c.kernel) : places.length);
        });
        const { kernel, stride, padding } = c;
        expect(
          difference(run(pick(avgPools, c.spatial)(kernel, { stride, padding, countIncludePad }), x), expected),
        ).toBeLessThan(close);
      }),
      { numRuns: 40 },
    );
  });

  it("steps by the kernel unless told otherwise, and rounds up where asked", () => {
    expect(run(nn.maxPool2d(2), wave([1, 1, 5, 6])).dims).toEqual([1, 1, 2, 3]);
    expect(run(nn.maxPool2d(2, { ceilMode: true }), wave([1, 1, 5, 6])).dims).toEqual([1, 1, 3, 3]);
    expect(() => nn.maxPool2d(2, { padding: 2 })).toThrow(/half the kernel/);
  });

  it("averages all positions", () => {
    const x = wave([2, 3, 4, 5]);
    const expected = build64(
      [2, 3, 1, 1],
      (n, c) => indices([4, 5]).reduce((sum, t) => sum + at(x, n, c, ...t), 0) / 20,
    );
    expect(difference(run(nn.adaptiveAvgPool(1), x), expected)).toBeLessThan(close);
    expect(() => nn.adaptiveAvgPool(2)).toThrowError(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  });
});

/** Abramowitz and Stegun 7.1.5, summed until nothing changes. */
function erf(x: number): number {
  let [term, sum] = [x, x];
  for (let n = 1; n < 200; n++) {
    term *= -(x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const softplus = (x: number) => Math.log1p(Math.exp(x));

describe("activations", () => {
  const alpha = 1.6732632423543772;
  const gamma = 1.0507009873554805;
  it.each<[string, nn.Module, (x: number) => number, number?]>([
    ["identity", nn.identity(), (x) => x],
    ["relu", nn.relu(), (x) => Math.max(x, 0)],
    ["leakyRelu", nn.leakyRelu(0.25), (x) => (x < 0 ? 0.25 * x : x)],
    ["elu", nn.elu(0.5), (x) => (x < 0 ? 0.5 * Math.expm1(x) : x)],
    ["selu", nn.selu(), (x) => gamma * (x < 0 ? alpha * Math.expm1(x) : x), 1e-6],
    ["gelu", nn.gelu(), (x) => (x / 2) * (1 + erf(x / Math.SQRT2))],
    [
      "gelu tanh",
      nn.gelu({ approximate: "tanh" }),
      (x) => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
    ],
    ["sigmoid", nn.sigmoid(), sigmoid],
    ["tanh", nn.tanh(), Math.tanh],
    ["softplus", nn.softplus(), softplus],
    ["silu", nn.silu(), (x) => x * sigmoid(x)],
    ["hardSigmoid", nn.hardSigmoid(), (x) => Math.min(Math.max(x / 6 + 0.5, 0), 1), 1e-6],
    ["hardSwish", nn.hardSwish(), (x) => x * Math.min(Math.max(x / 6 + 0.5, 0), 1), 1e-6],
    ["mish", nn.mish(), (x) => x * Math.tanh(softplus(x))],
  ])("%s", (_, module, f, tolerance = 1e-7) => {
    const x = { dims: [3, 5], data: Float64Array.from(wave([15]).data, (v) => 4 * v) };
    expect(difference(run(module, x), { dims: x.dims, data: x.data.map(f) })).toBeLessThan(tolerance);
  });

  it("prelu has one slope, or one per channel", () => {
    const x = wave([2, 3, 4]);
    for (const channels of [1, 3]) {
      const weight = wave([channels], 2);
      const expected = build64(x.dims, (n, c, t) => {
        const value = at(x, n as number, c as number, t as number);
        return value < 0 ? value * at(weight, channels === 1 ? 0 : (c as number)) : value;
      });
      expect(difference(run(nn.prelu(channels), x, { weight }), expected)).toBeLessThan(close);
    }
  });

  it("softmax and its logarithm go along their axis", () => {
    const x = wave([2, 3, 4]);
    const expected = (axis: number) =>
      build64(x.dims, (...index) => {
        const along = Array.from({ length: x.dims[axis] as number }, (_, k) => at(x, ...index.with(axis, k)));
        return Math.exp(at(x, ...index)) / along.reduce((sum, v) => sum + Math.exp(v), 0);
      });
    expect(difference(run(nn.softmax(), x), expected(2))).toBeLessThan(close);
    expect(difference(run(nn.softmax(1), x), expected(1))).toBeLessThan(close);
    const logs = { dims: x.dims, data: expected(1).data.map(Math.log) };
    expect(difference(run(nn.logSoftmax(1), x), logs)).toBeLessThan(close);
  });

  it("flatten joins axes", () => {
    expect(run(nn.flatten(), wave([2, 3, 4])).dims).toEqual([2, 12]);
    expect(run(nn.flatten(2), wave([2, 3, 4, 5])).dims).toEqual([2, 3, 20]);
    expect(run(nn.flatten(), wave([0, 3, 4])).dims).toEqual([0, 12]);
  });
});

describe("normalisation", () => {
  const epsilon = 2 ** -10;
  /** x minus mean over standard deviation, over the elements in `places`. */
  const normalised = (x: Array64, index: readonly number[], places: readonly number[][]) => {
    const values = places.map((place) => at(x, ...place));
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const variance = values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length;
    return (at(x, ...index) - mean) / Math.sqrt(variance + epsilon);
  };

  it.each([[[4]], [[3, 4]]])("layerNorm over the last axes %j", (shape) => {
    const x = wave([2, 3, 4]);
    for (const affine of [true, false]) {
      const layer = nn.layerNorm(shape, { epsilon, affine });
      const weights = weightsOf(layer);
      const kept = 3 - shape.length;
      const expected = build64(x.dims, (...index) => {
        const y = normalised(
          x,
          index,
          indices(shape).map((place) => [...index.slice(0, kept), ...place]),
        );
        return affine
          ? y * at(weights.weight as Array64, ...index.slice(kept)) + at(weights.bias as Array64, ...index.slice(kept))
          : y;
      });
      expect(difference(run(layer, x, weights), expected)).toBeLessThan(close);
    }
  });

  it.each([
    ["groupNorm", 2, (affine: boolean) => nn.groupNorm(2, 4, { epsilon, affine })],
    ["instanceNorm", 1, (affine: boolean) => nn.instanceNorm(4, { epsilon, affine })],
  ])("%s", (_, size, make) => {
    const x = wave([2, 4, 3, 2]);
    for (const affine of [true, false]) {
      const layer = make(affine);
      const weights = weightsOf(layer);
      const expected = build64(x.dims, (n, c, ...t) => {
        const start = Math.floor((c as number) / size) * size;
        const places = indices([size, 3, 2]).map(([i = 0, ...place]) => [n as number, start + i, ...place]);
        const y = normalised(x, [n as number, c as number, ...t], places);
        return affine ? y * at(weights.weight as Array64, c as number) + at(weights.bias as Array64, c as number) : y;
      });
      expect(difference(run(layer, x, weights), expected)).toBeLessThan(close);
    }
  });

  it("learns nothing by default in instanceNorm, as in PyTorch", () => {
    expect(nn.instanceNorm(3).parameters).toEqual({});
    expect(Object.keys(nn.groupNorm(1, 3).parameters)).toEqual(["weight", "bias"]);
  });

  it("refuses channels that are not there", () => {
    expect(() => run(nn.groupNorm(1, 3), wave([2, 4, 2]))).toThrowError(
      expect.objectContaining({ code: "SHAPE_MISMATCH" }),
    );
    expect(() => run(nn.layerNorm([4, 3]), wave([2, 3, 4]))).toThrowError(
      expect.objectContaining({ code: "SHAPE_MISMATCH" }),
    );
    expect(() => nn.groupNorm(2, 3)).toThrowError(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  });
});

describe("embedding", () => {
  it("looks up rows", () => {
    const layer = nn.embedding(5, 3);
    const model = nn.model(layer, { input: { x: { shape: ["N", 2], dtype: "int64" } } });
    const weight = wave([5, 3]);
    const x = { dims: [2, 2], data: Float64Array.of(4, 0, 0, 3) };
    const expected = build64([2, 2, 3], (n, t, i) => at(weight, at(x, n as number, t as number), i as number));
    expect(difference(forward(model, { x, weight }), expected)).toBe(0);
    expect(() => nn.model(layer, { input: { x: ["N", 2] } })).toThrowError(
      expect.objectContaining({ code: "DTYPE_MISMATCH" }),
    );
  });
});
