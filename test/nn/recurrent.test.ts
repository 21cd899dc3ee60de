import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Model } from "../../src/graph/model.js";
import { nodesBefore } from "../../src/graph/walk.js";
import { readTensors } from "../../src/io/files.js";
import * as nn from "../../src/nn/index.js";
import { losses } from "../../src/nn/losses.js";
import { loadModel } from "../../src/onnx/read/load.js";
import { perSample } from "../../src/program/per-sample.js";
import { sizeOf, type Tensor } from "../../src/tensor/tensor.js";
import { want } from "../../src/wants/want.js";
import { expectClose } from "../support/per-sample.js";
import { expectAgreement, floats, integers, loop, shaken, squares } from "./agreement.js";
import {
  at,
  build32,
  byOperators,
  exchanged,
  type Floats,
  type Given,
  int32,
  type Kind,
  rowsOf,
} from "./recurrent-operators.js";

type Fed = Readonly<Record<string, Tensor>>;

const [inputs, hidden, length, samples] = [3, 4, 5, 3];
const kinds: readonly Kind[] = ["lstm", "gru", "rnn"];
const makers: Readonly<Record<Kind, (i: number, h: number, options?: nn.RecurrentOptions) => nn.Recurrent>> = {
  lstm: nn.lstm,
  gru: nn.gru,
  rnn: nn.rnn,
};
const make = (kind: Kind, options: nn.RecurrentOptions = {}) => makers[kind](inputs, hidden, options);

const lstms = (layer: nn.Recurrent): layer is nn.Lstm => "cell" in layer;

/** A model of all that a layer gives. */
function wholeModel(layer: nn.Recurrent, given: Given, batchFirst = true): Model {
  const [first = 0, second = 0, features = 0] = given.x.dims;
  const shape = batchFirst ? (["N", second, features] as const) : ([first, "N", features] as const);
  const state = (tensor: Floats | undefined) => [tensor?.dims[0] ?? 0, "N", hidden] as const;
  const fed: Record<string, nn.InputSpec> = {
    x: shape,
    ...(given.lengths ? { lengths: { shape: ["N"], dtype: "int32" } } : {}),
    ...(given.hidden ? { hidden: state(given.hidden) } : {}),
    ...(given.cell ? { cell: state(given.cell) } : {}),
  };
  const parts: Record<string, nn.Module> = {
    layer,
    last: layer.last,
    hidden: layer.hidden,
    ...(lstms(layer) ? { cell: layer.cell } : {}),
  };
  return nn.trace(fed, parts, ({ x, ...side }, part) => {
    const call = (name: string) => (part[name] as nn.Layer)(x as NonNullable<typeof x>, side);
    const cell = lstms(layer) ? { cell: call("cell") } : {};
    return { sequence: call("layer"), last: call("last"), hidden: call("hidden"), ...cell };
  });
}

/** The model's outputs, by ONNX Runtime. */
async function outputsOf(model: Model, data: Fed): Promise<Record<string, Tensor>> {
  const program = await perSample(model, {
    loss: losses.output(),
    output: "last",
    want: { outputs: want.outputs() },
  });
  const { outputs } = await program.run({ ...data });
  await program.release();
  return outputs;
}

/** A model's parameters under the names that the layer has for them. */
const ownWeights = (model: Model): Record<string, Floats> =>
  Object.fromEntries(Object.entries(model.parameters).map(([name, tensor]) => [name.replace("layer.", ""), tensor]));

async function expectOperator(
  kind: Kind,
  layer: nn.Recurrent,
  options: nn.RecurrentOptions,
  given: Given,
  more: Parameters<typeof byOperators>[4] = {},
): Promise<void> {
  const model = shaken(wholeModel(layer, given, options.batchFirst));
  const [found, expected] = [
    await outputsOf(model, { ...given }),
    await byOperators(kind, options, ownWeights(model), given, more),
  ];
  expect(Object.keys(found)).toEqual(Object.keys(expected));
  for (const [name, { dims, data }] of Object.entries(expected)) {
    expect(found[name]?.dims, name).toEqual(dims);
    expectClose((found[name] as Floats).data, data, 1e-5, name);
  }
}

const variants: readonly nn.RecurrentOptions[] = [
  {},
  { bias: false },
  { batchFirst: false },
  { bidirectional: true },
  { layers: 2 },
  { layers: 2, bidirectional: true },
  { layers: 3, bidirectional: true, batchFirst: false, bias: false },
];

/** x, and the first states of all layers and directions. */
function givenFor({ layers = 1, bidirectional = false, batchFirst = true }: nn.RecurrentOptions, kind: Kind): Given {
  const states = [layers * (bidirectional ? 2 : 1), samples, hidden];
  return {
    x: floats(batchFirst ? [samples, length, inputs] : [length, samples, inputs]),
    hidden: floats(states, 3),
    ...(kind === "lstm" ? { cell: floats(states, 4) } : {}),
  };
}

describe.each(kinds)("%s", (kind) => {
  it.each(variants)("is ONNX's operator: %j", async (options) => {
    const given = givenFor(options, kind);
    await expectOperator(kind, make(kind, options), options, { x: given.x });
    await expectOperator(kind, make(kind, options), options, given);
    await expectOperator(kind, make(kind, options), options, { ...given, lengths: int32(2, 5, 1) });
    await expectOperator(kind, make(kind, options), options, { x: given.x, lengths: int32(5, 0, 3) });
  });

  it.each(variants)("has exact gradients per sample: %j", async (options) => {
    const given = givenFor(options, kind);
    const { batchFirst = true } = options;
    // Of the others they take minutes, and say nothing more: each layer and direction is differentiated as these are.
    const secondDerivatives = (options.layers ?? 1) === 1;
    const shape = batchFirst ? (["N", length, inputs] as const) : ([length, "N", inputs] as const);
    await expectAgreement(
      shaken(nn.model(make(kind, options), { input: { x: shape } })),
      { x: given.x },
      {
        ...squares,
        secondDerivatives,
      },
    );
    const padded = { ...given, lengths: int32(2, 5, 1) };
    const model = shaken(wholeModel(make(kind, options), padded, batchFirst));
    const directions = options.bidirectional ? 2 : 1;
    const targets = {
      sequence: floats([samples, length, directions * hidden], 7),
      hidden: floats([samples, (options.layers ?? 1) * directions, hidden], 7),
    };
    for (const [output, target] of Object.entries(targets)) {
      await expectAgreement(model, { ...padded, target }, { loss: losses.mse(), output, secondDerivatives });
    }
  });

  it("leaves padding out of results and gradients", async () => {
    const layer = make(kind, { layers: 2, bidirectional: true });
    const named = (steps: number) => nn.model(layer.last, { input: { x: ["N", steps, inputs], lengths: ["N"] } });
    const whole = floats([1, length, inputs]);
    const short = build32([1, 3, inputs], (n = 0, t = 0, i = 0) => at(whole, n, t, i));
    const options = { loss: losses.mse() };
    const target = floats([1, 2 * hidden], 5);
    const [long] = loop(named(length), { x: whole, lengths: int32(3), target }, options);
    const [cut] = loop(named(3), { x: short, lengths: int32(3), target }, options);
    for (const [name, gradient] of cut ?? []) expectClose(long?.get(name) ?? [], gradient, 1e-12, name);
    const [none] = loop(named(length), { x: whole, lengths: int32(0), target }, options);
    for (const gradient of none?.values() ?? []) expect(gradient.every((each) => each === 0)).toBe(true);
  });

  it("takes any number of samples, and one position", async () => {
    for (const [count, steps] of [
      [0, 2],
      [1, 1],
    ] as const) {
      const given = { x: floats([count, steps, inputs]) };
      const model = wholeModel(make(kind, { layers: 2, bidirectional: true }), given);
      const outputs = await outputsOf(model, given);
      expect(outputs.sequence?.dims).toEqual([count, steps, 2 * hidden]);
      expect(outputs.last?.dims).toEqual([count, 2 * hidden]);
      expect(outputs.hidden?.dims).toEqual([4, count, hidden]);
    }
  });

  it("names, shapes and draws its parameters as documented", () => {
    const rows = { lstm: 4, gru: 3, rnn: 1 }[kind] * 64;
    const layer = makers[kind](5, 64, { layers: 2, bidirectional: true });
    const shapes = Object.fromEntries(Object.entries(layer.parameters).map(([name, { shape }]) => [name, shape]));
    const set = (suffix: string, features: number) => ({
      [`input_weight${suffix}`]: [rows, features],
      [`hidden_weight${suffix}`]: [rows, 64],
      [`input_bias${suffix}`]: [rows],
      [`hidden_bias${suffix}`]: [rows],
    });
    expect(shapes).toEqual({
      ...set("_l0", 5),
      ...set("_l0_reverse", 5),
      ...set("_l1", 128),
      ...set("_l1_reverse", 128),
    });
    expect(Object.keys(makers[kind](5, 64, { bias: false }).parameters)).toEqual([
      "input_weight_l0",
      "hidden_weight_l0",
    ]);
    const drawn = nn.initialise(layer, 1);
    for (const { data } of Object.values(drawn)) {
      const largest = data.reduce((most, each) => Math.max(most, Math.abs(each)), 0);
      expect(largest).toBeLessThanOrEqual(1 / 8);
      expect(largest).toBeGreaterThan(0.9 / 8);
    }
    expect(nn.initialise(makers[kind](5, 64, { layers: 2, bidirectional: true }), 1)).toEqual(drawn);
    expect(nn.initialise(layer, 2)).not.toEqual(drawn);
  });

  it("keeps its weights' gradients factored", async () => {
    const model = nn.model(make(kind, { layers: 2, bidirectional: true }), { input: { x: ["N", 40, inputs] } });
    const program = await perSample(model, { loss: losses.mse(), want: { norms: want.norms() } });
    for (const { parameter, kind: factored } of program.explain().rows) {
      expect(factored, parameter).toBe(parameter.includes("weight") ? "outer" : "dense");
    }
    await program.release();
  });
});

describe("gru and rnn", () => {
  it("reset before the product where asked to", async () => {
    const given = givenFor({}, "gru");
    const layer = nn.gru(inputs, hidden, { linearBeforeReset: false });
    await expectOperator("gru", layer, {}, given, { flags: { linear_before_reset: 0 } });
    await expectAgreement(shaken(nn.model(layer, { input: { x: ["N", length, inputs] } })), { x: given.x });
  });

  it("rectify where asked to", async () => {
    const options = { layers: 2, bidirectional: true };
    const given = givenFor(options, "rnn");
    const layer = nn.rnn(inputs, hidden, { ...options, nonlinearity: "relu" });
    await expectOperator("rnn", layer, options, given, { texts: { activations: ["Relu", "Relu"] } });
    await expectAgreement(shaken(nn.model(layer, { input: { x: ["N", length, inputs] } })), { x: given.x });
  });
});

describe("the views of a recurrent layer", () => {
  const x = floats([samples, length, inputs]);
  const options = { layers: 2, dropout: 0.5 };
  const seed = integers([samples], [4, 5, 6]);

  it("are of one pass: one node for each layer, and the same masks", async () => {
    const layer = nn.lstm(inputs, hidden, options);
    const model = nn.trace(
      { x: ["N", length, inputs] },
      { layer, last: layer.last, hidden: layer.hidden, again: layer },
      ({ x }, part) => ({
        all: part.layer(x),
        last: part.last(x),
        hidden: part.hidden(x),
        again: part.again(x),
      }),
    );
    expect(Object.keys(model.parameters)).toEqual(Object.keys(layer.parameters).map((name) => `layer.${name}`));
    const nodesOf = (...names: string[]) => {
      const chosen = model.graph.outputs.filter(({ name }) => names.includes(name));
      return nodesBefore(chosen.map(({ value }) => value)).filter(({ op }) => op === "LSTM").length;
    };
    expect([nodesOf("all", "last", "hidden"), nodesOf("all", "again")]).toEqual([2, 4]);
    const outputs = await outputsOf(model, { x, seed });
    const [all, last, top, again] = Object.values(outputs) as [Floats, Floats, Floats, Floats];
    const final = build32([samples, hidden], (n = 0, c = 0) => at(all, n, length - 1, c));
    expect(last.data).toEqual(final.data);
    expect(rowsOf(top, 1, 2).data).toEqual(final.data);
    expect(again.data).not.toEqual(all.data);
  });

  it("have exact gradients with dropout, whose masks do not depend on the layout", async () => {
    const layer = nn.gru(inputs, hidden, options);
    const model = nn.model(layer, { input: { x: ["N", length, inputs] } });
    expect(model.graph.inputs.map(({ name }) => name)).toEqual(["x", "seed"]);
    await expectAgreement(model, { x, seed });
    const other = nn.model(nn.gru(inputs, hidden, { ...options, batchFirst: false }), {
      input: { x: [length, "N", inputs] },
    });
    const run = async (of: Model, fed: Floats) => {
      const program = await perSample(of, { loss: losses.mse(), want: { outputs: want.outputs() } });
      const target = floats([samples, length, hidden], 8);
      const { outputs } = await program.run({ x: fed, seed, target });
      await program.release();
      return outputs.output as Floats;
    };
    expectClose((await run(model, x)).data, exchanged(await run(other, exchanged(x))).data, 1e-6, "output");
  });

  it("pass lengths through a chain of layers, and states from one call to the next", async () => {
    const chain = nn.sequential(nn.lstm(inputs, hidden), nn.gru(hidden, 2).last, nn.linear(2, 2));
    const model = shaken(nn.model(chain, { input: { x: ["N", length, inputs], lengths: ["N"] } }));
    await expectAgreement(model, { x, lengths: int32(5, 2, 4) });

    // Two halves, the second going on from the states of the first, are the whole.
    const layer = nn.lstm(inputs, hidden);
    const parts = { layer, hidden: layer.hidden, cell: layer.cell, last: layer.last };
    const halves = nn.trace({ x: ["N", length, inputs] }, parts, ({ x }, part) => {
      const [first, second] = [x.slice(1, 0, 2), x.slice(1, 2)];
      return { last: part.last(second, { hidden: part.hidden(first), cell: part.cell(first) }), whole: part.last(x) };
    });
    const { last, whole } = (await outputsOf(halves, { x })) as Record<string, Floats>;
    expectClose(last?.data ?? [], whole?.data ?? [], 1e-6, "last");
    const target = floats([samples, hidden], 2);
    await expectAgreement(halves, { x, target }, { loss: losses.mse(), output: "last" });
  });

  it("start from states that are learned", async () => {
    const layer = nn.gru(inputs, hidden);
    const parts = { layer, start: nn.uniform([1, 1, hidden], 1) };
    const model = nn.trace({ x: ["N", length, inputs] }, parts, ({ x }, part) =>
      part.layer(x, { hidden: part.start.expand([1, "N", hidden]) }),
    );
    await expectAgreement(model, { x });
  });
});

const goldens: readonly [name: string, layer: nn.Recurrent, make: (layer: nn.Recurrent) => nn.Module][] = [
  ["lstm", nn.lstm(4, 5), ({ last }) => last],
  ["gru", nn.gru(4, 5), ({ last }) => last],
  ["rnn_tanh", nn.rnn(4, 5), (layer) => layer],
];

describe.each(goldens)("golden %s with nn", (name, layer, view) => {
  it("has PyTorch's losses and gradients", async () => {
    const folder = join(import.meta.dirname, "..", "goldens", name);
    const { loss } = JSON.parse(readFileSync(join(folder, "case.json"), "utf8")) as { loss: "mse" | "cross_entropy" };
    const data = Object.fromEntries(await readTensors(join(folder, "data.safetensors")));
    const expected = await readTensors(join(folder, "expected.safetensors"));
    const weights = (await loadModel(join(folder, "model.onnx"))).parameters as Record<string, Floats>;
    const module = nn.module((x, part) => part.l(part.r(x)), { r: view(layer), l: nn.linear(5, 3) });
    const bare = nn.model(module, { input: { x0: ["N", data.x0?.dims[1] ?? 0, 4] } });
    const parameters = {
      ...layer.fromPyTorch(weights, "r."),
      "l.weight": weights["l.weight"] as Floats,
      "l.bias": weights["l.bias"] as Floats,
    };
    expect(Object.keys(parameters)).toEqual(Object.keys(bare.parameters));
    const model = { ...bare, parameters };
    const options = { loss: loss === "mse" ? losses.mse() : losses.crossEntropy() };
    loop(model, data, options).forEach((gradients, n) => {
      // PyTorch's gradients are float64 and in its own order.
      const own = Object.entries(weights).map(([parameter, { dims }]) => {
        const all = (expected.get(parameter) as Tensor<"float64">).data;
        const size = sizeOf(dims);
        const part = Float32Array.from(all.subarray(n * size, (n + 1) * size));
        return [parameter, { dtype: "float32" as const, dims, data: part }] as const;
      });
      for (const [parameter, { data: wanted }] of Object.entries(layer.fromPyTorch(Object.fromEntries(own), "r."))) {
        expectClose(gradients.get(parameter) ?? [], wanted, 1e-6, parameter, 1e-3);
      }
    });
    await expectAgreement(model, data, options);
  });
});

describe("recurrent layers refuse", () => {
  const wire =
    (layer: nn.Module, input: Readonly<Record<string, nn.InputSpec>>): (() => Model) =>
    () =>
      nn.model(layer, { input });
  const code = (name: string) => expect.objectContaining({ code: name });

  it("what makes no layer", () => {
    expect(() => nn.lstm(3, 0)).toThrow(/lstm: hidden must be a whole number of at least 1/);
    expect(() => nn.gru(0, 3)).toThrow(/gru: inputs must be/);
    expect(() => nn.rnn(3, 3, { layers: 1.5 })).toThrow(/rnn: layers must be/);
    expect(() => nn.lstm(3, 3, { dropout: 0.1 })).toThrow(/dropout acts between layers/);
    expect(() => nn.lstm(3, 3, { layers: 2, dropout: 2 })).toThrow(/probability/);
    expect(() => nn.rnn(3, 3, { nonlinearity: "gelu" as "relu" })).toThrow(/"tanh" or "relu", not "gelu"/);
  });

  it("inputs that do not fit", () => {
    const layer = nn.lstm(inputs, hidden, { bidirectional: true });
    expect(wire(layer, { x: ["N", inputs] })).toThrow(/it takes \[N, positions, 3\], but its input is \[N, 3\]/);
    expect(wire(layer, { x: [length, "N", inputs] })).toThrow(/it takes \[N, positions, 3\]/);
    expect(wire(nn.lstm(inputs, hidden, { batchFirst: false }), { x: ["N", length, inputs] })).toThrow(
      /it takes \[positions, N, 3\] \(with batchFirst: false\)/,
    );
    expect(wire(layer, { x: ["N", length, 7] })).toThrow(/takes 3 features/);
    const x = ["N", length, inputs] as const;
    expect(wire(layer, { x, lengths: ["N", 1] })).toThrow(/its input "lengths" is \[N\], not \[N, 1\]/);
    expect(wire(layer, { x, lengths: { shape: ["N"], dtype: "int64" } })).toThrowError(code("DTYPE_MISMATCH"));
    expect(wire(layer, { x, hidden: ["N", 2, hidden] })).toThrow(/its input "hidden" is \[2, N, 4\], not \[N, 2, 4\]/);
    expect(wire(layer, { x, cell: [1, "N", hidden] })).toThrow(/its input "cell" is \[2, N, 4\]/);
    expect(wire(layer, { x: { shape: x, dtype: "float64" } })).toThrowError(code("DTYPE_MISMATCH"));
    expect(wire(nn.gru(inputs, hidden), { x, cell: [1, "N", hidden] })).toThrow(/A module has one input/);
  });

  it("PyTorch's tensors of another layer", () => {
    const layer = nn.gru(inputs, hidden);
    const tensors = {
      weight_ih_l0: floats([12, 3]),
      weight_hh_l0: floats([12, 4]),
      bias_ih_l0: floats([12]),
      bias_hh_l0: floats([12]),
    };
    const converted = layer.fromPyTorch({ ...tensors, other: floats([1]) });
    expect(Object.keys(converted)).toEqual(Object.keys(layer.parameters));
    const { data } = tensors.bias_ih_l0;
    expect(converted.input_bias_l0?.data).toEqual(
      Float32Array.from([...data.slice(4, 8), ...data.slice(0, 4), ...data.slice(8)]),
    );
    expect(() => layer.fromPyTorch(tensors, "r.")).toThrow(/gru: there is no tensor "r.weight_ih_l0"/);
    expect(() => layer.fromPyTorch({ ...tensors, bias_hh_l0: floats([16]) })).toThrow(/is \[16\], not \[12\]/);
    const wide = { dtype: "float64" as const, dims: [12], data: new Float64Array(12) };
    expect(() => layer.fromPyTorch({ ...tensors, bias_hh_l0: wide })).toThrowError(code("DTYPE_MISMATCH"));
  });
});
