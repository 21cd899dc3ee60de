/** Normalisations of inputs that lie far from 0: as near to the float64 loop as float32 inputs allow. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Oracle } from "../../src/check/oracle.js";
import { objectiveOf } from "../../src/compile/objective.js";
import {
  constant,
  input,
  losses,
  type Model,
  parameter,
  perSample,
  type Tensor,
  type Traced,
  want,
} from "../../src/index.js";
import { build } from "../../src/ops/registry.js";
import { Traced as TracedValue } from "../../src/trace/traced.js";

const [channels, length] = [4, 12];
const vector = (of: number, at: (k: number) => number) => constant(Array.from({ length: of }, (_, k) => at(k)));
const gain = (of: number) => vector(of, (k) => 1 + k / 10);
const shift = (of: number) => vector(of, (k) => k / 7 - 0.2);

const contrib = (op: string, inputs: readonly Traced[], attributes: Record<string, number>): Traced => {
  const node = build.node(
    op,
    inputs.map(({ value }) => value),
    attributes,
    1,
    { domain: "com.microsoft" },
  );
  return new TracedValue(node.outputs[0] as Traced["value"]);
};

const normalisations: Readonly<Record<string, (x: Traced) => Traced>> = {
  LayerNormalization: (x) => x.onnx("LayerNormalization", [gain(length), shift(length)], { axis: -1 }),
  InstanceNormalization: (x) => x.onnx("InstanceNormalization", [gain(channels), shift(channels)]),
  GroupNormalization: (x) => x.onnx("GroupNormalization", [gain(channels), shift(channels)], { num_groups: 2 }),
  "com.microsoft.GroupNorm": (x) =>
    contrib("GroupNorm", [x, gain(length), shift(length)], { groups: 3, channels_last: 1, activation: 0 }),
  MeanVarianceNormalization: (x) => x.onnx("MeanVarianceNormalization", [], { axes: [2] }),
  RMSNormalization: (x) => x.onnx("RMSNormalization", [gain(length)], { axis: -1 }),
  LpNormalization: (x) => x.onnx("LpNormalization", [], { axis: 2, p: 2 }),
  "com.microsoft.SkipLayerNormalization": (x) =>
    contrib("SkipLayerNormalization", [x, x.mul(0), gain(length), shift(length)], { epsilon: 1e-5 }),
};

const offset = fc.constantFrom(0, 1, -30, 100, 1000, -3000, 10_000);
const elements = fc.array(fc.double({ min: -2, max: 2, noNaN: true }), { minLength: 96, maxLength: 96 });

describe("far from 0", () => {
  it.each(Object.keys(normalisations))("%s", async (name) => {
    const property = fc.asyncProperty(offset, elements, async (far, numbers) => {
      const spread = numbers.map((each, k) => each + 2 * Math.sin(7 * k));
      const [x, w] = [input("x", ["N", channels, length]), parameter("w", [channels, length])];
      const weights = Array.from({ length: channels }, (_, c) =>
        Array.from({ length }, (_, t) => Math.cos(5 * c + 3 * t)),
      );
      const y = (normalisations[name] as (x: Traced) => Traced)(x.add(w)).mul(constant(weights)).sum([1, 2]);
      const zeros: Tensor<"float32"> = {
        dtype: "float32",
        dims: [channels, length],
        data: new Float32Array(channels * length),
      };
      const model: Model = {
        graph: { inputs: [x.value], parameters: [w.value], outputs: [{ name: "y", value: y.value }] },
        parameters: { w: zeros },
        sampleAxes: { x: 0 },
        leftOut: {},
        notes: [],
      };
      const data = {
        x: {
          dtype: "float32" as const,
          dims: [2, channels, length],
          data: Float32Array.from(spread, (each) => each + far),
        },
      };
      const loss = losses.output();
      const program = await perSample(model, { loss, want: { gradients: want.gradients(), losses: want.losses() } });
      const found = await program.run(data);
      await program.release();
      const oracle = new Oracle(objectiveOf(model, { loss }), data);
      // What rounding the mean to float32 may do to what is left of the elements.
      const tolerance = 2e-5 + 2e-6 * Math.abs(far);
      for (const n of [0, 1]) {
        const { loss: expected, gradients } = oracle.sample(n);
        const own = found.gradients.w?.data.subarray(n * zeros.data.length) ?? [];
        const right = gradients.get("w") ?? new Float64Array();
        const scale = Math.max(...right.map(Math.abs));
        const worst = Math.max(...Array.from(right, (each, k) => Math.abs(each - (own[k] as number)))) / scale;
        expect(worst, `gradient of sample ${n} around ${far}`).toBeLessThan(tolerance);
        const missed = Math.abs((found.losses.data[n] as number) - expected) / (channels * length);
        expect(missed, `result of sample ${n} around ${far}`).toBeLessThan(tolerance);
      }
    });
    await fc.assert(property, { numRuns: 12 });
  });
});

it("additions to the same element are all there, in the forward pass and back", async () => {
  const [samples, points] = [64, 512];
  const [x, w] = [input("x", ["N", points]), parameter("w", [8, points])];
  const places = constant({
    dtype: "int64",
    dims: [points, 1],
    data: BigInt64Array.from({ length: points }, (_, k) => BigInt(k % 3)),
  });
  // A table that all samples share: every row is added to one of three.
  const rows = w.transpose([1, 0]).onnx("Identity", []);
  const table = constant({ dtype: "float32", dims: [4, 8], data: new Float32Array(32) });
  const added = table.onnx("ScatterND", [places, rows], { reduction: "add" });
  const y = added.sum().mul(x.mean([1]));
  const model: Model = {
    graph: { inputs: [x.value], parameters: [w.value], outputs: [{ name: "y", value: y.value }] },
    parameters: { w: { dtype: "float32", dims: [8, points], data: new Float32Array(8 * points).fill(1) } },
    sampleAxes: { x: 0 },
    leftOut: {},
    notes: [],
  };
  const program = await perSample(model, { loss: losses.output(), want: { losses: want.losses() }, threads: 4 });
  const data = {
    x: { dtype: "float32" as const, dims: [samples, points], data: new Float32Array(samples * points).fill(1) },
  };
  for (let run = 0; run < 20; run++) {
    const found = await program.run(data);
    expect(new Set(found.losses.data)).toEqual(new Set([8 * points]));
  }
  await program.release();
});
