/** Every way of every kind in ONNX Runtime (float32) against the float64 reference. */
import { describe, it } from "vitest";
import { SampleAxes } from "../../src/analysis/sample-axes.js";
import { perSampleGradients } from "../../src/autodiff/per-sample.js";
import type { Array64 } from "../../src/float64/array64.js";
import type { Value } from "../../src/graph/value.js";
import { build } from "../../src/ops/registry.js";
import { simplify } from "../../src/optimise/simplify.js";
import { concat, type Traced } from "../../src/trace/index.js";
import { checkComputed } from "../support/graph-checks.js";
import { waysOf } from "../support/per-sample.js";
import { makeCase, type Spec } from "../support/spec.js";

type Values = Record<string, Traced>;
const get = (v: Values, name: string) => v[name] as Traced;
const perSampleSum = (y: Traced) => y.square().sum(y.value.shape.map((_, axis) => axis).slice(1));
const pick = (table: Traced, ids: Traced) => table.onnx("Gather", [ids], { axis: 0 });

const specs: Record<string, Omit<Spec, "samples">> = {
  embedding: {
    inputs: { i: { shape: ["N", 6], ids: [1, 0, 1, -2] } },
    parameters: { e: [5, 3] },
    loss: (v) => perSampleSum(pick(get(v, "e"), get(v, "i")).tanh()),
  },
  "empty rows": {
    inputs: { i: { shape: ["N", 0], ids: [1] }, x: { shape: ["N", 3] } },
    parameters: { e: [5, 3] },
    loss: (v) => perSampleSum(pick(get(v, "e"), get(v, "i")).sum([1]).add(get(v, "x")).tanh()),
  },
  "a cut table, picked from twice": {
    inputs: { i: { shape: ["N", 4], ids: [1, 0, 1] }, j: { shape: ["N", 2], ids: [2, 1] } },
    parameters: { e: [6, 3] },
    loss: (v) => {
      const rows = [pick(get(v, "e").slice(0, 1, 4), get(v, "i")), pick(get(v, "e"), get(v, "j"))];
      return perSampleSum(concat(rows, 1).tanh());
    },
  },
  "a tied head": {
    inputs: { i: { shape: ["N", 5], ids: [1, 0, 1, 4] } },
    parameters: { e: [5, 3] },
    loss: (v) => {
      const e = get(v, "e");
      return perSampleSum(
        pick(e, get(v, "i"))
          .tanh()
          .matmul(e.transpose([1, 0]))
          .tanh(),
      );
    },
  },
  "a table that is also normalised": {
    inputs: { i: { shape: ["N", 5], ids: [1, 0, 1, 4] } },
    parameters: { e: [5, 3] },
    loss: (v) => perSampleSum(pick(get(v, "e"), get(v, "i")).mul(get(v, "e").exp().sum([0]))),
  },
  "LoRA and weight norm": {
    inputs: { x: { shape: ["N", 3, 5] } },
    parameters: { v: [5, 4], g: [4], a: [5, 2], b: [2, 4] },
    loss: (p) => {
      const v = get(p, "v");
      const normed = v.mul(get(p, "g").div(v.square().sum([0], { keepDims: true }).sqrt()));
      return perSampleSum(
        get(p, "x")
          .matmul(normed.add(get(p, "a").matmul(get(p, "b"))))
          .tanh(),
      );
    },
  },
  "grouped kernels, at one position and at several": {
    inputs: { x: { shape: ["N", 4, 3] } },
    parameters: { w: [6, 2, 3], u: [6, 2, 2] },
    loss: (v) => {
      const at = (name: string) =>
        get(v, "x")
          .onnx("Conv", [get(v, name)], { group: 2 })
          .tanh();
      return perSampleSum(at("w")).add(perSampleSum(at("u")));
    },
  },
  "a weight of many positions, used twice": {
    inputs: { x: { shape: ["N", 19, 3] } },
    parameters: { w: [3, 3], b: [3] },
    loss: (v) => perSampleSum(get(v, "x").matmul(get(v, "w")).tanh().matmul(get(v, "w")).add(get(v, "b")).tanh()),
  },
  "a kernel that is also a matrix": {
    inputs: { x: { shape: ["N", 2, 4, 3] }, y: { shape: ["N", 8] } },
    parameters: { w: [3, 2, 2, 2] },
    loss: (v) => {
      const matrix = get(v, "w").reshape([3, 8]).transpose([1, 0]);
      const convolved = get(v, "x").onnx("Conv", [get(v, "w")]);
      return perSampleSum(convolved.tanh()).add(perSampleSum(get(v, "y").matmul(matrix).tanh()));
    },
  },
};

/**
 * ONNX Runtime (1.30) fuses the transpositions of contractions by group into products that fail, or end the
 * process, at a batch of none. `Program.run` gives it no empty batch.
 */
const failsOnNone = (spec: string, way: string) =>
  (spec.startsWith("grouped") && /contract|project factors/.test(way)) ||
  (spec === "a kernel that is also a matrix" && way === "dot by term by term");

describe("in ONNX Runtime", () => {
  for (const [name, spec] of Object.entries(specs)) {
    it.each([0, 1, 3])(`${name}, %i samples`, async (samples) => {
      const test = makeCase({ ...spec, samples });
      const axes = new SampleAxes(new Map([...test.inputs].map(([value, { axis }]) => [value, axis])));
      const gradients = perSampleGradients(test.losses, [...test.parameters.keys()], axes);
      const weights = build.op("Abs", [test.losses]);
      const outputs = [...gradients.values()]
        .flatMap((gradient) => waysOf(gradient, weights))
        .filter((way) => samples > 0 || !failsOnNone(name, way.name))
        .map(({ value }) => value);
      const feeds = new Map<Value, Array64>(test.parameters);
      for (const [value, { array }] of test.inputs) feeds.set(value, array);
      await checkComputed([{ outputs: simplify(outputs), feeds, samples, what: name }]);
    });
  }
});
