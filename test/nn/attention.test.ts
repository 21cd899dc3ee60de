import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Array64 } from "../../src/float64/array64.js";
import type { Model } from "../../src/graph/model.js";
import { readTensors } from "../../src/io/files.js";
import * as nn from "../../src/nn/index.js";
import { losses } from "../../src/nn/losses.js";
import { loadModel } from "../../src/onnx/read/load.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { expectClose } from "../support/per-sample.js";
import { booleans, expectAgreement, floats, loop, shaken } from "./agreement.js";
import { at, build64, difference, forward, wave } from "./support.js";

const [width, heads, length] = [6, 2, 5];
const size = width / heads;

/** x W' + b, on the last axis of [N, T, i]. */
function project(x: Array64, weight: Array64, bias: Array64 | undefined, first: number, outputs: number): Array64 {
  const [samples = 0, positions = 0, inputs = 0] = x.dims;
  return build64([samples, positions, outputs], (n = 0, t = 0, o = 0) => {
    let sum = bias ? at(bias, first + o) : 0;
    for (let i = 0; i < inputs; i++) sum += at(x, n, t, i) * at(weight, first + o, i);
    return sum;
  });
}

/** Attention as its definition has it; `sees(n, t, s)` says whether position t may see position s. */
function attention(
  x: Array64,
  p: Readonly<Record<string, Array64>>,
  sees: (n: number, t: number, s: number) => boolean,
) {
  const [q, k, v] = [0, 1, 2].map((part) =>
    project(x, p.in_proj_weight as Array64, p.in_proj_bias, part * width, width),
  ) as [Array64, Array64, Array64];
  const attended = build64(x.dims, (n = 0, t = 0, c = 0) => {
    const first = Math.floor(c / size) * size;
    const scores = Array.from({ length }, (_, s) => {
      let sum = 0;
      for (let d = 0; d < size; d++) sum += at(q, n, t, first + d) * at(k, n, s, first + d);
      return sees(n, t, s) ? Math.exp(sum / Math.sqrt(size)) : 0;
    });
    const total = scores.reduce((a, b) => a + b, 0);
    return scores.reduce((sum, score, s) => sum + (score / total) * at(v, n, s, c), 0);
  });
  return project(attended, p["out_proj.weight"] as Array64, p["out_proj.bias"], 0, width);
}

const weightsOf = (module: nn.Module): Record<string, Array64> =>
  Object.fromEntries(Object.entries(module.parameters).map(([name, { shape }], k) => [name, wave(shape, k + 1)]));

/** The first positions of three samples are there: 5, 3 and 1 of them. */
const there = (n: number, s: number) => s < length - 2 * n;
const mask64 = build64([3, length], (n = 0, s = 0) => Number(there(n, s)));
const mask = booleans([3, length], Array.from(mask64.data, Boolean));

describe("multiHeadAttention", () => {
  it.each([
    { causal: false, masked: false, bias: true },
    { causal: true, masked: false, bias: false },
    { causal: false, masked: true, bias: true },
    { causal: true, masked: true, bias: true },
  ])("is what its definition says: %j", async ({ causal, masked, bias }) => {
    const layer = nn.multiHeadAttention(width, heads, { causal, bias });
    const side = masked ? { mask: ["N" as const, length] } : {};
    const model = nn.model(layer, { input: { x: ["N", length, width], ...side } });
    const [x, weights] = [wave([3, length, width]), weightsOf(layer)];
    const sees = (n: number, t: number, s: number) => (!causal || s <= t) && (!masked || there(n, s));
    const found = forward(model, { x, ...weights, ...(masked ? { mask: mask64 } : {}) });
    expect(difference(found, attention(x, weights, sees))).toBeLessThan(1e-7);
    await expectAgreement(shaken(model), { x: floats([3, length, width]), ...(masked ? { mask } : {}) });
  });

  it("is ONNX's operator of that name between its projections", () => {
    const layer = nn.multiHeadAttention(width, heads, { causal: true });
    const { in_proj_weight, in_proj_bias } = layer.parameters;
    if (!in_proj_weight || !in_proj_bias) throw new Error("a parameter is missing");
    const operator = nn.module(
      (x, p) => {
        const y = x.matmul(p.in_proj_weight.transpose()).add(p.in_proj_bias);
        const [q, k, v] = [0, 1, 2].map((part) => y.slice(2, part * width, (part + 1) * width));
        if (!q || !k || !v) throw new Error("a part is missing");
        return p.out_proj(q.onnx("Attention", [k, v], { q_num_heads: heads, kv_num_heads: heads, is_causal: 1 }));
      },
      { in_proj_weight, in_proj_bias, out_proj: nn.linear(width, width) },
    );
    const fed = { x: wave([2, length, width]), ...weightsOf(layer) };
    const [own, other] = [layer, operator].map((module) =>
      forward(nn.model(module, { input: { x: ["N", length, width] } }), fed),
    ) as [Array64, Array64];
    expect(difference(own, other)).toBeLessThan(1e-6);
  });

  it("keeps padding out of the result and out of the gradient", () => {
    const layer = nn.sequential(nn.multiHeadAttention(width, heads), nn.multiHeadAttention(width, heads));
    const model = nn.model(layer, { input: { x: ["N", length, width], mask: ["N", length] } });
    const x = wave([3, length, width]);
    const noisy = build64(x.dims, (n = 0, s = 0, i = 0) => (there(n, s) ? at(x, n, s, i) : 100 * at(x, n, s, i)));
    const [clean, dirty] = [forward(model, { x, mask: mask64 }), forward(model, { x: noisy, mask: mask64 })];
    const kept = (y: Array64) => build64(y.dims, (n = 0, s = 0, i = 0) => (there(n, s) ? at(y, n, s, i) : 0));
    expect(difference(kept(clean), kept(dirty))).toBeLessThan(1e-9);
  });

  it("is finite where all is padding", async () => {
    const model = nn.model(nn.multiHeadAttention(width, heads, { causal: true }), {
      input: { x: ["N", length, width], mask: ["N", length] },
    });
    const none = booleans([2, length], Array<boolean>(2 * length).fill(false));
    await expectAgreement(model, { x: floats([2, length, width]), mask: none });
    for (const gradients of loop(model, { x: floats([2, length, width]), mask: none })) {
      for (const own of gradients.values()) expect(own.every(Number.isFinite)).toBe(true);
    }
  });

  it("starts as PyTorch's", () => {
    const drawn = nn.initialise(nn.multiHeadAttention(64, 4), 1);
    const largest = (name: string) =>
      (drawn[name]?.data ?? new Float32Array()).reduce((m, x) => Math.max(m, Math.abs(x)), 0);
    expect(largest("in_proj_weight")).toBeLessThanOrEqual(Math.sqrt(6 / (4 * 64)));
    expect(largest("in_proj_weight")).toBeGreaterThan(0.98 * Math.sqrt(6 / (4 * 64)));
    expect(largest("out_proj.weight")).toBeLessThanOrEqual(1 / 8);
    expect(largest("out_proj.weight")).toBeGreaterThan(0.98 / 8);
    expect([largest("in_proj_bias"), largest("out_proj.bias")]).toEqual([0, 0]);
    expect(Object.keys(nn.multiHeadAttention(4, 2, { bias: false }).parameters)).toEqual([
      "in_proj_weight",
      "out_proj.weight",
    ]);
  });

  it("takes its mask from whoever calls it, and refuses what does not fit", () => {
    const parts = { layer: nn.sequential(nn.multiHeadAttention(width, heads)) };
    const ids = { shape: ["N" as const, length], dtype: "int64" as const };
    const model = nn.trace({ x: ["N", length, width], ids }, parts, ({ x, ids }, { layer }) =>
      layer(x, { mask: ids.notEqual(0) }),
    );
    expect(model.graph.inputs.map(({ name }) => name)).toEqual(["x", "ids"]);
    const x = wave([3, length, width]);
    const fixed = nn.model(parts.layer, { input: { x: ["N", length, width], mask: ["N", length] } });
    expect(forward(model, { x, ids: mask64 }).data).toEqual(forward(fixed, { x, mask: mask64 }).data);

    expect(() => nn.multiHeadAttention(6, 4)).toThrow(/4 heads do not divide/);
    expect(() => nn.multiHeadAttention(6, 2, { dropout: 2 })).toThrow(/probability/);
    for (const shape of [
      ["N", 6],
      ["N", 5, 7],
      ["N", 2, 5, 6],
    ] as const) {
      expect(() => nn.model(parts.layer, { input: { x: shape } })).toThrowError(
        expect.objectContaining({ code: "SHAPE_MISMATCH" }),
      );
    }
    const wire = (spec: nn.InputSpec) => () =>
      nn.model(parts.layer, { input: { x: ["N", length, width], mask: spec } });
    expect(wire(["N", 4])).toThrow(/its mask is \[N, 5\], not \[N, 4\]/);
    expect(wire({ shape: ["N", length], dtype: "float32" })).toThrowError(
      expect.objectContaining({ code: "DTYPE_MISMATCH" }),
    );
    expect(() => nn.trace({ x: ["N", length, width] }, parts, ({ x }, { layer }) => layer(x, { maks: x }))).toThrow(
      /takes no input "maks"/,
    );
  });
});

describe("transformerEncoderLayer", () => {
  const options = { feedForward: 7, activation: "gelu" } as const;

  it.each([{}, { normFirst: true }, { normFirst: true, causal: true }, { bias: false, activation: nn.silu() }])(
    "has exact gradients: %j",
    async (more) => {
      const layer = nn.transformerEncoderLayer(width, heads, { ...options, ...more });
      const model = shaken(nn.model(layer, { input: { x: ["N", length, width], mask: ["N", length] } }));
      // Squares of what is normalised do not depend on the parameters; a target breaks the tie.
      const target = floats([3, length, width], 9);
      await expectAgreement(model, { x: floats([3, length, width]), mask, target }, { loss: losses.mse() });
    },
  );

  it("names its parameters as PyTorch does", () => {
    const { parameters } = nn.transformerEncoderLayer(width, heads);
    expect(Object.fromEntries(Object.entries(parameters).map(([name, { shape }]) => [name, shape]))).toEqual({
      "self_attn.in_proj_weight": [18, 6],
      "self_attn.in_proj_bias": [18],
      "self_attn.out_proj.weight": [6, 6],
      "self_attn.out_proj.bias": [6],
      "linear1.weight": [2048, 6],
      "linear1.bias": [2048],
      "linear2.weight": [6, 2048],
      "linear2.bias": [6],
      "norm1.weight": [6],
      "norm1.bias": [6],
      "norm2.weight": [6],
      "norm2.bias": [6],
    });
  });
});

const ids = (...axes: number[]) => ({ shape: ["N" as const, ...axes], dtype: "int64" as const });

/** Modules of the architecture of a golden, with the golden's names of their parameters. */
const goldens: readonly [name: string, make: () => Model, names: Readonly<Record<string, string>>][] = [
  [
    "self_attention",
    () => nn.model(nn.multiHeadAttention(8, 2), { input: { x0: ["N", 5, 8] } }),
    {
      in_proj_weight: "qkv.weight",
      in_proj_bias: "qkv.bias",
      "out_proj.weight": "o.weight",
      "out_proj.bias": "o.bias",
    },
  ],
  [
    "transformer_block",
    () =>
      nn.model(
        nn.transformerEncoderLayer(8, 2, { feedForward: 16, activation: "gelu", normFirst: true, causal: true }),
        {
          input: { x0: ["N", 5, 8] },
        },
      ),
    {
      "self_attn.in_proj_weight": "a.qkv.weight",
      "self_attn.in_proj_bias": "a.qkv.bias",
      "self_attn.out_proj.weight": "a.o.weight",
      "self_attn.out_proj.bias": "a.o.bias",
      "linear1.weight": "m.0.weight",
      "linear1.bias": "m.0.bias",
      "linear2.weight": "m.2.weight",
      "linear2.bias": "m.2.bias",
      "norm1.weight": "n1.weight",
      "norm1.bias": "n1.bias",
      "norm2.weight": "n2.weight",
      "norm2.bias": "n2.bias",
    },
  ],
  [
    "embedding_1d",
    () => nn.model(nn.sequential(nn.embedding(9, 5), nn.linear(5, 3)), { input: { x0: ids() } }),
    { "0.weight": "0.weight", "1.weight": "1.weight", "1.bias": "1.bias" },
  ],
  [
    "embedding_seq",
    () =>
      nn.model(
        nn.module((x, { e, l }) => l(e(x).mean(1)), { e: nn.embedding(11, 5), l: nn.linear(5, 3) }),
        { input: { x0: ids(8) } },
      ),
    { "e.weight": "e.weight", "l.weight": "l.weight", "l.bias": "l.bias" },
  ],
  [
    "tied_embedding_head",
    () => {
      const e = nn.embedding(7, 5);
      return nn.model(nn.sequential(e, nn.linear(5, 5), nn.tanh(), nn.tied(e)), { input: { x0: ids(6) } });
    },
    { "0.weight": "e.weight", "1.weight": "h.weight", "1.bias": "h.bias" },
  ],
  [
    "rms_norm",
    () =>
      nn.model(nn.sequential(nn.rmsNorm(6, { epsilon: Math.fround(1e-6) }), nn.linear(6, 3)), {
        input: { x0: ["N", 4, 6] },
      }),
    { "0.weight": "g", "1.weight": "l.weight", "1.bias": "l.bias" },
  ],
];

describe.each(goldens)("golden %s with nn", (name, make, names) => {
  it("has PyTorch's output, losses and gradients", async () => {
    const folder = join(import.meta.dirname, "..", "goldens", name);
    const { loss } = JSON.parse(readFileSync(join(folder, "case.json"), "utf8")) as { loss: "mse" | "cross_entropy" };
    const [data, expected] = [
      Object.fromEntries(await readTensors(join(folder, "data.safetensors"))),
      await readTensors(join(folder, "expected.safetensors")),
    ];
    const weights = (await loadModel(join(folder, "model.onnx"))).parameters;
    const bare = make();
    const parameters = Object.fromEntries(
      Object.entries(names).map(([own, golden]) => [own, weights[golden] as Tensor<"float32">]),
    );
    expect(Object.keys(bare.parameters).sort()).toEqual(Object.keys(names).sort());
    const model = { ...bare, parameters };
    const options = { loss: loss === "mse" ? losses.mse() : losses.crossEntropy() };
    const samples = loop(model, data, options);
    for (const [own, golden] of Object.entries(names)) {
      const found = samples.flatMap((gradients) => [...(gradients.get(own) ?? [])]);
      expectClose(found, (expected.get(golden) as Tensor<"float64">).data, 1e-8, golden, 1e-3);
    }
    await expectAgreement(model, data, options);
  });
});
