import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SampleAxes } from "../../src/analysis/sample-axes.js";
import { perSampleGradients } from "../../src/autodiff/per-sample.js";
import { type Shape, showShape } from "../../src/graph/dim.js";
import type { Value } from "../../src/graph/value.js";
import { nodesBefore } from "../../src/graph/walk.js";
import { build } from "../../src/ops/registry.js";
import { simplify } from "../../src/optimise/simplify.js";
import { choose } from "../../src/plan/planner.js";
import { allRequirements } from "../../src/plan/questions.js";
import { concat, constant, Traced } from "../../src/trace/index.js";
import { compareWithLoop } from "../support/per-sample.js";
import { makeCase, type Spec } from "../support/spec.js";

type Values = Record<string, Traced>;
const get = (v: Values, name: string) => v[name] as Traced;
const perSampleSum = (y: Traced) => y.square().sum(y.value.shape.map((_, axis) => axis).slice(1));
const kinds = (spec: Spec) => Object.fromEntries(compareWithLoop(makeCase(spec)));

/** x of `positions` rows (0: no such axis), times a weight [i, o] computed from parameters. */
function layer(parameters: Record<string, number[]>, i: number, weight: (v: Values) => Traced) {
  return (samples: number, positions: number): Spec => ({
    samples,
    inputs: { x: { shape: positions === 0 ? ["N", i] : ["N", positions, i] } },
    parameters,
    loss: (v) => perSampleSum(get(v, "x").matmul(weight(v)).tanh()),
  });
}

function check(spec: (samples: number, positions: number) => Spec, kind?: Record<string, string>) {
  for (const samples of [0, 1, 3]) {
    for (const positions of [0, 1, 3]) {
      const found = kinds(spec(samples, positions));
      if (kind) expect(found, JSON.stringify(spec(samples, positions).parameters)).toEqual(kind);
    }
  }
}

const identity = (n: number) =>
  constant(Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_, k) => +(i === k))));

describe("weights computed from parameters, every way of every kind against the loop", () => {
  it("LoRA: W + B A / r", () => {
    check(
      layer({ w: [5, 4], a: [2, 5], b: [4, 2] }, 5, (v) =>
        get(v, "w").add(get(v, "b").matmul(get(v, "a")).mul(0.5).transpose([1, 0])),
      ),
      { w: "outer", a: "outer", b: "outer" },
    );
  });

  it("a product of three", () => {
    check(
      layer({ a: [5, 3], b: [3, 2], c: [2, 4] }, 5, (v) => get(v, "a").matmul(get(v, "b")).matmul(get(v, "c"))),
      { a: "outer", b: "outer", c: "outer" },
    );
  });

  it("scaled rows and columns, negated", () => {
    check(
      layer({ w: [5, 4], r: [5, 1], c: [4], s: [] }, 5, (v) =>
        get(v, "w").mul(get(v, "r")).div(get(v, "c").exp()).neg().mul(get(v, "s")),
      ),
      { w: "outer", r: "dense", c: "dense", s: "dense" },
    );
  });

  it("weight norm, by columns and of the whole", () => {
    check(
      layer({ v: [5, 4], g: [4] }, 5, (p) => {
        const v = get(p, "v");
        return v.mul(get(p, "g").div(v.square().sum([0], { keepDims: true }).sqrt()));
      }),
    );
    check(layer({ v: [5, 4] }, 5, ({ v }) => (v as Traced).div((v as Traced).square().sum().sqrt())));
  });

  it("weight standardisation: w - mean, by rows", () => {
    check(
      layer({ w: [5, 4] }, 5, ({ w }) => (w as Traced).sub((w as Traced).sum([1], { keepDims: true }).mul(0.25))),
      { w: "outer" },
    );
  });

  it("spectral normalisation with three power iterations", () => {
    check(
      layer({ w: [5, 4] }, 5, ({ w: weight }) => {
        const w = weight as Traced;
        let u = constant([[1], [0.5], [-0.3], [0.2], [0.1]]);
        const unit = (x: Traced) => x.div(x.square().sum().sqrt());
        let v = unit(w.transpose([1, 0]).matmul(u));
        for (let k = 0; k < 3; k++) {
          u = unit(w.matmul(v));
          v = unit(w.transpose([1, 0]).matmul(u));
        }
        return w.div(u.transpose([1, 0]).matmul(w).matmul(v));
      }),
    );
  });

  it("spectral normalisation with fixed vectors stays factored", () => {
    check(
      layer({ w: [9, 8] }, 9, ({ w: weight }) => {
        const w = weight as Traced;
        const u = constant([Array.from({ length: 9 }, (_, k) => Math.cos(k))]);
        const v = constant(Array.from({ length: 8 }, (_, k) => [Math.sin(k + 1)]));
        return w.div(u.matmul(w).matmul(v));
      }),
      { w: "outer" },
    );
  });

  it("masks, softplus", () => {
    const mask = constant([
      [1, 0, 1, 0],
      [0, 1, 1, 1],
      [1, 1, 0, 0],
    ]);
    check(layer({ w: [3, 4] }, 3, ({ w }) => (w as Traced).mul(mask)));
    check(layer({ w: [3, 4] }, 3, ({ w }) => (w as Traced).exp().add(1).log()));
  });

  it("symmetric, skew, and Cayley by an explicit series and by an inverse of 2x2 written out", () => {
    const skew = (w: Traced) => w.sub(w.transpose([1, 0]));
    check(
      layer({ w: [4, 4] }, 4, ({ w }) => (w as Traced).add((w as Traced).transpose([1, 0]))),
      { w: "outer" },
    );
    check(
      layer({ w: [4, 4] }, 4, ({ w }) => skew(w as Traced)),
      { w: "outer" },
    );
    check(
      layer({ w: [4, 4] }, 4, ({ w }) => {
        const a = skew(w as Traced).mul(0.1);
        let inverse = identity(4);
        for (let k = 0; k < 4; k++) inverse = identity(4).sub(a.matmul(inverse));
        return identity(4).sub(a).matmul(inverse);
      }),
    );
    check(
      layer({ w: [2, 2] }, 2, ({ w }) => {
        const a = skew(w as Traced);
        const m = identity(2).add(a);
        const at = (r: number, c: number) => m.slice(0, r, r + 1).slice(1, c, c + 1);
        const det = at(0, 0)
          .mul(at(1, 1))
          .sub(at(0, 1).mul(at(1, 0)));
        const rows = [concat([at(1, 1), at(0, 1).neg()], 1), concat([at(1, 0).neg(), at(0, 0)], 1)];
        return identity(2).sub(a).matmul(concat(rows, 0).div(det));
      }),
    );
  });

  it("a hypernetwork", () => {
    check(
      layer({ h: [20, 3], z: [3, 1] }, 5, (v) => get(v, "h").matmul(get(v, "z")).reshape([5, 4])),
      { h: "outer", z: "dense" },
    );
  });

  it("slices, strided and reversed; gates reordered; permutations; padding; split", () => {
    check(
      layer({ w: [8, 3] }, 3, ({ w }) => {
        const gates = [0, 6, 2, 4].map((from) => (w as Traced).slice(0, from, from + 2));
        return concat(gates, 0).transpose([1, 0]);
      }),
      { w: "outer" },
    );
    check(
      layer({ w: [8, 3] }, 4, ({ w }) => (w as Traced).slice(0, 1, 8, 2)),
      { w: "outer" },
    );
    check(
      layer({ w: [4, 5] }, 4, ({ w }) => {
        const order = constant({ dtype: "int64", dims: [4], data: BigInt64Array.from([2n, 0n, 3n, 1n]) });
        return (w as Traced).onnx("Gather", [order], { axis: 0 });
      }),
      { w: "outer" },
    );
    check(
      layer({ w: [4, 5] }, 6, ({ w }) => {
        const repeats = constant({ dtype: "int64", dims: [6], data: BigInt64Array.from([2n, 0n, 3n, 1n, -1n, 0n]) });
        return (w as Traced).onnx("Gather", [repeats], { axis: 0 });
      }),
    );
    check(
      layer({ w: [4, 3] }, 6, ({ w }) => {
        const pads = constant({ dtype: "int64", dims: [4], data: BigInt64Array.from([1n, 0n, 1n, 2n]) });
        return (w as Traced).onnx("Pad", [pads]);
      }),
      { w: "outer" },
    );
    check(
      layer({ w: [4, 6] }, 4, ({ w }) => {
        const [left, right] = build.node("Split", [(w as Traced).value], { axis: 1, num_outputs: 2 }, 2).outputs;
        return new Traced(left as Value).add(new Traced(right as Value));
      }),
      { w: "outer" },
    );
  });

  it("a convolution whose kernel is normalised, cut from a bigger one, and used as a matrix too", () => {
    const spec = (groups: number, weight: (w: Traced) => Traced) => (samples: number) => ({
      samples,
      inputs: { x: { shape: ["N" as const, 2 * groups, 4, 4] } },
      parameters: { w: [3 * groups, 2, 2, 2] },
      loss: (v: Values) =>
        perSampleSum(
          get(v, "x")
            .onnx("Conv", [weight(get(v, "w"))], { group: groups })
            .tanh(),
        ),
    });
    const norm = (w: Traced) => w.div(w.square().sum([1, 2, 3], { keepDims: true }).sqrt());
    check(spec(1, norm));
    check(spec(2, norm));
    check(spec(2, (w) => w.slice(3, 1, 2)));
    check(
      spec(1, (w) => w.slice(0, 0, 2)),
      { w: "convolution" },
    );
    check(
      (samples, positions) => ({
        samples,
        inputs: { x: { shape: ["N", 2, 4, 3] }, y: { shape: positions === 0 ? ["N", 8] : ["N", positions, 8] } },
        parameters: { w: [3, 2, 2, 2] },
        loss: (v) => {
          const matrix = get(v, "w").reshape([3, 8]).transpose([1, 0]);
          const convolved = get(v, "x").onnx("Conv", [get(v, "w")]);
          return perSampleSum(convolved.tanh()).add(perSampleSum(get(v, "y").matmul(matrix).tanh()));
        },
      }),
      { w: "sum" },
    );
  });
});

describe("embeddings", () => {
  const table =
    (ids: number[], shape: Spec["inputs"][string]["shape"], rows: number, size: number, axis = 0) =>
    (samples: number): Spec => ({
      samples,
      inputs: { i: { shape, ids } },
      parameters: { e: axis === 0 ? [rows, size] : [size, rows] },
      loss: (v) => {
        const rows = get(v, "e")
          .onnx("Gather", [get(v, "i")], { axis })
          .tanh();
        return perSampleSum(axis === 0 ? rows : rows.transpose([1, 0, 2]));
      },
    });

  it("repeated, negative and padding indices; ids of any rank; empty rows; other axes", () => {
    check(table([0, 1, 1, -1, 6], ["N", 5], 7, 3), { e: "rows" });
    check(table([0, 1, 1, -1, 6], ["N", 3, 2], 7, 3), { e: "rows" });
    check(table([2, 1], ["N"], 7, 3), { e: "rows" });
    check(table([2, 1], ["N", 0], 7, 3), { e: "rows" });
    check(table([2, -1, 2], ["N", 4], 3, 2, 1), { e: "rows" });
    check(table([0], ["N", 4], 1, 1), { e: "rows" });
  });

  it("samples along another axis, and folded with positions", () => {
    for (const shape of [[4, "N"], ["N*4"]] as const) {
      check((samples) => ({
        samples,
        inputs: {
          i: { shape: shape.length === 2 ? [4, "N"] : ["N", 4], axis: shape.length === 2 ? 1 : 0, ids: [0, 2, 2] },
        },
        parameters: { e: [4, 3] },
        loss: (v) => {
          const ids = shape.length === 2 ? get(v, "i") : get(v, "i").reshape(["N*4"]);
          const rows = get(v, "e").onnx("Gather", [ids], { axis: 0 }).tanh();
          return perSampleSum(shape.length === 2 ? rows.transpose([1, 0, 2]) : rows.reshape(["N", 4, 3]));
        },
      }));
    }
  });

  it("a table that is cut, padded, scaled, projected, used twice", () => {
    const use =
      (weight: (e: Traced) => Traced, ids: number[]) =>
      (samples: number): Spec => ({
        samples,
        inputs: { i: { shape: ["N", 5], ids } },
        parameters: { e: [7, 3] },
        loss: (v) =>
          perSampleSum(
            weight(get(v, "e"))
              .onnx("Gather", [get(v, "i")], { axis: 0 })
              .tanh(),
          ),
      });
    check(
      use((e) => e.slice(0, 2, 5), [0, 1, 2, 2]),
      { e: "rows" },
    );
    check(
      use((e) => e.slice(0, 0, 4).mul(3).neg(), [0, 3, 3]),
      { e: "rows" },
    );
    check(
      use(
        (e) =>
          e.matmul(
            constant([
              [1, 2],
              [0, 1],
              [3, 1],
            ]),
          ),
        [6, 1, 1],
      ),
      { e: "rows" },
    );
    check(
      use((e) => concat([e, constant([[0, 0, 0]])], 0), [6, 7, 7, 0]),
      { e: "rows" },
    );
    check(use((e) => e.slice(0, 0, 7, 2), [0, 3, 3]));
    check(
      (samples) => ({
        samples,
        inputs: { i: { shape: ["N", 3], ids: [1, 0, 1] }, j: { shape: ["N", 2], ids: [4, 1] } },
        parameters: { e: [5, 3] },
        loss: (v) => {
          const rows = (name: string) => get(v, "e").onnx("Gather", [get(v, name)], { axis: 0 });
          return perSampleSum(
            concat([rows("i"), rows("j")], 1)
              .sum([1])
              .tanh(),
          );
        },
      }),
      { e: "rows" },
    );
  });

  it("tied with the output head: cross terms", () => {
    const tied =
      (turn: boolean, cut: number) =>
      (samples: number, positions: number): Spec => ({
        samples,
        inputs: { i: { shape: ["N", positions + 1], ids: [1, 0, 1, 4] } },
        parameters: { e: turn ? [3, 5] : [5, 3] },
        loss: (v) => {
          const e = get(v, "e");
          const hidden = e.onnx("Gather", [get(v, "i")], { axis: turn ? 1 : 0 });
          const rows = turn ? hidden.transpose([1, 2, 0]) : hidden;
          const head = (turn ? e : e.transpose([1, 0])).slice(1, 0, cut);
          return perSampleSum(rows.tanh().matmul(head).tanh());
        },
      });
    check(tied(false, 5), { e: "sum" });
    check(tied(true, 5), { e: "sum" });
    check(tied(false, 4), { e: "sum" });
    check((samples) => ({
      samples,
      inputs: { i: { shape: ["N", 4], ids: [1, 0, 1, 4] } },
      parameters: { e: [5, 3] },
      loss: (v) =>
        perSampleSum(
          get(v, "e")
            .onnx("Gather", [get(v, "i")], { axis: 0 })
            .mul(get(v, "e").exp().sum([0])),
        ),
    }));
  });
});

describe("what is not built", () => {
  /** The shapes of all values of the cheapest programs for norms and clipped sums. */
  function shapes(spec: Spec): string[] {
    const test = makeCase(spec);
    const axes = new SampleAxes(new Map([...test.inputs].map(([value, { axis }]) => [value, axis])));
    const gradients = perSampleGradients(test.losses, [...test.parameters.keys()], axes);
    const outputs = [...gradients].flatMap(([parameter, gradient]) => {
      const { norm, sum } = choose(parameter.name, gradient, allRequirements([{ norm: 1, sum: 1 }])).methods;
      return [norm?.emit(build), sum?.emit(build, test.losses)].flatMap((value) => value ?? []);
    });
    return nodesBefore(simplify(outputs)).flatMap((node) => node.outputs.map(({ shape }) => showShape(shape)));
  }
  const withBatch = (dims: Shape) => showShape([{ perSample: 1 }, ...dims]);

  it("LoRA: no tensor per sample of the size of the weight", () => {
    for (const positions of [0, 4]) {
      const lora = layer({ w: [50, 40], a: [2, 50], b: [40, 2] }, 50, (v) =>
        get(v, "w").add(get(v, "b").matmul(get(v, "a")).transpose([1, 0])),
      );
      const found = shapes(lora(3, positions));
      expect(found).not.toContain(withBatch([50, 40]));
      expect(found).not.toContain(withBatch([40, 50]));
    }
  });

  it("embeddings, tied or not: no tensor per sample of the size of the table", () => {
    for (const tied of [false, true]) {
      const found = shapes({
        samples: 2,
        inputs: { i: { shape: ["N", 6], ids: [1, 0, 1, 4] } },
        parameters: { e: [100, 8] },
        loss: (v) => {
          const rows = get(v, "e")
            .onnx("Gather", [get(v, "i")], { axis: 0 })
            .tanh();
          return perSampleSum(tied ? rows.matmul(get(v, "e").transpose([1, 0])).tanh() : rows);
        },
      });
      expect(found.length).toBeGreaterThan(5);
      expect(found).not.toContain(withBatch([100, 8]));
      expect(found).not.toContain(withBatch([8, 100]));
      expect(found).not.toContain(withBatch([800]));
    }
  });
});

describe("random chains of linear ops between a parameter and its use", () => {
  type Op = (w: Traced, k: number) => Traced;
  const matrix = (rows: number, columns: number) =>
    constant(
      Array.from({ length: rows }, (_, r) => Array.from({ length: columns }, (_, c) => Math.sin(3 * r + c + 1))),
    );
  const size = (w: Traced, axis: number) => w.value.shape[axis] as number;
  const ops: Op[] = [
    (w) => w.transpose([1, 0]),
    (w, k) => w.slice(k % 2, 0, Math.max(1, size(w, k % 2) - 1)),
    (w, k) => concat([w, w.mul(2)], k % 2),
    (w) => w.neg(),
    (w) => w.mul(matrix(1, size(w, 1))),
    (w) => w.div(matrix(size(w, 0), 1)),
    (w, k) => w.matmul(matrix(size(w, 1), 1 + (k % 3))),
    (w, k) => matrix(1 + (k % 3), size(w, 0)).matmul(w),
    (w) => w.add(w.tanh()),
    (w) =>
      w
        .reshape([size(w, 0) * size(w, 1), 1])
        .mul(0.5)
        .reshape([size(w, 0), size(w, 1)]),
    (w) => w.sub(w.sum([0], { keepDims: true })),
    (w) => w.reshape([size(w, 1), size(w, 0)]),
    (w) => w.mul(w.sum([1], { keepDims: true })),
  ];
  it("agree with the loop", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(ops.length - 1), fc.nat(5)), { maxLength: 5 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 4 }),
        fc.constantFrom(0, 1, 3),
        (chain, rows, columns, samples) => {
          kinds({
            samples,
            inputs: { x: { shape: ["N", 2, 12] } },
            parameters: { w: [rows, columns] },
            loss: (v) => {
              const w = chain.reduce((value, [which, k]) => (ops[which] as Op)(value, k), get(v, "w"));
              const [n, x] = [size(w, 0), get(v, "x")];
              const wide =
                n <= 12 ? x.slice(2, 0, n) : concat(Array<Traced>(Math.ceil(n / 12)).fill(x), 2).slice(2, 0, n);
              return perSampleSum(wide.matmul(w.tanh().add(w)).tanh());
            },
          });
        },
      ),
      { numRuns: 120 },
    );
  });
});
