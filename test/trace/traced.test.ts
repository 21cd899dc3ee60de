import { describe, expect, it } from "vitest";
import type { Value } from "../../src/graph/value.js";
import { einsum } from "../../src/trace/einsum.js";
import { concat, constant, expand, input, parameter, stack, where } from "../../src/trace/index.js";
import { at, build64, difference, evaluate, wave } from "../nn/support.js";

const initialOf = ({ source }: Value) => (source.kind === "parameter" ? source.initial : undefined);

const close = 1e-12;
const x = input("x", ["N", 3]);
const data = wave([4, 3]);
const of = (f: (v: number) => number) => ({ dims: data.dims, data: data.data.map(f) });
const run = (y: Parameters<typeof evaluate>[0]) => evaluate(y, { x: data }, 4);

describe("arithmetic", () => {
  it.each([
    ["add", x.add(2), (v: number) => v + 2],
    ["sub", x.sub(0.5), (v: number) => v - 0.5],
    ["mul", x.mul(x), (v: number) => v * v],
    ["div", x.div(4), (v: number) => v / 4],
    ["neg", x.neg(), (v: number) => -v],
    ["pow 2", x.pow(2), (v: number) => v * v],
    ["pow 3", x.pow(3), (v: number) => v ** 3],
    ["square", x.square(), (v: number) => v * v],
    ["sqrt of abs", x.abs().sqrt(), (v: number) => Math.sqrt(Math.abs(v))],
    ["exp", x.exp(), Math.exp],
    ["log", x.abs().log(), (v: number) => Math.log(Math.abs(v))],
    ["tanh", x.tanh(), Math.tanh],
    ["sigmoid", x.sigmoid(), (v: number) => 1 / (1 + Math.exp(-v))],
    ["relu", x.relu(), (v: number) => Math.max(v, 0)],
    ["softplus", x.softplus(), (v: number) => Math.log1p(Math.exp(v))],
    ["sin", x.sin(), Math.sin],
    ["cos", x.cos(), Math.cos],
    ["sign", x.sign(), Math.sign],
    ["clip", x.clip(-0.5, 1), (v: number) => Math.min(Math.max(v, -0.5), 1)],
    ["clip from below", x.clip(0.25), (v: number) => Math.max(v, 0.25)],
    ["clip from above", x.clip(undefined, 0.25), (v: number) => Math.min(v, 0.25)],
    ["maximum", x.maximum(0.5), (v: number) => Math.max(v, 0.5)],
    ["minimum", x.minimum(0.5), (v: number) => Math.min(v, 0.5)],
    ["where", where(x.greater(0), x, -1), (v: number) => (v > 0 ? v : -1)],
    ["where not equal", where(x.notEqual(0).and(x.less(1)), 1, x), (v: number) => (v < 1 ? 1 : v)],
    ["or", where(x.lessOrEqual(-1).or(x.greaterOrEqual(1)), x, 0), (v: number) => (Math.abs(v) >= 1 ? v : 0)],
  ])("%s", (_, y, f) => {
    expect(y.shape).toEqual(["N", 3]);
    expect(difference(run(y), of(f))).toBeLessThan(close);
  });

  it("needs equal dtypes, and numbers that the dtype can hold", () => {
    const labels = input("labels", ["N", 3], "int64");
    expect(() => x.add(labels)).toThrowError(expect.objectContaining({ code: "DTYPE_MISMATCH" }));
    expect(() => labels.add(0.5)).toThrowError(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
    expect(labels.add(1).dtype).toBe("int64");
    expect(x.add(labels.cast("float32")).dtype).toBe("float32");
    expect(x.less(1).dtype).toBe("bool");
    expect(() => where(x, x, x)).toThrowError(expect.objectContaining({ code: "DTYPE_MISMATCH" }));
  });

  it("says where shapes do not fit", () => {
    const y = input("y", ["N", 4]);
    for (const wrong of [() => x.add(y), () => x.matmul(y), () => concat([x, y], 0), () => einsum("ni,ni->n", x, y)]) {
      expect(wrong).toThrowError(expect.objectContaining({ code: "SHAPE_MISMATCH" }));
    }
  });
});

describe("reductions", () => {
  it("sums, averages and finds extremes along axes", () => {
    const row = (n: number) => [0, 1, 2].map((i) => at(data, n, i));
    const total = (n: number) => row(n).reduce((a, b) => a + b, 0);
    expect(difference(run(x.sum(1)), build64([4], total))).toBeLessThan(close);
    expect(difference(run(x.sum(-1, { keepDims: true })), build64([4, 1], total))).toBeLessThan(close);
    expect(
      difference(
        run(x.mean([1])),
        build64([4], (n) => total(n as number) / 3),
      ),
    ).toBeLessThan(close);
    expect(
      difference(
        run(x.max(1)),
        build64([4], (n) => Math.max(...row(n as number))),
      ),
    ).toBe(0);
    expect(
      difference(
        run(x.min(1)),
        build64([4], (n) => Math.min(...row(n as number))),
      ),
    ).toBe(0);
    expect(run(x.sum()).dims).toEqual([]);
    expect(x.sum([])).toBe(x);
    expect(() => x.sum(2)).toThrowError(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
    expect(() => x.sum([0, -2])).toThrow(/twice/);
  });

  it("makes probabilities", () => {
    const rows = run(x.softmax());
    for (let n = 0; n < 4; n++) expect(at(rows, n, 0) + at(rows, n, 1) + at(rows, n, 2)).toBeCloseTo(1, 12);
    expect(difference(run(x.logSoftmax(1).exp()), rows)).toBeLessThan(close);
  });
});

describe("shapes", () => {
  it("reshapes with one dimension left open, for any batch", () => {
    expect(x.reshape([-1]).shape).toEqual(["N*3"]);
    expect(x.reshape(["N", -1, 1]).shape).toEqual(["N", 3, 1]);
    expect(x.reshape([3, -1]).shape).toEqual([3, "N"]);
    expect(x.reshape(["N", 3])).toBe(x);
    expect(run(x.reshape([-1])).data).toEqual(data.data);
    expect(() => x.reshape(["N", 2])).toThrowError(expect.objectContaining({ code: "SHAPE_MISMATCH" }));
    expect(() => x.reshape(["N", -1, 2])).toThrowError(expect.objectContaining({ code: "SHAPE_MISMATCH" }));
    expect(() => x.reshape([-1, -1])).toThrowError(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  });

  it("transposes", () => {
    expect(x.transpose().shape).toEqual([3, "N"]);
    expect(
      difference(
        run(x.transpose([1, 0])),
        build64([3, 4], (i, n) => at(data, n as number, i as number)),
      ),
    ).toBe(0);
    expect(x.transpose([0, 1])).toBe(x);
    for (const wrong of [[0], [0, 0], [0, 1, 2]]) {
      expect(() => x.transpose(wrong)).toThrowError(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
    }
  });

  it("adds and drops axes", () => {
    expect(x.unsqueeze(0).shape).toEqual([1, "N", 3]);
    expect(x.unsqueeze([1, -1]).shape).toEqual(["N", 1, 3, 1]);
    expect(x.unsqueeze([1, 3]).squeeze().shape).toEqual(["N", 3]);
    expect(() => x.squeeze(1)).toThrowError(expect.objectContaining({ code: "SHAPE_MISMATCH" }));
  });

  it("expands at the front, or to a shape", () => {
    const w = parameter("w", [3, 4], Float32Array.from(wave([3, 4]).data));
    const ww = expand(w, "N");
    expect(ww.shape).toEqual(["N", 3, 4]);
    const values = evaluate(ww, {}, 2);
    expect([...values.data.subarray(12)]).toEqual([...values.data.subarray(0, 12)]);
    expect(expand(w, 1).shape).toEqual([1, 3, 4]);
    expect(expand(parameter("s", []), "N").shape).toEqual(["N"]);
    expect(expand(constant([1, 2, 3]), ["N", 3]).shape).toEqual(["N", 3]);
    expect(() => expand(w, ["N", 5])).toThrowError(expect.objectContaining({ code: "SHAPE_MISMATCH" }));
  });

  it("slices and gathers", () => {
    const column = (i: number) => build64([4, 1], (n) => at(data, n as number, i));
    expect(difference(run(x.slice(1, 1, 2)), column(1))).toBe(0);
    expect(difference(run(x.slice(1, -1)), column(2))).toBe(0);
    expect(
      difference(
        run(x.slice(-1, 2, undefined, -2)),
        build64([4, 2], (n, i) => at(data, n as number, 2 - 2 * (i as number))),
      ),
    ).toBe(0);
    expect(run(x.gather(2, 1)).dims).toEqual([4]);
    expect(
      difference(
        run(x.gather([2, 0], -1)),
        build64([4, 2], (n, i) => at(data, n as number, i === 0 ? 2 : 0)),
      ),
    ).toBe(0);
    expect(run(x.gatherElements(expand(constant([1], "int64"), ["N", 1]), 1)).data).toEqual(column(1).data);
    expect(() => x.slice(1, 0, 2, 0)).toThrowError(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  });

  it("joins", () => {
    expect(concat([x, x], 1).shape).toEqual(["N", 6]);
    expect(concat([x])).toBe(x);
    expect(stack([x, x], 1).shape).toEqual(["N", 2, 3]);
    expect(
      difference(
        run(stack([x, x.neg()], 1).sum(1)),
        of(() => 0),
      ),
    ).toBe(0);
    expect(() => concat([])).toThrowError(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  });

  it("contracts in Einstein's notation", () => {
    const w = wave([3, 2], 1);
    const ww = expand(parameter("w", [3, 2]), "N");
    const y = einsum("ni,nij->nj", x, ww);
    expect(y.shape).toEqual(["N", 2]);
    const expected = build64([4, 2], (n, j) =>
      [0, 1, 2].reduce((sum, i) => sum + at(data, n as number, i) * at(w, i, j as number), 0),
    );
    expect(difference(evaluate(y, { x: data, w }, 4), expected)).toBeLessThan(close);
    expect(() => einsum("n1->n", x)).toThrowError(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
    expect(() => einsum("i->i")).toThrowError(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  });
});

describe("leaves", () => {
  it("checks shapes as users write them", () => {
    for (const wrong of [-1, 0.5, "M", "N*0", "N*-1", "N+1", Number.NaN]) {
      expect(() => input("x", ["N", wrong as "N"])).toThrowError(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
    }
    expect(input("x", ["N*12", 0]).shape).toEqual(["N*12", 0]);
    expect(() => input("", [])).toThrowError(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  });

  it("keeps a parameter's initial value", () => {
    const nested = parameter(
      "w",
      [2, 2],
      [
        [1, 2],
        [3, 4],
      ],
    );
    const flat = parameter("w", [2, 2], new Float32Array([1, 2, 3, 4]));
    expect(initialOf(nested.value)).toEqual(initialOf(flat.value));
    expect(initialOf(parameter("w", [2]).value)).toBeUndefined();
    expect(initialOf(parameter("s", [], 2).value)?.data).toEqual(new Float32Array([2]));
    expect(() => parameter("w", [2, 2], [[1, 2]])).toThrowError(expect.objectContaining({ code: "SHAPE_MISMATCH" }));
    expect(() => parameter("w", [3], new Float32Array(2))).toThrowError(
      expect.objectContaining({ code: "SHAPE_MISMATCH" }),
    );
  });

  it("makes constants of nested arrays", () => {
    expect(
      constant([
        [1, 2, 3],
        [4, 5, 6],
      ]).shape,
    ).toEqual([2, 3]);
    expect(constant(1).shape).toEqual([]);
    expect(constant([]).shape).toEqual([0]);
    expect(constant([true, false], "bool").dtype).toBe("bool");
    expect(() => constant([[1], [1, 2]])).toThrow(/different lengths/);
    expect(() => constant([[1], 2])).toThrowError(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
    expect(() => constant([0.5], "int64")).toThrowError(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
    expect(() => constant({ dtype: "float32", dims: [3], data: new Float32Array(2) })).toThrow(/needs 3/);
  });
});
