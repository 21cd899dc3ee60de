import { describe, expect, it } from "vitest";
import * as nn from "../../src/nn/index.js";
import { losses } from "../../src/nn/losses.js";
import { perSample } from "../../src/program/per-sample.js";
import { random } from "../../src/tensor/random.js";
import { constant } from "../../src/trace/index.js";
import { want } from "../../src/wants/want.js";
import { draw, expectAgreement, floats, integers, loop, shaken } from "./agreement.js";
import { at, build64, difference, forward, wave } from "./support.js";

const ids = (...axes: number[]) => ({ shape: ["N" as const, ...axes], dtype: "int64" as const });

describe("embedding", () => {
  it.each([[[2]], [[2, 3]], [[2, 3, 2]], [[0, 3]]])("looks up rows for indices %j", (dims) => {
    const model = nn.model(nn.embedding(5, 4), { input: { x: ids(...dims.slice(1)) } });
    const [weight, x] = [wave([5, 4], 1), { dims, data: wave(dims).data.map((_, i) => (i * 3) % 5) }];
    const expected = build64([...dims, 4], (...index) =>
      at(weight, at(x, ...index.slice(0, -1)), index.at(-1) as number),
    );
    expect(difference(forward(model, { x, weight }), expected)).toBe(0);
  });

  it.each([2, -3])("reads padding (%d) as zeros, and gives it no gradient", async (paddingIndex) => {
    const layer = nn.embedding(5, 3, { paddingIndex });
    const { weight } = nn.initialise(layer, 4);
    const row = (n: number) => [...(weight?.data.subarray(3 * n, 3 * n + 3) ?? [])];
    expect(row(2)).toEqual([0, 0, 0]);
    for (const n of [0, 1, 3, 4]) expect(row(n)).not.toContain(0);
    const model = shaken(nn.model(nn.sequential(layer, nn.linear(3, 2)), { input: { x: ids(4) } }));
    const x = integers([3, 4], [1, 2, 2, 0, 2, 2, 2, 2, 4, 1, 4, 2]);
    expect(
      forward(model, { x: { dims: [3, 4], data: Float64Array.from(x.data, Number) } }).data.subarray(2, 4),
    ).toEqual(Float64Array.from(model.parameters["1.bias"]?.data ?? []));
    await expectAgreement(model, { x });
    for (const gradients of loop(model, { x })) {
      expect([...(gradients.get("0.weight") ?? [])].slice(6, 9)).toEqual([0, 0, 0]);
    }
  });

  it.each([[[4]], [[4, 5]], [[3, 2, 3]]])("has exact gradients with repeated indices %j", async (dims) => {
    const model = nn.model(nn.sequential(nn.embedding(6, 3), nn.linear(3, 2)), { input: { x: ids(...dims.slice(1)) } });
    await expectAgreement(model, { x: draw(random(1), dims, 6) });
  });

  it("starts normal, of the deviation told", () => {
    const deviationOf = (layer: nn.Module) => {
      const data = nn.initialise(layer, 3).weight?.data ?? new Float32Array();
      return Math.sqrt(data.reduce((sum, x) => sum + x * x, 0) / data.length);
    };
    expect(deviationOf(nn.embedding(100, 100))).toBeCloseTo(1, 1);
    expect(deviationOf(nn.embedding(100, 100, { deviation: 0.02 }))).toBeCloseTo(0.02, 3);
    expect(deviationOf(nn.positional(100, 100, { deviation: 0.5 }))).toBeCloseTo(0.5, 1);
  });

  it("refuses what is no index, and options that do not fit", () => {
    const wire = (dtype: "float32" | "bool") => () =>
      nn.model(nn.embedding(5, 3), { input: { x: { shape: ["N"], dtype } } });
    for (const dtype of ["float32", "bool"] as const) {
      expect(wire(dtype)).toThrowError(expect.objectContaining({ code: "DTYPE_MISMATCH" }));
    }
    for (const wrong of [
      () => nn.embedding(5, 3, { paddingIndex: 5 }),
      () => nn.embedding(5, 3, { paddingIndex: -6 }),
      () => nn.embedding(5, 3, { paddingIndex: 0.5 }),
      () => nn.embedding(5, 3, { deviation: -1 }),
      () => nn.embedding(-1, 3),
      () => nn.positional(3, 2.5),
      () => nn.positional(3, 2, { deviation: Number.NaN }),
    ]) {
      expect(wrong).toThrowError(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
    }
  });
});

describe("positional", () => {
  it.each([[[2, 5, 3]], [[2, 4, 3]], [[2, 2, 4, 3]], [[0, 5, 3]], [[2, 0, 3]]])(
    "adds row t to position t of %j",
    (dims) => {
      const model = nn.model(nn.positional(5, 3), { input: { x: ["N", ...dims.slice(1)] } });
      const [x, weight] = [wave(dims), wave([5, 3], 1)];
      const expected = build64(dims, (...index) => at(x, ...index) + at(weight, ...index.slice(-2)));
      expect(difference(forward(model, { x, weight }), expected)).toBe(0);
    },
  );

  it.each([5, 3])("has exact gradients at %d positions", async (length) => {
    const model = nn.model(nn.sequential(nn.linear(2, 3), nn.positional(5, 3), nn.tanh()), {
      input: { x: ["N", length, 2] },
    });
    await expectAgreement(model, { x: floats([3, length, 2]) });
  });

  it("refuses more positions than it has, and no positions", () => {
    for (const shape of [
      ["N", 6, 3],
      ["N", 3],
      [5, "N", 3],
      ["N", 5, 4],
    ] as const) {
      const wire = () => nn.model(nn.positional(5, 3), { input: { x: shape } });
      if (shape[1] === "N") expect(wire).toThrow(/positions/);
      expect(wire).toThrowError(expect.objectContaining({ code: "SHAPE_MISMATCH" }));
    }
  });
});

describe("tied", () => {
  const language = (bias: boolean) => {
    const words = nn.embedding(7, 4);
    return nn.sequential(words, nn.linear(4, 4), nn.tanh(), nn.tied(words, { bias }));
  };

  it("is one parameter, whose gradient is that of both uses", async () => {
    const model = nn.model(language(true), { input: { x: ids(5) } });
    expect(Object.keys(model.parameters)).toEqual(["0.weight", "1.weight", "1.bias", "3.bias"]);
    const x = draw(random(2), [4, 5], 7);
    const target = draw(random(3), [4, 5], 7);
    await expectAgreement(model, { x, target }, { loss: losses.crossEntropy() });
    // Cross terms count: the squared norm is not the sum of the two uses' squared norms.
    const untied = nn.trace(
      { x: ids(5) },
      { up: nn.embedding(7, 4), layer: nn.linear(4, 4), down: nn.linear(4, 7) },
      (inputs, { up, layer, down }) => down(layer(up(inputs.x)).tanh()),
    );
    const [e, w, b] = ["0.weight", "1.weight", "1.bias"].map((name) => model.parameters[name]);
    if (!e || !w || !b) throw new Error("a parameter is missing");
    const options = { loss: losses.crossEntropy(), want: { norms: want.norms() } };
    const [one, two] = [await perSample(model, options), await perSample(untied, options)];
    const parameters = {
      "up.weight": e,
      "layer.weight": w,
      "layer.bias": b,
      "down.weight": e,
      "down.bias": model.parameters["3.bias"] ?? b,
    };
    const tied = (await one.run({ x, target })).norms.parameters["0.weight"]?.data ?? [];
    const apart = (await two.run({ x, target }, { parameters })).norms.parameters;
    await Promise.all([one.release(), two.release()]);
    const bound = Array.from(tied, (_, n) =>
      Math.hypot(apart["up.weight"]?.data[n] ?? 0, apart["down.weight"]?.data[n] ?? 0),
    );
    expect(bound.some((each, n) => Math.abs(each - (tied[n] ?? 0)) > 1e-3 * each)).toBe(true);
  });

  it("is the transposed map of a linear layer", async () => {
    const encoder = nn.linear(4, 3);
    const model = shaken(nn.model(nn.sequential(encoder, nn.tanh(), nn.tied(encoder, { bias: true }))));
    expect(Object.keys(model.parameters)).toEqual(["0.weight", "0.bias", "2.bias"]);
    const x = floats([3, 4]);
    await expectAgreement(model, { x, target: x }, { loss: losses.mse() });
  });

  it("has no other options", () => {
    for (const wrong of [() => nn.tied(nn.relu()), () => nn.tied(nn.conv2d(1, 1, 3)), () => nn.tied(nn.layerNorm(3))]) {
      expect(wrong).toThrow(/embedding or a linear layer/);
    }
    const words = nn.embedding(7, 4);
    expect(() => nn.model(nn.tied(words), { input: { x: ["N", 5] } })).toThrow(/4 features/);
    expect(nn.model(nn.tied(words)).graph.outputs[0]?.value.shape).toEqual([{ perSample: 1 }, 7]);
  });
});

describe("rmsNorm", () => {
  it.each([[[4]], [[3, 4]]])("divides by the root mean square over the last axes %j", async (shape) => {
    const x = wave([2, 3, 4]);
    for (const affine of [true, false]) {
      const weight = wave(shape, 3);
      const kept = 3 - shape.length;
      const expected = build64(x.dims, (...index) => {
        const own = build64(shape, (...place) => at(x, ...index.slice(0, kept), ...place)).data;
        const scale = Math.sqrt(own.reduce((sum, v) => sum + v * v, 0) / own.length + 2 ** -7);
        return (at(x, ...index) / scale) * (affine ? at(weight, ...index.slice(kept)) : 1);
      });
      const model = nn.model(nn.rmsNorm(shape, { epsilon: 2 ** -7, affine }), { input: { x: ["N", 3, 4] } });
      expect(difference(forward(model, { x, ...(affine ? { weight } : {}) }), expected)).toBeLessThan(1e-12);
    }
    const deep = nn.sequential(nn.linear(4, 4), nn.rmsNorm(shape), nn.linear(4, 2));
    await expectAgreement(shaken(nn.model(deep, { input: { x: ["N", 3, 4] } })), { x: floats([3, 3, 4]) });
  });

  it("is ONNX's operator of that name", () => {
    const model = nn.model(
      nn.module((x) => x.onnx("RMSNormalization", [constant([1, 2, 3, 4])], { axis: -1, epsilon: 0.1 })),
      { input: { x: ["N", 3, 4] } },
    );
    const x = wave([2, 3, 4]);
    const own = nn.model(nn.rmsNorm(4, { epsilon: 0.1 }), { input: { x: ["N", 3, 4] } });
    expect(difference(forward(own, { x, weight: [1, 2, 3, 4] }), forward(model, { x }))).toBeLessThan(1e-7);
  });

  it("refuses other sizes", () => {
    expect(() => nn.rmsNorm([])).toThrow(/needs the sizes/);
    expect(() => nn.model(nn.rmsNorm(3), { input: { x: ["N", 4] } })).toThrow(/normalises over \[3\]/);
  });
});
