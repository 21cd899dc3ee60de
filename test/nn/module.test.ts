import { describe, expect, it } from "vitest";
import { PergradError } from "../../src/errors.js";
import type { Model } from "../../src/graph/model.js";
import * as nn from "../../src/nn/index.js";
import { einsum } from "../../src/trace/einsum.js";
import { constant } from "../../src/trace/index.js";
import { at, build64, difference, forward, wave } from "./support.js";

const names = (module: nn.Module) => Object.keys(module.parameters);

describe("sequential", () => {
  it("names parameters by the place of their layer", () => {
    const inner = nn.sequential(nn.linear(4, 4), nn.tanh(), nn.linear(4, 2, { bias: false }));
    expect(names(nn.sequential(nn.linear(3, 4), nn.relu(), inner))).toEqual([
      "0.weight",
      "0.bias",
      "2.0.weight",
      "2.0.bias",
      "2.2.weight",
    ]);
  });

  it("shares the parameters of a module that is used twice, at any depth", () => {
    const layer = nn.linear(4, 4);
    const module = nn.sequential(nn.tanh(), layer, nn.sequential(nn.relu(), layer), nn.residual(layer));
    expect(names(module)).toEqual(["1.weight", "1.bias"]);
    const model = nn.model(module, { input: { x: ["N", 4] } });
    expect(model.graph.parameters.map(({ name }) => name)).toEqual(["1.weight", "1.bias"]);
    const x = wave([3, 4]);
    const [weight, bias] = [wave([4, 4], 1), wave([4], 2)];
    const apply = (v: typeof x) =>
      build64([3, 4], (n, o) =>
        [0, 1, 2, 3].reduce(
          (sum, i) => sum + at(v, n as number, i) * at(weight, o as number, i),
          at(bias, o as number),
        ),
      );
    const map = (v: typeof x, f: (e: number) => number) => ({ dims: v.dims, data: v.data.map(f) });
    const second = apply(map(apply(map(x, Math.tanh)), (e) => Math.max(e, 0)));
    const third = apply(second);
    const expected = { dims: x.dims, data: second.data.map((e, i) => e + (third.data[i] as number)) };
    expect(difference(forward(model, { x, "1.weight": weight, "1.bias": bias }), expected)).toBeLessThan(1e-12);
  });

  it("keeps layers of equal shape apart", () => {
    expect(names(nn.sequential(nn.linear(4, 4), nn.linear(4, 4)))).toHaveLength(4);
  });

  it("is the identity where it is empty", () => {
    const x = wave([2, 3]);
    expect(forward(nn.model(nn.sequential(), { input: { x: ["N", 3] } }), { x }).data).toEqual(x.data);
  });

  it("names the layer that does not fit", () => {
    const module = nn.sequential(nn.relu(), nn.sequential(nn.tanh(), nn.linear(5, 2)));
    const wire = () => nn.model(module, { input: { x: ["N", 4] } });
    expect(wire).toThrowError(expect.objectContaining({ code: "SHAPE_MISMATCH" }));
    expect(wire).toThrow(/layer 1 \(sequential\): layer 1 \(linear\): it takes 5 features, but its input is \[N, 4\]/);
  });

  it("names nodes after their layer", () => {
    const model = nn.model(nn.sequential(nn.relu(), nn.sequential(nn.softmax(0))), { input: { x: ["N", 4] } });
    const source = model.graph.outputs[0]?.value.source;
    expect(source?.kind === "node" && source.node.name).toBe("1.0");
  });

  it("does not swallow errors that are not its own", () => {
    const broken = nn.module(() => {
      throw new TypeError("oops");
    });
    expect(() => nn.model(nn.sequential(broken), { input: { x: ["N", 4] } })).toThrow(TypeError);
  });
});

describe("residual", () => {
  it("adds its input, or a shortcut", () => {
    const x = wave([2, 3]);
    const twice = nn.model(nn.residual(nn.identity()), { input: { x: ["N", 3] } });
    expect(difference(forward(twice, { x }), { dims: x.dims, data: x.data.map((v) => 2 * v) })).toBe(0);
    const block = nn.residual(nn.linear(3, 5), { shortcut: nn.linear(3, 5, { bias: false }) });
    expect(names(block)).toEqual(["body.weight", "body.bias", "shortcut.weight"]);
    expect(forward(nn.model(block), { x }).dims).toEqual([2, 5]);
  });

  it("does not broadcast", () => {
    expect(() => nn.model(nn.residual(nn.linear(3, 1)))).toThrowError(
      expect.objectContaining({ code: "SHAPE_MISMATCH" }),
    );
  });
});

describe("modules of one's own", () => {
  it("are functions of parameters and other modules", () => {
    const gated = nn.module((x, { gate, scale }) => gate(gate(x)).sigmoid().mul(x).mul(scale), {
      gate: nn.linear(3, 3, { bias: false }),
      scale: nn.ones([3]),
    });
    expect(names(gated)).toEqual(["gate.weight", "scale"]);
    const model = nn.model(nn.sequential(gated), { input: { x: ["N", 3] } });
    expect(Object.keys(model.parameters)).toEqual(["0.gate.weight", "0.scale"]);
    const [x, gate] = [wave([2, 3]), build64([3, 3], (i, j) => (i === j ? 1 : 0))];
    const expected = { dims: x.dims, data: x.data.map((v) => v / (1 + Math.exp(-v))) };
    expect(difference(forward(model, { x, "0.gate.weight": gate }), expected)).toBeLessThan(1e-12);
  });

  it("tie parameters by using the same specification", () => {
    const weight = nn.normal([4, 3]);
    const module = nn.module((x, p) => x.matmul(p.down.transpose()).matmul(p.up), { down: weight, up: weight });
    expect(names(module)).toEqual(["down"]);
    expect(nn.model(module, { input: { x: ["N", 3] } }).graph.outputs[0]?.value.shape).toHaveLength(2);
    const own: nn.Module = {
      ...module,
      parameters: { a: weight, b: weight },
      forward: (x, { a, b }) => (a && b ? x.add(a.sub(b).sum()) : x),
    };
    expect(Object.keys(nn.model(own, { input: { x: ["N", 3] } }).parameters)).toEqual(["a"]);
  });

  it("must return a traced tensor", () => {
    // @ts-expect-error: what someone without types may do.
    const module = nn.module(() => 3);
    expect(() => nn.model(module, { input: { x: ["N", 3] } })).toThrowError(
      expect.objectContaining({ code: "INVALID_ARGUMENT" }),
    );
  });
});

describe("inputs beside x", () => {
  const scaled = nn.module((x, _, { scale }) => (scale ? x.mul(scale.reshape(["N", 1])) : x), {}, "scaled", {
    scale: { dtype: "float32" },
  });
  const shifted = nn.module((x, _, { shift }) => (shift ? x.add(shift.reshape(["N", 1])) : x), {}, "shifted", {
    shift: { dtype: "float32", shape: ["N"] },
  });
  const inputsOf = (model: Model) => model.graph.inputs.map(({ name }) => name);
  const x = build64([2, 1], (n) => n as number);

  it("are handed on by whatever holds a module that takes them", () => {
    const deep = nn.residual(
      nn.sequential(
        nn.module((y, { inner }) => inner(y), { inner: scaled }),
        shifted,
      ),
    );
    expect(deep.inputs).toEqual({ scale: { dtype: "float32" }, shift: { dtype: "float32", shape: ["N"] } });
    const model = nn.model(deep, { input: { x: ["N", 1], scale: ["N"] } });
    expect(inputsOf(model)).toEqual(["x", "scale", "shift"]);
    expect([...forward(model, { x, scale: [2, 3], shift: [10, 20] }).data]).toEqual([10, 24]);
    expect(inputsOf(nn.model(deep, { input: { x: ["N", 1] } }))).toEqual(["x", "shift"]);
  });

  it("may be given at a call, to all below it", () => {
    const model = nn.trace(
      { x: ["N", 1], a: ["N"] },
      { block: nn.sequential(scaled, shifted) },
      ({ x: y, a }, { block }) => block(block(y, { scale: a, shift: a }), { scale: a.neg() }),
    );
    expect(inputsOf(model)).toEqual(["x", "a", "shift"]);
    expect([...forward(model, { x, a: [2, 3], shift: [10, 20] }).data]).toEqual([6, 2]);
    const given = nn.trace({ x: ["N", 1], shift: ["N"] }, { shifted }, (fed, parts) =>
      parts.shifted(fed.x, { shift: fed.shift.neg() }),
    );
    expect(inputsOf(given)).toEqual(["x", "shift"]);
    const own = nn.trace({ x: ["N", 1] }, { shifted }, (fed, parts) => parts.shifted(fed.x, { shift: fed.x.sum(1) }));
    expect(inputsOf(own)).toEqual(["x"]);
  });

  it("must fit", () => {
    const wrong = nn.module((y) => y, {}, "wrong", { scale: { dtype: "bool" } });
    expect(() => nn.sequential(scaled, wrong)).toThrow(/Two modules take an input "scale"/);
    expect(() => nn.model(scaled, { input: { x: ["N", 1], y: ["N"] } })).toThrow(/one input, not 2 beside "scale"/);
    expect(() => nn.model(scaled, { input: { x: ["N", 1], scale: { shape: ["N"], dtype: "int64" } } })).toThrow(
      /scaled: its input "scale" is float32, but it was given int64; cast it/,
    );
  });
});

describe("model", () => {
  it("knows its inputs, parameters, outputs and sample axes", () => {
    const model = nn.model(nn.sequential(nn.linear(3, 4)), { input: { data: ["N", 7, 3] } });
    expect(model.graph.inputs.map(({ name }) => name)).toEqual(["data"]);
    expect(model.graph.outputs.map(({ name }) => name)).toEqual(["output"]);
    expect(model.sampleAxes).toEqual({ data: 0 });
    expect(model.notes).toEqual([]);
  });

  it("takes the input shape from the first layer where that has one", () => {
    expect(nn.model(nn.sequential(nn.linear(3, 4), nn.relu())).graph.inputs[0]?.shape).toEqual([{ perSample: 1 }, 3]);
    expect(() => nn.model(nn.relu())).toThrow(/input shape of "relu" is not known/);
    expect(() => nn.model(nn.relu(), { input: { x: ["N"], y: ["N"] } })).toThrow(/one input, not 2/);
    expect(() => nn.model(nn.relu(), { input: { x: ["N", "N"] } })).toThrowError(PergradError);
  });

  it("traces several inputs and outputs, and free parameters", () => {
    const model = nn.trace(
      { x: ["N", 4], y: ["N", 5], table: [3] },
      { w: nn.normal([2, 4, 5]), head: nn.linear(2, 3) },
      ({ x, y, table }, { w, head }) => {
        const hidden = einsum("ni,oij,nj->no", x, w, y);
        return {
          hidden,
          logits: head(hidden)
            .add(table)
            .add(constant([1, 2, 3])),
        };
      },
      { seed: 1 },
    );
    expect(model.graph.outputs.map(({ name }) => name)).toEqual(["hidden", "logits"]);
    expect(model.sampleAxes).toEqual({ x: 0, y: 0, table: null });
    expect(Object.keys(model.parameters)).toEqual(["w", "head.weight", "head.bias"]);
    const [x, y, w] = [wave([2, 4], 1), wave([2, 5], 2), wave([2, 4, 5], 3)];
    const expected = build64([2, 2], (n, o) => {
      let sum = 0;
      for (let i = 0; i < 4; i++)
        for (let j = 0; j < 5; j++) sum += at(x, n as number, i) * at(w, o as number, i, j) * at(y, n as number, j);
      return sum;
    });
    expect(difference(forward(model, { x, y, w, table: [0, 0, 0] }), expected)).toBeLessThan(1e-12);
  });

  it("refuses one name for two things, and no output at all", () => {
    expect(() => nn.trace({ x: ["N"] }, { x: nn.ones([]) }, ({ x }) => x)).toThrow(/both named "x"/);
    expect(() => nn.trace({ x: ["N"] }, {}, () => ({}))).toThrowError(
      expect.objectContaining({ code: "MISSING_TENSOR" }),
    );
  });
});

describe("initial values", () => {
  const module = nn.sequential(nn.conv2d(4, 6, 3, { groups: 2 }), nn.groupNorm(2, 6), nn.linear(100, 50));

  it("are the same for the same seed, and others for another", () => {
    expect(nn.initialise(module, 7)).toEqual(nn.initialise(module, 7));
    expect(nn.initialise(module, 7)["2.weight"]).not.toEqual(nn.initialise(module, 8)["2.weight"]);
    expect(nn.model(module.parameters["2.weight"] ? nn.linear(3, 2) : nn.relu(), { seed: 3 }).parameters).toEqual(
      nn.initialise(nn.linear(3, 2), 3),
    );
    for (const seed of [-1, 0.5, 2 ** 32, Number.NaN]) {
      expect(() => nn.initialise(module, seed)).toThrowError(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
    }
  });

  it("do not change between versions", () => {
    const { weight } = nn.initialise(nn.linear(2, 2), 42);
    expect([...(weight?.data ?? [])].map((x) => x.toFixed(6))).toMatchInlineSnapshot(`
      [
        "-0.254404",
        "-0.665636",
        "0.508547",
        "-0.421930",
      ]
    `);
  });

  it("are distributed as PyTorch's", () => {
    const drawn = nn.initialise(module, 1);
    const bounds: readonly [string, number][] = [
      ["0.weight", 1 / Math.sqrt(18)],
      ["0.bias", 1 / Math.sqrt(18)],
      ["2.weight", 0.1],
      ["2.bias", 0.1],
    ];
    for (const [name, bound] of bounds) {
      const data = drawn[name]?.data ?? new Float32Array();
      expect(Math.max(...data.map(Math.abs))).toBeLessThanOrEqual(Math.fround(bound));
      expect(Math.max(...data)).toBeGreaterThan(0.6 * bound);
      expect(Math.min(...data)).toBeLessThan(-0.6 * bound);
    }
    const weight = drawn["2.weight"]?.data ?? new Float32Array();
    const variance = weight.reduce((sum, x) => sum + x * x, 0) / weight.length;
    expect(variance).toBeCloseTo(0.01 / 3, 4);
    expect(drawn["1.weight"]?.data.every((x) => x === 1) && drawn["1.bias"]?.data.every((x) => x === 0)).toBe(true);
  });

  it("may be normal, or given", () => {
    const spec = nn.module((x) => x, {
      a: nn.normal([20000], 2),
      b: nn.startingAt({ dtype: "float32", dims: [2], data: new Float32Array([3, 4]) }),
    });
    const { a, b } = nn.initialise(spec, 5);
    const data = a?.data ?? new Float32Array();
    const mean = data.reduce((sum, x) => sum + x, 0) / data.length;
    expect(mean).toBeCloseTo(0, 1);
    expect(data.reduce((sum, x) => sum + (x - mean) ** 2, 0) / data.length / 4).toBeCloseTo(1, 1);
    expect(b?.data).toEqual(new Float32Array([3, 4]));
  });

  it("are checked", () => {
    const wrong = { ...nn.ones([3]), initial: () => new Float32Array(2) };
    expect(() => nn.initialise(nn.module((x) => x, { wrong }))).toThrow(/starts from 2 elements, not 3/);
  });
});
