/** Large results that are computed apart are what the whole program gives, and take less memory. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { objectiveOf } from "../../src/compile/objective.js";
import { inputsOf, weightsOf } from "../../src/compile/program-graph.js";
import { losses, type Model, nn, type Tensor, type Wants, want } from "../../src/index.js";
import { Program } from "../../src/program/program.js";
import type { ApartSizes } from "../../src/target/onnxruntime/apart.js";
import { scheduled } from "../../src/target/onnxruntime/executable.js";
import { onnxruntimeWith } from "../../src/target/onnxruntime/index.js";
import { isApart, memoryAt } from "../../src/target/onnxruntime/scheduled.js";
import { expectClose } from "../support/per-sample.js";
import { graphOf } from "../support/program-graph.js";
import { tensorsIn } from "../support/tensors-in.js";
import "../support/seed.js";

/** So small that the models of these tests are large. */
const tiny: ApartSizes = { weights: 0, result: 256, block: 1024 };
const never: ApartSizes = { ...tiny, weights: Number.POSITIVE_INFINITY };

interface Sizes {
  readonly positions: number;
  readonly vocabulary: number;
  readonly width: number;
  readonly tied: boolean;
}

/** A language model; its positions' table is longer than its texts. */
function languageModel({ positions, vocabulary, width, tied }: Sizes): Model {
  const words = nn.embedding(vocabulary, width);
  const layers = [nn.linear(width, 2 * width), nn.gelu(), nn.linear(2 * width, width), nn.layerNorm(width)];
  const head = tied ? nn.tied(words) : nn.linear(width, vocabulary, { bias: false });
  const network = nn.sequential(words, nn.positional(4 * positions, width), ...layers, head);
  return nn.model(network, { input: { x: { shape: ["N", positions], dtype: "int64" } }, seed: 0 });
}

function texts({ positions, vocabulary }: Sizes, samples: number): Record<string, Tensor> {
  const tokens = (step: number): Tensor => {
    const data = BigInt64Array.from({ length: samples * positions }, (_, p) => BigInt((p * step + 3) % vocabulary));
    return { dtype: "int64", dims: [samples, positions], data };
  };
  return { x: tokens(5), target: tokens(7) };
}

const loss = losses.crossEntropy();

function emitted(model: Model, wants: Wants, sizes = tiny) {
  const objective = objectiveOf(model, { loss });
  const graph = graphOf(objective, wants);
  return scheduled(
    { inputs: inputsOf(graph), outputs: graph.outputs },
    { elsewhere: false, weights: weightsOf(model) },
    sizes,
  );
}

async function expectTheSame(
  model: Model,
  wants: Wants,
  batches: readonly Record<string, Tensor>[],
  microbatch?: number,
) {
  const options = { loss, want: wants, ...(microbatch === undefined ? {} : { microbatchSize: microbatch }) };
  const apart = await Program.compile<Wants>(model, options, onnxruntimeWith(tiny));
  const whole = await Program.compile<Wants>(model, { loss, want: wants }, onnxruntimeWith(never));
  for (const data of batches) {
    const [results, expected] = [tensorsIn(await apart.run(data)), tensorsIn(await whole.run(data))];
    expect(results.map(([at]) => at)).toEqual(expected.map(([at]) => at));
    for (const [k, [at, { data: own, dims, dtype }]] of results.entries()) {
      const [, other] = expected[k] as [string, Tensor<"float32">];
      expect([at, dtype, dims]).toEqual([at, other.dtype, other.dims]);
      expectClose(own, other.data, 1e-6, at);
    }
  }
  await apart.release();
  await whole.release();
}

const clipped = { norms: want.norms(), clipped: want.clippedSum({ maxNorm: 0.1 }) };
const text: Sizes = { positions: 3, vocabulary: 70, width: 16, tied: true };

describe("a large model's sums", () => {
  it("are computed apart, each from what is smaller", () => {
    const { apart, handover } = emitted(languageModel(text), clipped);
    const names = apart?.tails.map(({ name }) => name) ?? [];
    expect(names[0]).toBe("clipped/sum/0.weight");
    expect(names).toContain("clipped/sum/2.weight");
    expect(names).toContain("clipped/sum/1.weight");
    const main = apart?.outputs.map(({ name }) => name) ?? [];
    for (const { name } of handover.outputs) expect(main.includes(name), name).toBe(!names.includes(name));
    expect(apart?.tails[0]?.rows).toMatchObject({ count: 70, size: 16 });
  });

  it("take less memory so, of few samples; of many they are computed at once", async () => {
    const model = languageModel(text);
    const { apart, memory } = emitted(model, clipped);
    const saved = (samples: number) => memory.at(samples) - (apart?.memory.at(samples) ?? 0);
    expect(saved(1)).toBeGreaterThan(0.3 * memory.at(1));
    expect(saved(64)).toBeLessThan(0);
    const [own, whole] = [
      await Program.compile(model, { loss, want: clipped }, onnxruntimeWith(tiny)),
      await Program.compile(model, { loss, want: clipped }, onnxruntimeWith(never)),
    ];
    expect(own.memory(1)).toBe(apart?.memory.at(1));
    expect(own.memory(64)).toBe(whole.memory(64));
    await own.release();
    await whole.release();
  });

  it("are computed apart where that saves a quarter of the memory, and under a budget where it saves any", () => {
    const model = languageModel(text);
    const [usual, budgeted] = [emitted(model, clipped), { ...emitted(model, clipped), lowMemory: true }];
    const savedAt = (samples: number) => 1 - (usual.apart?.memory.at(samples) ?? 0) / usual.memory.at(samples);
    const batches = Array.from({ length: 64 }, (_, k) => k + 1);
    expect(batches.some((samples) => savedAt(samples) > 0 && savedAt(samples) < 0.25)).toBe(true);
    for (const samples of batches) {
      expect(isApart(usual, samples), `${samples}`).toBe(savedAt(samples) > 0.25);
      expect(isApart(budgeted, samples), `${samples}`).toBe(savedAt(samples) > 0);
      for (const each of [usual, budgeted])
        expect(memoryAt(each, samples)).toBe((isApart(each, samples) ? each.apart : each)?.memory.at(samples));
    }
  });

  it("are those of the whole program", async () => {
    const sizes = fc.record({
      positions: fc.integer({ min: 1, max: 5 }),
      vocabulary: fc.integer({ min: 2, max: 90 }),
      width: fc.integer({ min: 1, max: 24 }),
      tied: fc.boolean(),
    });
    const wants = fc.constantFrom<Wants>(
      clipped,
      { mean: want.mean(), losses: want.losses() },
      { sum: want.sum(), clipped: want.clippedSum({ maxNorm: 0.1, strict: true }) },
      {
        groups: want.clippedSum({ maxNorm: { first: 0.05, rest: 0.1 }, groups: { first: ["0.*"], rest: ["[1-9]*"] } }),
      },
      { moments: want.moments() },
      { gradients: want.gradients(), sum: want.sum() },
    );
    const check = (size: Sizes, each: Wants) =>
      expectTheSame(
        languageModel(size),
        each,
        [1, 2, 40].map((samples) => texts(size, samples)),
      );
    await fc.assert(fc.asyncProperty(sizes, wants, check), { numRuns: 6 });
  });

  it("are those of the whole program in microbatches", () =>
    expectTheSame(languageModel(text), clipped, [texts(text, 7)], 2));

  it("are told of by explain()", async () => {
    const program = await Program.compile(languageModel(text), { loss, want: clipped }, onnxruntimeWith(tiny));
    expect(program.explain().notes.join()).toMatch(/4 large sums are computed separately/);
    await program.release();
  });

  it("do not change a program that is saved", async () => {
    const [own, whole] = [
      await Program.compile(languageModel(text), { loss, want: clipped }, onnxruntimeWith(tiny)),
      await Program.compile(languageModel(text), { loss, want: clipped }, onnxruntimeWith(never)),
    ];
    expect(Buffer.compare(own.encode(), whole.encode())).toBe(0);
    await own.release();
    await whole.release();
  });
});

it("what is fed is taken at the call, also by a batch that is the first to be computed at once", async () => {
  const model = languageModel(text);
  const program = await Program.compile(model, { loss, want: clipped }, onnxruntimeWith(tiny));
  for (const samples of [1, 64]) {
    const expected = await program.run(texts(text, samples));
    const fresh = await Program.compile(model, { loss, want: clipped }, onnxruntimeWith(tiny));
    const data = texts(text, samples);
    const running = fresh.run(data);
    for (const { data: given } of Object.values(data)) (given as BigInt64Array).fill(0n);
    expect((await running).norms.total).toEqual(expected.norms.total);
    await fresh.release();
  }
  await program.release();
});

it("runs at the same time do not disturb each other, and a released program runs no more", async () => {
  const program = await Program.compile(languageModel(text), { loss, want: clipped }, onnxruntimeWith(tiny));
  const batches = [1, 2, 1].map((samples) => texts(text, samples));
  const alone = [];
  for (const data of batches) alone.push(await program.run(data));
  expect(await Promise.all(batches.map((data) => program.run(data)))).toEqual(alone);
  await program.release();
  await expect(program.run(texts(text, 1))).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
});
