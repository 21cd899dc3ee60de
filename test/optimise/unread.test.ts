/** What windows leave unread is left out, and maxima come before activations: values and derivatives stay, in float64. */
import fc from "fast-check";
import { expect, it, test } from "vitest";
import { plain, reverse } from "../../src/autodiff/reverse.js";
import type { Array64 } from "../../src/float64/array64.js";
import { N } from "../../src/graph/dim.js";
import { leaf, type Value } from "../../src/graph/value.js";
import { nodesBefore } from "../../src/graph/walk.js";
import { evaluateGraph } from "../../src/interpret/evaluate.js";
import { build } from "../../src/ops/registry.js";
import { withoutUnread } from "../../src/optimise/unread.js";
import { nth } from "../../src/present.js";
import { numbers } from "../support/per-sample.js";

const samples = 2;
const x = leaf("x", { dtype: "float32", shape: [N, 2, 11, 9] }, { kind: "input" });
const feeds: ReadonlyMap<Value, Array64> = new Map([[x, numbers([samples, 2, 11, 9], 1)]]);

/** A layer of 2 channels. */
interface Layer {
  readonly kind: "Conv" | "MaxPool" | "AveragePool" | "Relu" | "Tanh" | "Add";
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** Of the kernel's extent, before and after each axis. */
  readonly pads: readonly number[];
  readonly ceil: boolean;
}

const pair = (most: number) => fc.tuple(fc.integer({ min: 1, max: most }), fc.integer({ min: 1, max: most }));
const layers: fc.Arbitrary<Layer> = fc
  .record({
    kind: fc.constantFrom<Layer["kind"]>("Conv", "MaxPool", "AveragePool", "Relu", "Tanh", "Add"),
    kernel: pair(3),
    strides: pair(3),
    dilations: pair(2),
    ceil: fc.boolean(),
  })
  .chain((one) => {
    const most = one.kernel.map((size) => size - 1);
    return fc
      .tuple(...[...most, ...most].map((max) => fc.integer({ min: 0, max })))
      .map((pads) => ({ ...one, pads, ceil: one.ceil && one.kind !== "Conv" }));
  });

function applied(value: Value, { kind, kernel, strides, dilations, pads, ceil }: Layer): Value {
  if (kind === "Add") return build.add(value, build.scale(value, 0.5));
  if (kind === "Relu" || kind === "Tanh") return build.op(kind, [value]);
  const window = { strides, dilations, pads };
  if (kind !== "Conv") return build.op(kind, [value], { ...window, kernel_shape: kernel, ceil_mode: ceil ? 1 : 0 });
  const { dims, data } = numbers([2, 2, ...kernel], 2);
  const bias = build.floats([0.1, -0.2], [2], value);
  return build.op("Conv", [value, build.floats(data, dims, value), bias], window);
}

/** A chain of layers, as many of them as fit. */
function chain(list: readonly Layer[]): Value {
  return list.reduce((value, layer) => {
    try {
      return applied(value, layer);
    } catch {
      return value;
    }
  }, x);
}

/** The values, and the derivative of their squares' sum. */
function withGradient(values: readonly Value[]): Array64[] {
  const total = values.map((value) => build.sum(build.square(value))).reduce((sum, each) => build.add(sum, each));
  const gradient = reverse(new Map([[total, build.scalar(1, total)]]), new Set([x]), plain).get(x);
  return evaluateGraph([...values, gradient ?? build.zeros(x.shape, x.dtype)], feeds, samples);
}

function expectSame(values: readonly Value[]): void {
  const [found, expected] = [withGradient(withoutUnread(values)), withGradient(values)];
  expected.forEach(({ dims, data }, k) => {
    expect(found[k]?.dims).toEqual(dims);
    data.forEach((each, at) => {
      expect(Math.abs((found[k]?.data[at] ?? Number.NaN) - each)).toBeLessThanOrEqual(1e-12 * (1 + Math.abs(each)));
    });
  });
}

/** Elements of all values on the way. */
function computed(values: readonly Value[]): number {
  const sizes = nodesBefore(values).flatMap(({ outputs }) => outputs.map(({ shape }) => shape.slice(1)));
  return sizes.reduce((sum, shape) => sum + shape.reduce<number>((size, dim) => size * Number(dim), 1), 0);
}

test("chains of layers", () => {
  fc.assert(
    fc.property(fc.array(layers, { minLength: 1, maxLength: 5 }), (list) => expectSame([chain(list)])),
    { numRuns: 150 },
  );
});

test("a value that is read by several, or is a result itself", () => {
  fc.assert(
    fc.property(
      fc.array(layers, { minLength: 1, maxLength: 3 }),
      fc.array(layers, { minLength: 1, maxLength: 2 }),
      fc.array(layers, { minLength: 1, maxLength: 2 }),
      fc.boolean(),
      (first, second, third, isResult) => {
        const common = chain(first);
        const ends = [second, third].map((list) =>
          list.reduce((value, layer) => {
            try {
              return applied(value, layer);
            } catch {
              return value;
            }
          }, common),
        );
        expectSame(isResult ? [...ends, common] : ends);
      },
    ),
    { numRuns: 100 },
  );
});

const conv = (value: Value, kernel: number, stride: number, pad = 0) =>
  applied(value, {
    kind: "Conv",
    kernel: [kernel, kernel],
    strides: [stride, stride],
    dilations: [1, 1],
    pads: [pad, pad, pad, pad],
    ceil: false,
  });
const maxPool = (value: Value) => build.op("MaxPool", [value], { kernel_shape: [2, 2], strides: [1, 1] });

it("computes a layer only where the next one looks", () => {
  const values = [conv(maxPool(build.op("Relu", [conv(x, 3, 1, 1)])), 3, 2)];
  const shapes = nodesBefore(withoutUnread(values)).map(({ op, outputs }) => [op, nth(outputs, 0).shape.slice(2)]);
  // The last layer reads 9 x 7 of 10 x 8.
  expect(shapes).toEqual([
    ["Conv", [10, 8]],
    ["MaxPool", [9, 7]],
    ["Relu", [9, 7]],
    ["Conv", [4, 3]],
  ]);
  expect(computed(withoutUnread(values))).toBeLessThan(computed(values));
});

it("leaves alone what is read to its end", () => {
  const values = [conv(build.op("Tanh", [conv(x, 3, 2)]), 3, 1)];
  expect(withoutUnread(values)).toEqual(values);
});

it("leaves an activation where others read it too", () => {
  const activation = build.op("Relu", [conv(x, 3, 1)]);
  const values = [maxPool(activation), activation];
  expect(withoutUnread(values)).toEqual(values);
});
