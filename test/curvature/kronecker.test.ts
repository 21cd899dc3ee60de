/** Kronecker factors of PyTorch's, in float64 and as programs. */
import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import { describe, expect, it } from "vitest";
import {
  kroneckerCurvature,
  type Loss,
  losses,
  type Model,
  nn,
  perSample,
  type Tensor,
  want,
} from "../../src/index.js";
import { caseNames, loadCase } from "./load-case.js";
import { below, expectNear, inFloat64, numbers } from "./support.js";

describe.each(caseNames)("%s", (name) => {
  it.each(["empirical", "type2"] as const)("%s factors", async (kind) => {
    const { model, options, train: data, expected, settings } = await loadCase(name);
    const layers: readonly string[] = settings.kfac_layers;
    const all = below(expected, `kfac/${kind}/`);
    if (all.size === 0) return;
    const wants = {
      expand: want.kroneckerFactors({ kind }),
      reduce: want.kroneckerFactors({ kind, approximation: "reduce" }),
    };
    const reference = inFloat64(model, options, wants, data);
    const program = await perSample(model, { ...options, want: wants, microbatchSize: 4, threads: 1 });
    const found = await program.run(data);
    for (const approximation of ["expand", "reduce"] as const)
      for (const layer of layers)
        for (const side of ["A", "B"] as const) {
          const own = numbers(all.get(`${approximation}/${layer}/${side}`));
          expect(own.length).toBeGreaterThan(0);
          const what = `${approximation} ${layer} ${side}`;
          expectNear(reference.get(`${approximation}/${side}/${layer}.weight`)?.data, own, 1e-9, what);
          expectNear(found[approximation].layers[`${layer}.weight`]?.[side].data, own, 1e-4, what);
        }
    await program.release();
  });
});

const samples = 4;

function waves(dims: readonly number[], seed: number): Tensor<"float32"> {
  const size = dims.reduce((product, dim) => product * dim, 1);
  return {
    dtype: "float32",
    dims,
    data: Float32Array.from({ length: size }, (_, k) => Math.sin(12.9898 * (k + 1) + seed)),
  };
}

function labels(dims: readonly number[], classes: number): Tensor<"int64"> {
  const size = dims.reduce((product, dim) => product * dim, 1);
  return { dtype: "int64", dims, data: BigInt64Array.from({ length: size }, (_, k) => BigInt((5 * k + 2) % classes)) };
}

describe("a square root of the loss's second derivative", () => {
  const vectors = nn.model(nn.sequential(nn.linear(3, 4), nn.tanh(), nn.linear(4, 3)), { seed: 1 });
  const images = nn.model(nn.conv2d(2, 3, 3), { input: { x: ["N", 2, 5, 5] }, seed: 2 });
  const chances = nn.model(nn.sequential(nn.linear(3, 4), nn.tanh(), nn.linear(4, 3), nn.sigmoid()), { seed: 3 });
  const plain = { x: waves([samples, 3], 1), target: labels([samples], 3) };
  const pixels = { x: waves([samples, 2, 5, 5], 2), target: labels([samples, 3, 3], 3) };
  const numbersOf = { x: waves([samples, 3], 1), target: waves([samples, 3], 4) };
  const between = {
    ...numbersOf,
    target: { ...numbersOf.target, data: numbersOf.target.data.map((x) => (x + 1) / 2) },
  };
  const weights = [0.5, 2, 1];
  const cases: readonly (readonly [string, Model, Loss, Record<string, Tensor>])[] = [
    ["cross entropy", vectors, losses.crossEntropy(), plain],
    ["weights and smoothing", vectors, losses.crossEntropy({ weights, labelSmoothing: 0.2 }), plain],
    ["ignored labels", vectors, losses.crossEntropy({ ignoreIndex: 2 }), plain],
    ["images", images, losses.crossEntropy({ weights, ignoreIndex: 1 }), pixels],
    ["smoothing of images", images, losses.crossEntropy({ labelSmoothing: 0.1 }), pixels],
    ["mse", vectors, losses.mse(), numbersOf],
    ["huber", vectors, losses.huber({ delta: 0.3 }), numbersOf],
    ["bce of logits", vectors, losses.bceWithLogits(), between],
    ["bce of a sigmoid", chances, losses.bce(), between],
  ];

  it.each(cases)("%s: factors are those of the second derivative itself", (_, model, loss, data) => {
    const { target } = data;
    const options = {
      target: { dtype: target?.dtype ?? "float32", shape: ["N", ...(target?.dims.slice(1) ?? [])] } as const,
    };
    const wants = { factors: want.kroneckerFactors({ kind: "type2" }), trace: want.trace({ of: "ggn" }) };
    expect(loss.root).toBeDefined();
    const { root: __, ...without } = loss;
    const found = inFloat64(model, { ...options, loss }, wants, data);
    const expected = inFloat64(model, { ...options, loss: without }, wants, data);
    let most = 0;
    // Factors of 0.8 and 0.2 are rounded to float32 in the loss.
    for (const [name, { data: own }] of expected) {
      expectNear(found.get(name)?.data, [...own], 1e-7, name, 1e-12);
      most = Math.max(most, ...own);
    }
    expect(most).toBeGreaterThan(0.01);
  });
});

it("a loss without a second derivative has no curvature", async () => {
  const model = nn.model(nn.linear(3, 2), { seed: 1 });
  const data = { x: waves([samples, 3], 1), target: waves([samples, 2], 2) };
  for (const loss of [losses.l1(), losses.custom((y, t) => y.sub(t).abs().mean([1]))]) {
    const factors = want.kroneckerFactors({ kind: "type2" });
    const program = await perSample(model, { loss, want: { factors, trace: want.trace({ of: "ggn" }) } });
    const found = await program.run(data);
    const own = found.factors.layers.weight?.B ?? found.factors.blocks.weight;
    expect(own?.data.every((x) => x === 0)).toBe(true);
    expect(Math.max(...found.trace.total.data)).toBe(0);
  }
});

it("inputs of all positions count, also where no cotangent comes and the derivative is guarded", async () => {
  // An exponential may be infinite, so that its product with a cotangent of 0 is guarded.
  const model = nn.trace({ x: ["N", 3, 2] }, { layer: nn.linear(2, 2) }, ({ x }, { layer }) =>
    layer(x.exp()).slice(1, 2, 3).squeeze(1),
  );
  const x = waves([samples, 3, 2], 1);
  const program = await perSample(model, {
    loss: losses.crossEntropy(),
    want: { factors: want.kroneckerFactors({ kind: "empirical" }), type2: want.kroneckerFactors({ kind: "type2" }) },
  });
  const found = await program.run({ x, target: labels([samples], 2) });
  const row = (k: number) => [Math.exp(x.data[2 * k] ?? 0), Math.exp(x.data[2 * k + 1] ?? 0), 1];
  const all = Array.from({ length: 3 * samples }, (_, k) => row(k).flatMap((a) => row(k).map((b) => a * b)));
  const means = Array.from({ length: 9 }, (_, k) => all.reduce((sum, own) => sum + (own[k] ?? 0), 0) / (3 * samples));
  expectNear(found.factors.layers["layer.weight"]?.A.data, means, 1e-5, "A");
  expectNear(found.type2.layers["layer.weight"]?.A.data, means, 1e-5, "A of the GGN");
});

it("an output that is the loss itself has factors too", async () => {
  const model = nn.model(nn.linear(3, 2), { seed: 1 });
  const x = waves([samples, 3], 1);
  const factors = want.kroneckerFactors({ kind: "empirical" });
  const program = await perSample(model, { loss: losses.output(), want: { factors } });
  const { A, B } = (await program.run({ x })).factors.layers.weight ?? {};
  const row = (n: number) => [...x.data.subarray(3 * n, 3 * n + 3), 1];
  const all = Array.from({ length: samples }, (_, n) => row(n).flatMap((a) => row(n).map((b) => a * b)));
  const means = Array.from({ length: 16 }, (_, k) => all.reduce((sum, own) => sum + (own[k] ?? 0), 0) / samples);
  expectNear(A?.data, means, 1e-5, "A");
  expectNear(B?.data, [0.25, 0.25, 0.25, 0.25], 1e-6, "B");
});

const words = nn.embedding(7, 4);
const networks: readonly (readonly [string, Model, Record<string, Tensor>, Record<string, string>])[] = [
  [
    "gains and positions",
    nn.model(nn.sequential(nn.linear(5, 6), nn.layerNorm(6), nn.gelu(), nn.linear(6, 3)), {
      input: { x: ["N", 3, 5] },
      seed: 1,
    }),
    { x: waves([samples, 3, 5], 1), target: labels([samples, 3], 3) },
    { "0.weight": "kronecker 0.bias", "1.weight": "full", "1.bias": "full", "3.weight": "kronecker 3.bias" },
  ],
  [
    "a convolution with groups",
    nn.model(
      nn.sequential(nn.conv2d(2, 4, 3, { groups: 2 }), nn.tanh(), nn.conv2d(4, 3, 2), nn.flatten(), nn.linear(12, 3)),
      { input: { x: ["N", 2, 5, 5] }, seed: 2 },
    ),
    { x: waves([samples, 2, 5, 5], 2), target: labels([samples], 3) },
    { "0.weight": "kronecker", "0.bias": "full", "2.weight": "kronecker 2.bias", "4.weight": "kronecker 4.bias" },
  ],
  [
    "a layer used twice",
    nn.trace({ x: ["N", 3, 4] }, { layer: nn.linear(4, 4), last: nn.linear(4, 3) }, ({ x }, parts) =>
      parts.last(parts.layer(parts.layer(x).tanh()).sum([1])),
    ),
    { x: waves([samples, 3, 4], 3), target: labels([samples], 3) },
    { "layer.weight": "kronecker layer.bias", "last.weight": "kronecker last.bias" },
  ],
  [
    "a recurrent layer",
    nn.trace({ x: ["N", 4, 3] }, { lstm: nn.lstm(3, 2), last: nn.linear(2, 3) }, ({ x }, parts) =>
      parts.last(parts.lstm(x).sum([1])),
    ),
    { x: waves([samples, 4, 3], 4), target: labels([samples], 3) },
    {
      "lstm.input_weight_l0": "kronecker lstm.input_bias_l0",
      "lstm.hidden_weight_l0": "kronecker",
      "last.weight": "kronecker last.bias",
    },
  ],
  [
    "a table",
    nn.model(nn.sequential(nn.embedding(7, 4), nn.linear(4, 3)), {
      input: { x: { shape: ["N", 5], dtype: "int64" } },
      seed: 5,
    }),
    { x: labels([samples, 5], 7), target: labels([samples, 5], 3) },
    { "0.weight": "kronecker", "1.weight": "kronecker 1.bias" },
  ],
  [
    "a tied table",
    nn.model(nn.sequential(words, nn.linear(4, 4), nn.tanh(), nn.tied(words)), {
      input: { x: { shape: ["N", 6], dtype: "int64" } },
    }),
    { x: labels([samples, 6], 7), target: labels([samples, 6], 7) },
    { "0.weight": "kronecker", "1.weight": "kronecker 1.bias" },
  ],
];

describe.each(networks)("%s", (_, model, data, blocks) => {
  it.each(["expand", "reduce"] as const)(
    "factors are those of all samples, in whatever parts: %s",
    async (approximation) => {
      const target = {
        dtype: data.target?.dtype ?? "float32",
        shape: ["N", ...(data.target?.dims.slice(1) ?? [])],
      } as const;
      const factors = want.kroneckerFactors({ kind: "empirical", approximation });
      const program = await perSample(model, { loss: "cross_entropy", target, threads: 1, want: { factors } });
      const { factors: whole } = await program.run(data);
      for (const microbatchSize of [1, 3]) {
        const { factors: joined } = await program.run(data, { microbatchSize });
        expect(Object.keys(joined.layers)).toEqual(Object.keys(whole.layers));
        for (const [weight, { A, B }] of Object.entries(whole.layers)) {
          expectNear(joined.layers[weight]?.A.data, numbers(A), 1e-5, `A of ${weight}`);
          expectNear(joined.layers[weight]?.B.data, numbers(B), 1e-5, `B of ${weight}`);
        }
      }
      await program.release();
    },
  );

  it.each(["empirical", "type2"] as const)("every parameter takes part: %s", async (kind) => {
    const target = {
      dtype: data.target?.dtype ?? "float32",
      shape: ["N", ...(data.target?.dims.slice(1) ?? [])],
    } as const;
    const options = { loss: "cross_entropy" as const, target, threads: 1 };
    const ekfac = await kroneckerCurvature(model, data, { ...options, kind, microbatchSize: 3 });
    const all = ekfac.blocks.flatMap(({ parameters }) => parameters);
    const traces = await perSample(model, {
      ...options,
      want: { trace: want.trace({ of: kind === "empirical" ? "fisher" : "ggn" }) },
    });
    expect([...all].sort()).toEqual([...traces.parameters].sort());
    for (const [weight, expected] of Object.entries(blocks)) {
      const [approximation, ...bias] = expected.split(" ");
      const block = ekfac.blocks.find(({ parameters }) => parameters[0] === weight);
      expect([block?.approximation, block?.parameters]).toEqual([approximation, [weight, ...bias]]);
    }
    // Any orthogonal basis keeps the trace.
    const { trace } = await traces.run(data);
    const mean = (name: string) => numbers(trace.parameters[name]).reduce((sum, x) => sum + x, 0) / samples;
    for (const { parameters, eigenvalues } of ekfac.blocks) {
      const sum = eigenvalues.data.reduce((total, x) => total + x, 0);
      expectNear([sum], [parameters.reduce((total, name) => total + mean(name), 0)], 1e-4, parameters.join());
      expect(Math.min(...eigenvalues.data)).toBeGreaterThan(-1e-6 * sum);
    }
    await ekfac.release();
  });
});

it("a small parameter's block is the exact one, and its inverse too", async () => {
  const model = nn.model(nn.sequential(nn.linear(3, 4), nn.layerNorm(4), nn.linear(4, 3)), { seed: 1 });
  const data = { x: waves([samples, 3], 1), target: labels([samples], 3) };
  const options = { loss: "cross_entropy" as const, parameters: ["1.weight"] };
  const wants = { factors: want.kroneckerFactors({ kind: "empirical" }), gradients: want.gradients() };
  const program = await perSample(model, { ...options, want: wants });
  const { factors, gradients } = await program.run(data);
  const own = gradients["1.weight"]?.data ?? [];
  const block = Array.from({ length: 16 }, (_, k) => {
    const products = [0, 1, 2, 3].map((n) => (own[4 * n + (k >> 2)] ?? 0) * (own[4 * n + (k % 4)] ?? 0));
    return products.reduce((sum, x) => sum + x, 0) / samples;
  });
  expectNear(factors.blocks["1.weight"]?.data, block, 1e-5, "block");
  const damping = 0.1;
  const kfac = await kroneckerCurvature(model, data, { ...options, kind: "empirical" });
  const vector = waves([4], 7);
  const { "1.weight": solution } = await kfac.solve({ "1.weight": vector }, { damping });
  const back = [0, 1, 2, 3].map((i) =>
    [0, 1, 2, 3].reduce(
      (sum, j) => sum + ((block[4 * i + j] ?? 0) + (i === j ? damping : 0)) * (solution?.data[j] ?? 0),
      0,
    ),
  );
  expectNear(back, vector.data, 1e-4, "the matrix times the solution");
  const matrix = new EigenvalueDecomposition(new Matrix([0, 4, 8, 12].map((k) => block.slice(k, k + 4))));
  const log = matrix.realEigenvalues.reduce((sum, value) => sum + Math.log(2 * value + damping), 0);
  expect(kfac.logDeterminant({ scale: 2, damping })).toBeCloseTo(log, 3);
});

it("explain says what stands for each parameter", async () => {
  const model = nn.model(nn.sequential(nn.embedding(7, 300), nn.layerNorm(300), nn.linear(300, 3)), {
    input: { x: { shape: ["N", 5], dtype: "int64" } },
  });
  const program = await perSample(model, {
    loss: losses.crossEntropy(),
    want: { factors: want.kroneckerFactors({ kind: "empirical" }) },
  });
  expect(program.explain().notes.filter((note) => note.startsWith("The curvature of"))).toEqual([
    'The curvature of "0.weight" is a Kronecker product of how often each row is picked and its outputs\' second moments, each of its 5 positions taken for a sample.',
    'The curvature of "1.weight" is its diagonal, exactly.',
    'The curvature of "1.bias" is its diagonal, exactly.',
    'The curvature of "2.weight" and "2.bias" is a Kronecker product of its inputs\' and its outputs\' second moments, each of its 5 positions taken for a sample.',
  ]);
});

it("what is forgotten or misspelt is said", async () => {
  const model = nn.model(nn.linear(2, 2), { seed: 1 });
  const data = { x: [1, 2, 3, 4], target: [0, 1] };
  expect(() => want.kroneckerFactors({} as never)).toThrow(/kind must be "empirical", "type2" or "drawn"/);
  expect(() => want.kroneckerFactors({ kind: "type2", approximation: "sum" as never })).toThrow(/"expand" or "reduce"/);
  const options = { loss: "cross_entropy", kind: "type2" } as const;
  await expect(kroneckerCurvature(model, data, { ...options, kind: "typ2" as never })).rejects.toThrow(/"type2"/);
  await expect(kroneckerCurvature(model, data, { ...options, knd: 1 } as never)).rejects.toThrow(/no option "knd"/);
  const once = (async function* () {
    yield data;
  })();
  await expect(kroneckerCurvature(model, once, options)).rejects.toThrow(/read only once/);
  const ekfac = await kroneckerCurvature(model, data, options);
  await expect(ekfac.solve({}, {} as never)).rejects.toThrow(/damping/);
  await expect(ekfac.solve({ bais: waves([2], 1) }, { damping: 1 })).rejects.toThrow(/did you mean "bias"/);
  await expect(ekfac.solveEach({ bias: waves([1, 2], 1) }, { damping: 1 })).rejects.toThrow(/"weight"/);
  const wrong = { weight: waves([3, 2, 2], 1), bias: waves([2, 2], 1) };
  await expect(ekfac.solveEach(wrong, { damping: 1 })).rejects.toThrow(/3 vectors.*2 for/);
});
