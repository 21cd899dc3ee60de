import { describe, expect, it } from "vitest";
import type { DimSpec } from "../../src/graph/dim.js";
import type { Model } from "../../src/graph/model.js";
import * as nn from "../../src/nn/index.js";
import { losses } from "../../src/nn/losses.js";
import { perSample } from "../../src/program/per-sample.js";
import { sizeOf, type Tensor } from "../../src/tensor/tensor.js";
import { want } from "../../src/wants/want.js";
import { expectClose } from "../support/per-sample.js";
import { expectAgreement, floats, integers, loop } from "./agreement.js";
import { forward, wave } from "./support.js";

const counting = (samples: number, first = 0) =>
  integers(
    [samples],
    Array.from({ length: samples }, (_, n) => first + n),
  );

/** What ONNX Runtime makes of ones of shape `[seeds, ...axes]`. */
async function masks(module: nn.Module, axes: readonly number[], seed: Tensor<"int64">): Promise<Float32Array> {
  // A parameter, since a program has at least one.
  const model = nn.trace({ x: ["N", ...axes] }, { module, one: nn.ones([]) }, ({ x }, parts) =>
    parts.module(x).mul(parts.one),
  );
  const program = await perSample(model, { loss: losses.output(), want: { outputs: want.outputs() } });
  const dims = [seed.data.length, ...axes];
  const x = { dtype: "float32" as const, dims, data: new Float32Array(sizeOf(dims)).fill(1) };
  const { outputs } = await program.run({ x, seed });
  await program.release();
  return outputs.output?.data as Float32Array;
}

/** By how many standard deviations `count` of `trials` differs from what the probability makes expect. */
function deviations(count: number, trials: number, probability: number): number {
  return (count - trials * probability) / Math.sqrt(trials * probability * (1 - probability));
}

const dropped = (y: Float32Array) => Uint8Array.from(y, (v) => Number(v === 0));

/** The mean square of deviations over all pairs of rows (or of columns): 1 for independent masks. */
function pairs(
  y: Uint8Array,
  lists: number,
  length: number,
  at: (list: number, k: number) => number,
  p: number,
): number {
  let [sum, count] = [0, 0];
  for (let a = 0; a < lists; a++) {
    for (let b = 0; b < a; b++) {
      let both = 0;
      for (let k = 0; k < length; k++) both += (y[at(a, k)] as number) & (y[at(b, k)] as number);
      sum += deviations(both, length, p * p) ** 2;
      count++;
    }
  }
  return sum / count;
}

describe("dropout's masks", () => {
  const [samples, positions] = [200, 1500];

  it.each([0.1, 0.5, 0.9])("drop elements with probability %d, independently", async (p) => {
    const y = await masks(nn.dropout(p), [positions], counting(samples));
    const zeros = dropped(y);
    const kept = new Set(y.filter((v) => v !== 0));
    expect(kept.size).toBe(1);
    expect((1 - p) * Number([...kept][0])).toBeCloseTo(1, 3);
    const total = zeros.reduce((sum, each) => sum + each, 0);
    expect(Math.abs(deviations(total, zeros.length, p))).toBeLessThan(4);
    // Each sample's and each position's own count: a mean square of 1, within 5 standard deviations of it.
    const squares = (lists: number, length: number, at: (list: number, k: number) => number) => {
      let sum = 0;
      for (let a = 0; a < lists; a++) {
        let count = 0;
        for (let k = 0; k < length; k++) count += zeros[at(a, k)] as number;
        sum += deviations(count, length, p) ** 2;
      }
      return (sum / lists - 1) / Math.sqrt(2 / lists);
    };
    expect(Math.abs(squares(samples, positions, (n, t) => n * positions + t))).toBeLessThan(5);
    expect(Math.abs(squares(positions, samples, (t, n) => n * positions + t))).toBeLessThan(5);
    // Pairs of samples, and of positions.
    expect(pairs(zeros, samples, positions, (n, t) => n * positions + t, p)).toBeCloseTo(1, 0.8);
    expect(pairs(zeros, 400, samples, (t, n) => n * positions + t, p)).toBeCloseTo(1, 0.8);
  });

  it("are a function of the sample's own seed, whatever is beside it", async () => {
    const together = await masks(nn.dropout(0.3), [2, 3, 211], counting(5, 7));
    for (let n = 0; n < 5; n++) {
      const alone = await masks(nn.dropout(0.3), [2, 3, 211], counting(1, 7 + n));
      expect([...together.subarray(n * 1266, (n + 1) * 1266)]).toEqual([...alone]);
    }
    const extreme = integers([4], [-1, 2 ** 32 - 1, 2 ** 32 + 5, 5]);
    const y = await masks(nn.dropout(0.3), [50], extreme);
    expect([...y.subarray(0, 50)]).toEqual([...y.subarray(50, 100)]);
    expect([...y.subarray(100, 150)]).toEqual([...y.subarray(150)]);
    expect([...y.subarray(0, 50)]).not.toEqual([...y.subarray(150)]);
  });

  it("differ between layers, and between uses of one layer", async () => {
    const layer = nn.dropout(0.5);
    const once = dropped(await masks(layer, [2000], counting(20)));
    const twice = dropped(await masks(nn.sequential(layer, layer), [2000], counting(20)));
    const either = twice.reduce((sum, each) => sum + each, 0);
    expect(Math.abs(deviations(either, twice.length, 0.75))).toBeLessThan(4);
    expect(once.every((each, i) => each <= (twice[i] as number))).toBe(true);
  });

  it.each([[[7]], [[1024]], [[1025]], [[3, 700]], [[]]])(
    "are the same in float64 and on ONNX Runtime: %j",
    async (axes) => {
      const y = await masks(nn.dropout(0.4), axes, counting(3));
      const model = nn.model(nn.dropout(0.4), { input: { x: ["N", ...axes] } });
      const ones = { dims: [3, ...axes], data: new Float64Array(3 * sizeOf(axes)).fill(1) };
      const { dims, data } = forward(model, { x: ones, seed: [0, 1, 2] });
      expect(dims).toEqual([3, ...axes]);
      expect(Float32Array.from(data)).toEqual(y);
    },
  );

  it("do not change between versions", async () => {
    const y = await masks(nn.dropout(0.5), [40], counting(2, 1));
    expect([...dropped(y)].join("")).toMatchInlineSnapshot(
      `"11010010100101010010111100011010000010011010010000101111100100111111110010100000"`,
    );
  });
});

describe("dropout", () => {
  it("is the identity with p = 0, and takes no seed", () => {
    const model = nn.model(nn.sequential(nn.linear(3, 4), nn.dropout(0), nn.linear(4, 2)));
    expect(model.graph.inputs.map(({ name }) => name)).toEqual(["x"]);
    const trained = nn.model(nn.sequential(nn.linear(3, 4), nn.dropout(), nn.linear(4, 2)));
    expect(Object.keys(trained.parameters)).toEqual(Object.keys(model.parameters));
    expect(trained.graph.inputs.map(({ name, dtype }) => [name, dtype])).toEqual([
      ["x", "float32"],
      ["seed", "int64"],
    ]);
    expect(trained.sampleAxes).toEqual({ x: 0, seed: 0 });
  });

  it("needs its seed, one per sample", () => {
    const layer = nn.dropout(0.5);
    const wire = (seed: nn.InputSpec) => () => nn.model(layer, { input: { x: ["N", 3], seed } });
    expect(wire(["N", 2])).toThrow(/its seed is one number per sample, \[N\], not \[N, 2\]/);
    expect(wire([])).toThrow(/one number per sample/);
    expect(wire({ shape: ["N"], dtype: "float32" })).toThrow(/"seed" is int64, but it was given float32/);
    const bare = nn.module((x) => layer.forward(x, {}));
    expect(() => nn.model(bare, { input: { x: ["N", 3] } })).toThrow(/needs the input "seed"/);
  });

  it("leaves alone what is empty", () => {
    const model = nn.model(nn.dropout(0.5), { input: { x: ["N", 0, 4] } });
    expect(model.graph.inputs.map(({ name }) => name)).toEqual(["x"]);
    expect(model.graph.outputs[0]?.value).toBe(model.graph.inputs[0]);
  });

  it("drops everything with p = 1", () => {
    const model = nn.model(nn.dropout(1), { input: { x: ["N", 3] } });
    expect(forward(model, { x: wave([2, 3]), seed: [1, 2] }).data.every((v) => v === 0)).toBe(true);
  });

  const network = (p: number): Model =>
    nn.model(
      nn.sequential(
        nn.dropout(p),
        nn.transformerEncoderLayer(4, 2, { feedForward: 6, dropout: p, normFirst: true }),
        nn.linear(4, 2),
      ),
      { input: { x: ["N", 3, 4] } },
    );

  it("has gradients that the loop replays sample by sample", async () => {
    const data = { x: floats([4, 3, 4]), seed: integers([4], [3, 1, 4, 1]) };
    await expectAgreement(network(0.4), data);
    const other = loop(network(0.4), { ...data, seed: integers([4], [9, 1, 4, 1]) });
    loop(network(0.4), data).forEach((gradients, n) => {
      const [own, changed] = [gradients.get("2.weight"), other[n]?.get("2.weight")].map((each) => [...(each ?? [])]);
      if (n === 0) expect(own).not.toEqual(changed);
      else expect(own).toEqual(changed);
    });
  });

  it("repeats a run, at every batch size", async () => {
    const program = await perSample(network(0.4), { loss: losses.output(), want: { gradients: want.gradients() } });
    const data = { x: floats([4, 3, 4]), seed: counting(4) };
    const [first, again] = [await program.run(data), await program.run(data)];
    expect(again).toEqual(first);
    for (const [name, { dims, data: all }] of Object.entries(first.gradients)) {
      const size = sizeOf(dims.slice(1));
      const x = floats([4, 3, 4]).data.subarray(24, 36);
      const alone = await program.run({ x: { dtype: "float32", dims: [1, 3, 4], data: x }, seed: [2] });
      expectClose(alone.gradients[name]?.data ?? [], all.subarray(2 * size, 3 * size), 1e-5, name, 1e-3);
    }
    expect((await program.run({ x: floats([0, 3, 4]), seed: counting(0) })).gradients["2.bias"]?.dims).toEqual([0, 2]);
    await program.release();
  });

  it("finds the samples' axis, and wants one", () => {
    const middle = nn.model(nn.dropout(0.5), { input: { x: [3, "N", 2] } });
    const y = forward(middle, { x: { dims: [3, 2, 2], data: new Float64Array(12).fill(1) }, seed: [8, 9] });
    const front = forward(nn.model(nn.dropout(0.5), { input: { x: ["N", 3, 2] } }), {
      x: { dims: [2, 3, 2], data: new Float64Array(12).fill(1) },
      seed: [8, 9],
    });
    const moved = Array.from({ length: 12 }, (_, i) => {
      const [t, n, c] = [Math.floor(i / 4), Math.floor(i / 2) % 2, i % 2];
      return front.data[n * 6 + t * 2 + c];
    });
    expect([...y.data]).toEqual(moved);
    const wire = (shape: readonly DimSpec[]) => () => nn.model(nn.dropout(0.5), { input: { x: shape } });
    for (const shape of [[3, 2], ["N*3", 2], []] as const) {
      expect(wire(shape)).toThrowError(expect.objectContaining({ code: "SHAPE_MISMATCH" }));
    }
    for (const p of [-0.1, 1.5, Number.NaN]) {
      expect(() => nn.dropout(p)).toThrowError(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
    }
  });
});
