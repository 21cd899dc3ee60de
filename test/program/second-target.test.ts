/** Programs compiled for other targets give the same numbers: nothing else knows the runtime. */
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { losses, type Model, type NotFinite, nn, type Tensor, type Wants, want } from "../../src/index.js";
import { uniform } from "../../src/nn/initial-values.js";
import { trace } from "../../src/nn/model.js";
import { present } from "../../src/present.js";
import { Program } from "../../src/program/program.js";
import { SavedProgram } from "../../src/program/saved-program.js";
import { interpreter } from "../../src/target/interpreter/index.js";
import { usualApartSizes } from "../../src/target/onnxruntime/apart.js";
import { onnxruntimeWith } from "../../src/target/onnxruntime/index.js";
import { wasm } from "../../src/target/onnxruntime/wasm.js";
import type { Target } from "../../src/target/target.js";
import { webgpu } from "../../src/target/webgpu/index.js";
import { expectClose } from "../support/per-sample.js";
import { tensorsIn } from "../support/tensors-in.js";

function numbers(dims: readonly number[], step: number): Tensor {
  const size = dims.reduce((product, dim) => product * dim, 1);
  return { dtype: "float32", dims, data: Float32Array.from({ length: size }, (_, k) => Math.sin(step * (k + 1))) };
}

function tokens(dims: readonly number[], below: number): Tensor {
  const size = dims.reduce((product, dim) => product * dim, 1);
  return { dtype: "int64", dims, data: BigInt64Array.from({ length: size }, (_, k) => BigInt((7 * k + 3) % below)) };
}

const mlp = nn.sequential(nn.linear(5, 7), nn.gelu(), nn.layerNorm(7), nn.linear(7, 4));
const cnn = nn.sequential(
  nn.conv2d(1, 3, 3, { padding: 1 }),
  nn.relu(),
  nn.maxPool2d(2),
  nn.flatten(),
  nn.linear(27, 4),
);
const words = nn.embedding(11, 6);
const language = nn.sequential(words, nn.linear(6, 6), nn.silu(), nn.tied(words));

const recurrent = nn.sequential(nn.gru(5, 6), nn.linear(6, 4));

const models: readonly (readonly [string, () => Model, Record<string, Tensor>])[] = [
  ["a perceptron", () => nn.model(mlp, { seed: 1 }), { x: numbers([6, 5], 1.3), target: tokens([6], 4) }],
  [
    "a convolution",
    () => nn.model(cnn, { input: { x: ["N", 1, 6, 6] }, seed: 1 }),
    { x: numbers([6, 1, 6, 6], 0.7), target: tokens([6], 4) },
  ],
  [
    "a tied table",
    () => nn.model(language, { input: { x: { shape: ["N", 3], dtype: "int64" } }, seed: 1 }),
    { x: tokens([6, 3], 11), target: tokens([6, 3], 11) },
  ],
  [
    "a loop over positions",
    () => nn.model(recurrent, { input: { x: ["N", 3, 5] }, seed: 1 }),
    { x: numbers([6, 3, 5], 0.9), target: tokens([6, 3], 4) },
  ],
];

const wants: Wants = {
  losses: want.losses(),
  norms: want.norms(),
  gradients: want.gradients(),
  clipped: want.clippedSum({ maxNorm: 0.5 }),
  mean: want.mean(),
  projection: want.project({ dims: 16, seed: 3 }),
  gram: want.gram(),
  sum: want.sum(),
  moments: want.moments(),
  noise: want.noiseScale(),
  cosine: want.cosine(),
  outputs: want.outputs(),
  // What a step of private training asks for.
  adjusted: want.clippedSum({ maxNorm: 0.5, adjustable: true }),
};

const webAssembly = onnxruntimeWith(usualApartSizes, wasm);

const targets: readonly (readonly [string, Target])[] = [
  ["the interpreter", interpreter],
  ["WebAssembly", webAssembly],
  // With the kernels of the runtime that is here: what the graph is. npm run test:browser has those of a GPU.
  ["WebGPU", webgpu],
];

beforeAll(() => {
  vi.stubGlobal("navigator", { gpu: { requestAdapter: async () => ({ features: new Set() }) } });
});
afterAll(() => {
  vi.unstubAllGlobals();
});

const everywhere = targets.flatMap(([name, target]) => models.map((each) => [name, target, ...each] as const));

describe("a program compiled for another target", () => {
  it.each(everywhere)("gives what one for Node gives: %s, %s %s", async (_, target, __, model, data) => {
    const options = { loss: losses.crossEntropy(), want: wants };
    const own = await Program.compile<Wants>(model(), options, target);
    const other = await Program.compile<Wants>(model(), options);
    const [found, expected] = [tensorsIn(await own.run(data)), tensorsIn(await other.run(data))];
    expect(found.map(([at]) => at)).toEqual(expected.map(([at]) => at));
    for (const [k, [at, { data: elements, dims, dtype }]] of found.entries()) {
      const [, theirs] = expected[k] as [string, Tensor<"float32">];
      expect([at, dtype, dims]).toEqual([at, theirs.dtype, theirs.dims]);
      expectClose(elements, theirs.data, 1e-5, at);
    }
    await own.release();
    await other.release();
  });

  it.each(targets)("runs in microbatches, streams, and says what it was compiled for: %s", async (_, target) => {
    const [, model, data] = models[0] as (typeof models)[number];
    const options = { loss: losses.crossEntropy(), want: { sum: want.sum(), norms: want.norms() } };
    const program = await Program.compile(model(), { ...options, microbatchSize: 4 }, target);
    const whole = await Program.compile(model(), options, target);
    const [parts, all] = [tensorsIn(await program.run(data)), tensorsIn(await whole.run(data))];
    for (const [k, [at, { data: elements }]] of parts.entries())
      expectClose(elements, (all[k] as [string, Tensor<"float32">])[1].data, 1e-6, at);
    expect(whole.memory(12)).toBeGreaterThan(whole.memory(6));
    expect(Buffer.from(whole.encode()).includes(target.version)).toBe(true);
    await Promise.all([program.release(), whole.release()]);
  });

  it("takes data at the call where the runtime is asynchronous, opened from a file too", async () => {
    const [, model, { x, target }] = present(models[0]);
    const options = { loss: losses.crossEntropy(), want: { norms: want.norms(), sum: want.sum() } };
    const program = await Program.compile(model(), options, webAssembly);
    const opened = await SavedProgram.open(program.encode(), options, webAssembly);
    for (const each of [program, opened]) {
      const expected = tensorsIn(await each.run({ x: present(x), target: present(target) }));
      const given = { x: present(x).data.slice(), target: present(target).data.slice() };
      const found = each.run(given);
      given.x.fill(9 as never);
      given.target.fill(1n as never);
      expect(tensorsIn(await found)).toEqual(expected);
      await each.release();
    }
  });

  it("finds the samples that are not finite where the runtime is asynchronous", async () => {
    // The root has no derivative at 0.
    const rooted = trace({ x: ["N", 3] }, { w: uniform([3, 2], 1) }, ({ x }, { w }) => x.matmul(w).square().sqrt());
    const program = await Program.compile(rooted, { loss: losses.mse(), want: { sum: want.sum() } }, webAssembly);
    const x = Float32Array.from({ length: 15 }, (_, k) => (Math.floor(k / 3) === 3 ? 0 : Math.sin(1 + k)));
    const told: (number | string | null)[] = [];
    const onNotFinite = ({ samples }: NotFinite) => told.push(...samples.map(({ sample }) => sample));
    const run = program.run({ x, target: new Float32Array(10).fill(1) }, { onNotFinite });
    x.fill(0);
    await run;
    expect(told).toEqual([3]);
    await program.release();
  });
});
