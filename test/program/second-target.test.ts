/** Programs compiled for another target, the float64 interpreter, give the same numbers: nothing else knows the runtime. */
import { describe, expect, it } from "vitest";
import { losses, type Model, nn, type Tensor, type Wants, want } from "../../src/index.js";
import { Program } from "../../src/program/program.js";
import { interpreter } from "../../src/target/interpreter/index.js";
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
];

const wants: Wants = {
  losses: want.losses(),
  norms: want.norms(),
  gradients: want.gradients(),
  clipped: want.clippedSum({ maxNorm: 0.5 }),
  mean: want.mean(),
  projection: want.project({ dims: 16, seed: 3 }),
  gram: want.gram(),
};

describe("a program compiled for the interpreter", () => {
  it.each(models)("gives what one for ONNX Runtime gives: %s", async (_, model, data) => {
    const options = { loss: losses.crossEntropy(), want: wants };
    const own = await Program.compile<Wants>(model(), options, interpreter);
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

  it("runs in microbatches, streams, and says what it was compiled for", async () => {
    const [, model, data] = models[0] as (typeof models)[number];
    const options = { loss: losses.crossEntropy(), want: { sum: want.sum(), norms: want.norms() } };
    const program = await Program.compile(model(), { ...options, microbatchSize: 4 }, interpreter);
    const whole = await Program.compile(model(), options, interpreter);
    const [parts, all] = [tensorsIn(await program.run(data)), tensorsIn(await whole.run(data))];
    for (const [k, [at, { data: elements }]] of parts.entries())
      expectClose(elements, (all[k] as [string, Tensor<"float32">])[1].data, 1e-6, at);
    expect(whole.memory(12)).toBeGreaterThan(whole.memory(6));
    expect(Buffer.from(whole.encode()).includes("float64 interpreter")).toBe(true);
    await Promise.all([program.release(), whole.release()]);
  });
});
