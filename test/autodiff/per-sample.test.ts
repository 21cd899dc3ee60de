import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SampleAxes } from "../../src/analysis/sample-axes.js";
import { perSampleGradients } from "../../src/autodiff/per-sample.js";
import type { Value } from "../../src/graph/value.js";
import { build } from "../../src/ops/registry.js";
import { einsum } from "../../src/trace/einsum.js";
import { concat, input, parameter, Traced } from "../../src/trace/index.js";
import { compareWithLoop } from "../support/per-sample.js";
import { makeCase, type Spec } from "../support/spec.js";

const perSampleSum = (y: Traced) => y.square().sum(y.value.shape.map((_, axis) => axis).slice(1));
const kinds = (spec: Spec) => Object.fromEntries(compareWithLoop(makeCase(spec)));

describe("per-sample gradients against the loop, every way of every kind, in float64", () => {
  const samples = fc.integer({ min: 0, max: 4 });
  const size = fc.integer({ min: 1, max: 4 });
  const check = (build: (n: number, a: number, b: number, c: number) => Spec, kind?: Record<string, string>) =>
    fc.assert(
      fc.property(samples, size, size, size, (n, a, b, c) => {
        const found = kinds(build(n, a, b, c));
        if (kind) expect(found).toEqual(kind);
      }),
      { numRuns: 25 },
    );

  it("a linear layer: x w + b", () => {
    check(
      (samples, i, o) => ({
        samples,
        inputs: { x: { shape: ["N", i] } },
        parameters: { w: [i, o], b: [o] },
        loss: ({ x, w, b }) =>
          perSampleSum(
            (x as Traced)
              .matmul(w as Traced)
              .add(b as Traced)
              .tanh(),
          ),
      }),
      { w: "outer", b: "dense" },
    );
  });

  it("positions within a sample, a transposed weight", () => {
    check(
      (samples, t, i, o) => ({
        samples,
        inputs: { x: { shape: ["N", t, i] } },
        parameters: { w: [o, i], b: [t, 1] },
        loss: ({ x, w, b }) => perSampleSum((x as Traced).matmul((w as Traced).transpose([1, 0])).add(b as Traced)),
      }),
      { w: "outer", b: "dense" },
    );
  });

  it("samples along axis 1", () => {
    check(
      (samples, t, i, o) => ({
        samples,
        inputs: { x: { shape: [t, "N", i], axis: 1 } },
        parameters: { w: [i, o], b: [o] },
        loss: ({ x, w, b }) =>
          perSampleSum(
            (x as Traced)
              .matmul(w as Traced)
              .add(b as Traced)
              .transpose([1, 0, 2]),
          ),
      }),
      { w: "outer", b: "dense" },
    );
  });

  it("samples folded with positions: [N*T, C]", () => {
    check(
      (samples, t, i, o) => ({
        samples,
        inputs: { x: { shape: ["N", t, i] } },
        parameters: { w: [i, o], b: [o] },
        loss: ({ x, w, b }) => {
          const y = (x as Traced)
            .reshape([`N*${t}`, i])
            .matmul(w as Traced)
            .add(b as Traced)
            .tanh();
          return perSampleSum(y.reshape(["N", t, o]));
        },
      }),
      { w: "outer", b: "dense" },
    );
  });

  it("samples folded behind positions: [T*N, C]", () => {
    check(
      (samples, t, i, o) => ({
        samples,
        inputs: { x: { shape: [t, "N", i], axis: 1 } },
        parameters: { w: [i, o], b: [o] },
        loss: ({ x, w, b }) => {
          const y = (x as Traced)
            .reshape([`N*${t}`, i])
            .matmul(w as Traced)
            .add(b as Traced)
            .tanh();
          return perSampleSum(y.reshape([t, "N", o]).transpose([1, 0, 2]));
        },
      }),
      { w: "outer", b: "dense" },
    );
  });

  it("a layer used twice: cross terms", () => {
    check(
      (samples, i) => ({
        samples,
        inputs: { x: { shape: ["N", i] } },
        parameters: { w: [i, i], b: [i] },
        loss: ({ x, w, b }) => {
          const layer = (v: Traced) =>
            v
              .matmul(w as Traced)
              .add(b as Traced)
              .tanh();
          return perSampleSum(layer(layer(x as Traced)));
        },
      }),
      { w: "outer", b: "dense" },
    );
  });

  it("a tied autoencoder: w and its transpose", () => {
    // Where an axis is of size 1 the transpose is a reshape, and the two uses stay apart in a sum.
    const spec = (samples: number, i: number, o: number): Spec => ({
      samples,
      inputs: { x: { shape: ["N", i] } },
      parameters: { w: [i, o] },
      loss: ({ x, w }) =>
        perSampleSum(
          (x as Traced)
            .matmul(w as Traced)
            .tanh()
            .matmul((w as Traced).transpose([1, 0]))
            .sub(x as Traced),
        ),
    });
    check((n, i, o) => spec(n, i + 1, o + 1), { w: "outer" });
    expect(kinds(spec(3, 1, 3))).toEqual({ w: "sum" });
  });

  it("a weight that is also a gain: a sum of different kinds", () => {
    check(
      (samples, i) => ({
        samples,
        inputs: { x: { shape: ["N", i, i] } },
        parameters: { w: [i, i] },
        loss: ({ x, w }) =>
          perSampleSum(
            (x as Traced)
              .matmul(w as Traced)
              .tanh()
              .mul(w as Traced),
          ),
      }),
      { w: "sum" },
    );
  });

  it("weights computed from parameters: products, normalisation", () => {
    // What kind it is depends on the sizes: a product with a vector of one element is dense.
    check((samples, i, o, r) => ({
      samples,
      inputs: { x: { shape: ["N", i] } },
      parameters: { a: [i, r], b: [r, o], g: [o] },
      loss: ({ x, a, b, g }) => {
        const w = (a as Traced).matmul(b as Traced);
        const normalised = w.mul(g as Traced).div(w.square().sum([0], { keepDims: true }).add(0.1).sqrt());
        return perSampleSum((x as Traced).matmul(normalised));
      },
    }));
  });

  it("einsums: blocks, three operands, a parameter on the left", () => {
    check(
      (samples, h, i, o) => ({
        samples,
        inputs: { x: { shape: ["N", 2, h, i] }, z: { shape: ["N", o] } },
        parameters: { w: [h, i, o], u: [o, i, 3], v: [4, o] },
        loss: ({ x, z, w, u, v }) => {
          const heads = einsum("nthi,hio->ntho", x as Traced, w as Traced);
          const bilinear = einsum("no,oik,nthi->nk", z as Traced, u as Traced, x as Traced);
          const left = einsum("po,ntho->np", v as Traced, heads);
          return perSampleSum(heads).add(perSampleSum(bilinear)).add(perSampleSum(left));
        },
      }),
      { w: "outer", u: "outer", v: "outer" },
    );
  });

  it("einsums that take a diagonal, of data or of a parameter", () => {
    check(
      (samples, i) => ({
        samples,
        inputs: { x: { shape: ["N", i, i] } },
        parameters: { w: [i, i], v: [i, i] },
        loss: ({ x, w, v }) => {
          const traced = einsum("nhh,hh->nh", x as Traced, w as Traced);
          return perSampleSum(traced).add(perSampleSum(einsum("nij,jj,ij->ni", x as Traced, w as Traced, v as Traced)));
        },
      }),
      { w: "sum", v: "outer" },
    );
  });

  it("zeros of a folded shape, unfolded", () => {
    check(
      (samples, t) => ({
        samples,
        inputs: { x: { shape: [t, "N"], axis: 1 } },
        parameters: { w: [t, 1] },
        loss: ({ x, w }) => {
          const zeros = new Traced(build.zeros([{ perSample: t }], "float32")).reshape([t, "N"]);
          return perSampleSum(
            (x as Traced)
              .mul(w as Traced)
              .add(zeros)
              .transpose([1, 0]),
          );
        },
      }),
      { w: "dense" },
    );
  });

  it("a scalar parameter, and a parameter repeated for every sample", () => {
    check(
      (samples, t, i) => ({
        samples,
        inputs: { x: { shape: ["N", t, i] } },
        parameters: { s: [], c: [1, 1, i] },
        loss: ({ x, s, c }) => {
          const token = (c as Traced).expand(["N", 1, i]);
          return perSampleSum(concat([token, (x as Traced).mul((s as Traced).exp())], 1).tanh());
        },
      }),
      { s: "dense", c: "dense" },
    );
  });
});

describe("samples that interact are refused, naming the node", () => {
  const losses = (f: (x: Traced, w: Traced) => Traced) => {
    const x = input("x", ["N", 3]);
    const w = parameter("w", [3, 3]);
    return () => perSampleGradients(f(x, w).value, [w.value], new SampleAxes(new Map([[x.value, 0]])));
  };
  it("a mean over the batch", () => {
    expect(losses((x, w) => perSampleSum(x.matmul(w).sub(x.mean([0], { keepDims: true }))))).toThrow(/ReduceMean/);
  });
  it("a product of the batch with itself", () => {
    expect(losses((x, w) => perSampleSum(x.matmul(w).transpose([1, 0]).matmul(x)))).toThrow(/MatMul/);
  });
  it("a softmax over the batch", () => {
    expect(losses((x, w) => perSampleSum(x.matmul(w).softmax(0)))).toThrow(/Softmax/);
  });
  it("a reshape that mixes samples", () => {
    expect(losses((x, w) => perSampleSum(x.matmul(w).transpose([1, 0]).reshape(["N", 3])))).toThrow(/Reshape/);
  });
  const size = (x: Traced) => build.op("Shape", [x.value], { start: 0, end: 1 });
  const one = build.ints([1]);
  const float = (value: Value) => new Traced(build.cast(value, "float32"));
  it.each<[string, (n: Value, y: Traced) => Traced]>([
    ["N", (n, y) => y.div(float(n))],
    ["max(N, 1)", (n, y) => y.div(float(build.op("Max", [n, one])))],
    ["N + 1", (n, y) => y.mul(float(build.add(n, one)))],
    ["N / 2", (n, y) => y.mul(float(build.div(n, build.ints([2]))))],
    ["|N|", (n, y) => y.mul(float(build.abs(n)))],
    ["N < 2", (n, y) => new Traced(build.where(build.less(n, build.ints([2])), y.value, y.square().value))],
    ["N = 1", (n, y) => new Traced(build.where(build.equal(n, one), y.value, y.square().value))],
    ["N mod 2", (n, y) => y.mul(new Traced(build.gather(y.value, build.op("Mod", [n, build.ints([2])]), 1)))],
  ])("numbers that depend on the batch size: %s", (_name, use) => {
    expect(losses((x, w) => perSampleSum(use(size(x), x.matmul(w))))).toThrow(/batch size|batch/);
  });
  it("a row of constants tiled against folded samples", () => {
    const table = new Traced(build.floats([1, 10, 100], [3], input("like", [1]).value));
    const tiled = (x: Traced) => new Traced(build.op("Tile", [table.value, size(x)]));
    expect(
      losses((x, w) => {
        const flat = x.matmul(w).transpose([1, 0]).reshape(["N*3"]).mul(tiled(x));
        return perSampleSum(flat.reshape([3, "N"]).transpose([1, 0]));
      }),
    ).toThrow(/along different axes/);
  });
  it("a division by the batch size", () => {
    expect(losses((x, w) => perSampleSum(x.matmul(w)).div(x.reshape(["N*3"]).sum([0])))).toThrow(/ReduceSum/);
  });
});
