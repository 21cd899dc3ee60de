import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { grad } from "../../src/autodiff/grad.js";
import type { Array64 } from "../../src/float64/array64.js";
import { type Dim, type DimSpec, N } from "../../src/graph/dim.js";
import { asLoss } from "../../src/nn/as-loss.js";
import { type Loss, losses } from "../../src/nn/losses.js";
import type { DType, Tensor } from "../../src/tensor/tensor.js";
import { input } from "../../src/trace/index.js";
import { at, build64, difference, evaluate, valuesOf, wave } from "./support.js";

/** Numbers such as 1 - s are float32 constants of the graph. */
const close = 1e-6;

const specs = (dims: readonly number[]): DimSpec[] => ["N", ...dims.slice(1)];
const code = (name: string) => expect.objectContaining({ code: name });

/** One loss per sample, and the gradient of their sum with respect to the output. */
function run(loss: Loss, x: Array64, t: Array64, dtype: DType = "float32"): { losses: Array64; gradient: Array64 } {
  const [output, target] = [input("x", specs(x.dims)), input("t", specs(t.dims), dtype)];
  const result = loss.apply(output, target);
  expect(result.shape).toEqual(["N"]);
  const [values, gradient] = valuesOf([result, grad(result.sum(), output)], { x, t }, x.dims[0] as number) as [
    Array64,
    Array64,
  ];
  return { losses: values, gradient };
}

/** Central differences of the sum of all losses. */
function differences(loss: Loss, x: Array64, t: Array64, dtype: DType): Array64 {
  const [output, target] = [input("x", specs(x.dims)), input("t", specs(t.dims), dtype)];
  const total = loss.apply(output, target).sum();
  const step = 1e-5;
  const moved = (i: number, by: number) => {
    const data = x.data.map((v, k) => (k === i ? v + by : v));
    return evaluate(total, { x: { dims: x.dims, data }, t }, x.dims[0] as number).data[0] as number;
  };
  return { dims: x.dims, data: x.data.map((_, i) => (moved(i, step) - moved(i, -step)) / (2 * step)) };
}

/** Labels 0..classes-1; some of them -100 where `ignored`. */
function labels(dims: readonly number[], classes: number, seed: number, ignored: boolean): Array64 {
  return {
    dims,
    data: wave(dims, seed).data.map((v, i) =>
      ignored && (i + seed) % 3 !== 0 ? -100 : Math.floor(((v + 1.5) / 3) * classes) % classes,
    ),
  };
}

interface Options {
  readonly smoothing: number;
  readonly ignore: boolean;
  readonly weights: readonly number[] | undefined;
}

/** The formula, element by element, of sample n. */
function byHand(x: Array64, t: Array64, axis: number, n: number, { smoothing, ignore, weights }: Options): number {
  const classes = x.dims[axis] as number;
  const found: number[] = [];
  build64(t.dims, (...index) => {
    const label = at(t, ...index);
    if (index[0] !== n || (ignore && label === -100)) return 0;
    const logit = (c: number) => at(x, ...index.slice(0, axis), c, ...index.slice(axis));
    const logits = Array.from({ length: classes }, (_, c) => logit(c));
    const top = Math.max(...logits);
    const norm = top + Math.log(logits.reduce((sum, v) => sum + Math.exp(v - top), 0));
    const weight = (c: number) => weights?.[c] ?? 1;
    const all = logits.reduce((sum, v, c) => sum + weight(c) * (norm - v), 0);
    found.push((1 - smoothing) * weight(label) * (norm - logit(label)) + (smoothing / classes) * all);
    return 0;
  });
  return found.length === 0 ? 0 : found.reduce((a, b) => a + b, 0) / found.length;
}

describe("cross entropy", () => {
  const cases = fc.record({
    samples: fc.integer({ min: 0, max: 4 }),
    classes: fc.integer({ min: 1, max: 5 }),
    rest: fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 2 }),
    place: fc.nat(2),
    smoothing: fc.constantFrom(0, 0.1),
    ignore: fc.boolean(),
    weighted: fc.boolean(),
    seed: fc.nat(50),
    dtype: fc.constantFrom<DType>("int64", "int32"),
  });

  it("is the mean over each sample's own labels", () => {
    fc.assert(
      fc.property(cases, ({ samples, classes, rest, place, smoothing, ignore, weighted, seed, dtype }) => {
        const classAxis = 1 + (place % (rest.length + 1));
        const targetDims = [samples, ...rest];
        const x = wave(targetDims.toSpliced(classAxis, 0, classes), seed);
        const t = labels(targetDims, classes, seed, ignore);
        const weights = weighted ? Array.from({ length: classes }, (_, c) => 1 + c / 4) : undefined;
        const loss = losses.crossEntropy({
          classAxis,
          labelSmoothing: smoothing,
          ...(ignore ? { ignoreIndex: -100 } : {}),
          ...(weights ? { weights } : {}),
        });
        const found = run(loss, x, t, dtype);
        const expected = build64([samples], (n) =>
          byHand(x, t, classAxis, n as number, { smoothing, ignore, weights }),
        );
        expect(difference(found.losses, expected)).toBeLessThan(close);
        expect(difference(found.gradient, differences(loss, x, t, dtype))).toBeLessThan(1e-4);
      }),
      { numRuns: 60 },
    );
  });

  it.each<[readonly number[], readonly number[], number]>([
    [[4, 3], [4], 1],
    [[4, 5, 3], [4, 5], 2],
    [[4, 3, 5], [4, 5], 1],
    [[4, 3, 3], [4, 3], 1],
    [[2, 3, 4, 4], [2, 3, 4], 2],
    [[2, 4, 4, 4], [2, 4, 4], 1],
    [[2, 3, 4, 5], [2, 4, 5], 1],
    [[2, 3, 4, 5], [2, 3, 5], 2],
    [[2, 3, 4, 5], [2, 3, 4], 3],
    [[2, 4, 4, 3], [2, 4, 3], 1],
  ])("finds the classes of %j for labels %j along axis %i", (dims, targetDims, axis) => {
    const [x, t] = [wave(dims), labels(targetDims, dims[axis] as number, 1, false)];
    const expected = build64([dims[0] as number], (n) =>
      byHand(x, t, axis, n as number, { smoothing: 0, ignore: false, weights: undefined }),
    );
    expect(difference(run(losses.crossEntropy(), x, t, "int64").losses, expected)).toBeLessThan(close);
    const given = { dtype: "int32", shape: targetDims } as const;
    expect(losses.crossEntropy().target({ dtype: "float32", shape: [N, ...dims.slice(1)] }, given)).toEqual({
      dtype: "int32",
      shape: [N, ...targetDims.slice(1)],
    });
  });

  it.each<[Dim[], Dim[]]>([
    [[N, 7], [N]],
    [
      [N, 5, 7],
      [N, 5],
    ],
    [
      [N, 7, 5, 4],
      [N, 5, 4],
    ],
  ])("of %j wants int64 labels unless told otherwise", (output, shape) => {
    expect(losses.crossEntropy().target({ dtype: "float32", shape: output })).toEqual({ dtype: "int64", shape });
  });

  it.each<[readonly Dim[], readonly Dim[] | undefined, number | undefined, RegExp | undefined]>([
    [[N, 4, 4], [N, 4], undefined, /labels \[N, 4\] fit the output \[N, 4, 4\].*axis 1 or 2; axis 1 is taken/],
    [[N, 4, 4], [7, 4], undefined, /axis 1 or 2; axis 1 is taken/],
    [[N, 4, 4], undefined, undefined, /axis 1 or 2; axis 1 is taken/],
    [[N, 3, 4, 4], [N, 3, 4], undefined, /axis 2 or 3; axis 2 is taken/],
    [[N, 5, 3], undefined, undefined, /labels is not given.*axis 2, with labels \[N, 5\].*classAxis/],
    [[N, 4, 4], [N, 4], 2, undefined],
    [[N, 4, 4], undefined, -1, undefined],
    [[N, 5, 3], [N, 5], undefined, undefined],
    [[N, 5, 3], [N, 3], undefined, undefined],
    [[N, 3], undefined, undefined, undefined],
  ])("of %j with labels %j, told the axis %s, says what it chose: %s", (output, shape, classAxis, note) => {
    for (const make of [losses.crossEntropy, losses.nll]) {
      const loss = make(classAxis === undefined ? {} : { classAxis });
      const found = loss.notes?.({ dtype: "float32", shape: output }, shape && { shape }) ?? [];
      expect(found).toHaveLength(note ? 1 : 0);
      if (note) expect(found[0]).toMatch(note);
    }
  });

  it("is 0, with gradient 0, for a sample whose labels are all ignored", () => {
    const x = wave([2, 3, 4]);
    const t = { dims: [2, 3], data: Float64Array.of(-100, -100, -100, 1, -100, 2) };
    const { losses: values, gradient } = run(
      losses.crossEntropy({ ignoreIndex: -100, labelSmoothing: 0.5 }),
      x,
      t,
      "int64",
    );
    expect(values.data[0]).toBe(0);
    expect(gradient.data.subarray(0, 12).every((v) => v === 0)).toBe(true);
    expect(gradient.data.every(Number.isFinite)).toBe(true);
  });

  it("does not overflow", () => {
    const x = { dims: [2, 2], data: Float64Array.of(1000, 0, -1000, 1000) };
    const { losses: values, gradient } = run(
      losses.crossEntropy(),
      x,
      { dims: [2], data: Float64Array.of(1, 1) },
      "int64",
    );
    expect([...values.data].map((v) => v + 0)).toEqual([1000, 0]);
    expect([...gradient.data].map((v) => v + 0)).toEqual([1, -1, 0, 0]);
  });

  it("is 0 where a sample has no elements", () => {
    const found = run(losses.crossEntropy(), wave([2, 0, 3]), { dims: [2, 0], data: new Float64Array() }, "int64");
    expect([...found.losses.data]).toEqual([0, 0]);
  });

  it("refuses shapes, dtypes and options that do not fit", () => {
    const output = { dtype: "float32", shape: [N, 5, 7] } as const;
    const target = (dtype: DType, shape: Dim[]) => () => losses.crossEntropy().target(output, { dtype, shape });
    expect(target("float32", [N, 5])).toThrowError(code("DTYPE_MISMATCH"));
    expect(target("int64", [N, 6])).toThrow(/\[N, 6\] do not fit the output \[N, 5, 7\].*\[N, 5\]/);
    for (const dtype of ["float32", "int64"] as const)
      expect(target(dtype, [N, 5, 7])).toThrow(/one-hot rows, or probabilities.*argmax.*losses\.custom/);
    expect(target("int64", [N])).toThrowError(code("SHAPE_MISMATCH"));
    expect(target("int64", [])).toThrowError(code("SHAPE_MISMATCH"));
    expect(() => losses.crossEntropy().target({ dtype: "float32", shape: [N] })).toThrowError(code("SHAPE_MISMATCH"));
    expect(() => losses.crossEntropy().target({ dtype: "float32", shape: [] })).toThrowError(code("SHAPE_MISMATCH"));
    expect(() => losses.crossEntropy({ classAxis: 0 }).target(output)).toThrowError(code("INVALID_ARGUMENT"));
    expect(() => losses.crossEntropy({ labelSmoothing: 1.5 })).toThrowError(code("INVALID_ARGUMENT"));
    expect(() => losses.crossEntropy().apply(input("x", ["N", 3]), null)).toThrowError(code("MISSING_TENSOR"));
    const weights = losses.crossEntropy({ weights: [1, 2] });
    expect(() => weights.apply(input("x", ["N", 3]), input("t", ["N"], "int64"))).toThrowError(
      code("INVALID_ARGUMENT"),
    );
  });

  it("names the label that is no class", () => {
    const tensor = (dims: readonly number[], data: readonly number[]): Tensor => ({
      dtype: "int64",
      dims,
      data: BigInt64Array.from(data, BigInt),
    });
    const loss = losses.crossEntropy({ ignoreIndex: -1 });
    const validate = (target: Tensor, output: Dim[]) => () => loss.validate?.(target, output);
    expect(validate(tensor([3], [0, -1, 9]), [3, 10])).not.toThrow();
    expect(validate(tensor([3], [0, 1, 10]), [N, 10])).toThrowError(code("LABEL_OUT_OF_RANGE"));
    expect(validate(tensor([3], [0, 1, 10]), [3, 10])).toThrow(/label 10 of sample 2 is outside 0\.\.9/);
    expect(() => losses.nll().validate?.(tensor([2], [0, -100]), [2, 10])).toThrow(
      "nll: the label -100 of sample 1 is outside 0..9; if it marks what does not count, say so with ignoreIndex: -100.",
    );
    expect(validate(tensor([2, 3], [0, 1, 0, 1, -7, 0]), [2, 3, 2])).toThrow(
      /label -7 of sample 1, element 1 is outside 0\.\.1/,
    );
    expect(validate({ dtype: "float32", dims: [2], data: new Float32Array(2) }, [2, 2])).toThrowError(
      code("DTYPE_MISMATCH"),
    );
    expect(validate({ dtype: "uint8", dims: [2], data: new Uint8Array([1, 2]) }, [2, 2])).toThrowError(
      code("LABEL_OUT_OF_RANGE"),
    );
    expect(validate(tensor([0], []), [0, 2])).not.toThrow();
    expect(validate(tensor([2], [0, 0]), [N, 4, 4])).toThrowError(code("SHAPE_MISMATCH"));
  });
});

describe("nll", () => {
  it("takes log-probabilities", () => {
    const [x, t] = [wave([4, 3]), labels([4], 3, 1, false)];
    const expected = build64([4], (n) => -at(x, n as number, at(t, n as number)));
    expect(difference(run(losses.nll(), x, t, "int64").losses, expected)).toBeLessThan(close);
  });
});

describe("element-wise losses", () => {
  const rounded = (corner: number) => (d: number) =>
    Math.abs(d) < corner ? (d * d) / 2 : corner * (Math.abs(d) - corner / 2);
  it.each<[string, Loss, (x: number, t: number) => number]>([
    ["mse", losses.mse(), (x, t) => (x - t) ** 2],
    ["l1", losses.l1(), (x, t) => Math.abs(x - t)],
    ["smoothL1", losses.smoothL1(), (x, t) => rounded(1)(x - t)],
    ["smoothL1 beta", losses.smoothL1({ beta: 0.5 }), (x, t) => rounded(0.5)(x - t) / 0.5],
    ["smoothL1 beta 0", losses.smoothL1({ beta: 0 }), (x, t) => Math.abs(x - t)],
    ["huber", losses.huber({ delta: 0.75 }), (x, t) => rounded(0.75)(x - t)],
    ["bceWithLogits", losses.bceWithLogits(), (x, t) => Math.log1p(Math.exp(x)) - x * t],
    ["bce", losses.bce(), (x, t) => -t * Math.log(x) - (1 - t) * Math.log(1 - x)],
  ])("%s is the mean over each sample's own elements", (name, loss, f) => {
    fc.assert(
      fc.property(
        fc.nat(4),
        fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 3 }),
        fc.nat(50),
        (samples, rest, seed) => {
          const dims = [samples, ...rest];
          const unit = (a: Array64): Array64 => ({ dims, data: a.data.map((v) => (v + 1.6) / 3.2) });
          const x = name === "bce" ? unit(wave(dims, seed)) : wave(dims, seed);
          const t = name.startsWith("bce") ? unit(wave(dims, seed + 1)) : wave(dims, seed + 1);
          const found = run(loss, x, t);
          const perSample = rest.reduce((product, size) => product * size, 1);
          const expected = build64([samples], (n) => {
            let sum = 0;
            for (let i = 0; i < perSample; i++)
              sum += f(
                x.data[(n as number) * perSample + i] as number,
                t.data[(n as number) * perSample + i] as number,
              );
            return sum / perSample;
          });
          expect(difference(found.losses, expected)).toBeLessThan(close);
          expect(difference(found.gradient, differences(loss, x, t, "float32"))).toBeLessThan(1e-4);
        },
      ),
      { numRuns: 30 },
    );
  });

  it("compare [N] with [N, 1], and other shapes of as many elements", () => {
    const x = wave([4, 1]);
    const t = wave([4], 1);
    const expected = build64([4], (n) => (at(x, n as number, 0) - at(t, n as number)) ** 2);
    expect(difference(run(losses.mse(), x, t).losses, expected)).toBeLessThan(close);
    expect(
      difference(run(losses.mse(), { dims: [4], data: x.data }, { dims: [4, 1], data: t.data }).losses, expected),
    ).toBeLessThan(close);
    expect(losses.mse().target({ dtype: "float32", shape: [N] }, { dtype: "float64", shape: [60, 1] })).toEqual({
      dtype: "float64",
      shape: [N, 1],
    });
    expect(losses.mse().target({ dtype: "float32", shape: [N, 3] })).toEqual({ dtype: "float32", shape: [N, 3] });
    expect(losses.mse().target({ dtype: "float32", shape: [N, 3] }, { shape: [N, 3] })).toEqual({
      dtype: "float32",
      shape: [N, 3],
    });
  });

  it("refuse targets of other sizes, and outputs that are not numbers", () => {
    const target = (shape: Dim[]) => () =>
      losses.mse().target({ dtype: "float32", shape: [N, 3] }, { dtype: "float32", shape });
    expect(target([N, 4])).toThrow(/target \[N, 4\] does not have the elements of the output \[N, 3\]/);
    expect(target([])).toThrowError(code("SHAPE_MISMATCH"));
    expect(() => losses.mse().target({ dtype: "int64", shape: [N] })).toThrowError(code("DTYPE_MISMATCH"));
    expect(() => losses.huber({ delta: 0 })).toThrowError(code("INVALID_ARGUMENT"));
    expect(() => losses.smoothL1({ beta: -1 })).toThrowError(code("INVALID_ARGUMENT"));
  });

  it("take integers and booleans as targets", () => {
    const t = { dims: [2], data: Float64Array.of(0, 1) };
    expect(
      difference(run(losses.bceWithLogits(), { dims: [2], data: Float64Array.of(0, 0) }, t, "bool").losses, {
        dims: [2],
        data: Float64Array.of(Math.LN2, Math.LN2),
      }),
    ).toBeLessThan(close);
  });

  it("stay finite far out", () => {
    const t = { dims: [4], data: Float64Array.of(0, 1, 0, 1) };
    const logits = run(losses.bceWithLogits(), { dims: [4], data: Float64Array.of(1000, 1000, -1000, -1000) }, t);
    expect([...logits.losses.data]).toEqual([1000, 0, 0, 1000]);
    expect([...logits.gradient.data].map((v) => v + 0)).toEqual([1, 0, 0, -1]);
    const zero = run(losses.bceWithLogits(), { dims: [4], data: new Float64Array(4) }, t);
    expect([...zero.gradient.data]).toEqual([0.5, -0.5, 0.5, -0.5]);
    const certain = run(losses.bce(), { dims: [4], data: Float64Array.of(0, 0, 1, 1) }, t);
    expect([...certain.losses.data].map((v) => v + 0)).toEqual([0, 100, 100, 0]);
    expect(certain.gradient.data.every(Number.isFinite)).toBe(true);
    const met = run(losses.l1(), { dims: [4], data: t.data }, t);
    expect([...met.gradient.data].map((v) => v + 0)).toEqual([0, 0, 0, 0]);
  });
});

describe("an output that is the loss", () => {
  it("is taken as it is, or averaged", () => {
    const x = wave([3, 2, 2]);
    const expected = build64(
      [3],
      (n) => x.data.subarray(4 * (n as number), 4 * (n as number) + 4).reduce((a, b) => a + b, 0) / 4,
    );
    expect(difference(evaluate(losses.output().apply(input("x", ["N", 2, 2]), null), { x }, 3), expected)).toBeLessThan(
      close,
    );
    const own = input("x", ["N"]);
    expect(losses.output().apply(own, null)).toBe(own);
    expect(losses.output("loss").output).toBe("loss");
    expect(losses.output().target({ dtype: "float32", shape: [N] })).toBeNull();
    expect(() => losses.output().target({ dtype: "float32", shape: [] })).toThrow(/one per sample/);
  });
});

describe("a loss of one's own", () => {
  it("is a function to [N]", () => {
    const loss = asLoss((x, t) => x.sub(t).abs().max(1));
    const [x, t] = [wave([3, 2]), wave([3, 2], 1)];
    const expected = build64([3], (n) =>
      Math.max(...[0, 1].map((i) => Math.abs(at(x, n as number, i) - at(t, n as number, i)))),
    );
    expect(
      difference(evaluate(loss.apply(input("x", ["N", 2]), input("t", ["N", 2])), { x, t }, 3), expected),
    ).toBeLessThan(close);
    expect(loss.target({ dtype: "float32", shape: [N, 2] })).toEqual({ dtype: "float32", shape: [N, 2] });
    expect(loss.target({ dtype: "float32", shape: [N, 2] }, { dtype: "int64", shape: [9] })).toEqual({
      dtype: "int64",
      shape: [N],
    });
    expect(asLoss(loss)).toBe(loss);
  });

  it("must give one number per sample", () => {
    const [x, t] = [input("x", ["N", 2]), input("t", ["N", 2])];
    expect(() => losses.custom((a, b) => a.sub(b)).apply(x, t)).toThrow(/\[N\], not \[N, 2\]/);
    expect(() => losses.custom((a) => a.sum()).apply(x, t)).toThrowError(code("SHAPE_MISMATCH"));
    expect(() => losses.custom((a) => a.sum(1).greater(0)).apply(x, t)).toThrowError(code("DTYPE_MISMATCH"));
  });
});
