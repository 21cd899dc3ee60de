/** Ordinary training: each step is the optimizer's, by the mean gradient of its batch. */
import { describe, expect, it } from "vitest";
import {
  adam,
  losses,
  nn,
  perSample,
  type StepResult,
  schedules,
  sgd,
  Trainer,
  tensor,
  train,
  want,
} from "../../src/index.js";
import { pick } from "../../src/train/index.js";
import { samplerOf } from "../../src/train/samplers.js";

const samples = 50;
const model = nn.model(nn.sequential(nn.linear(4, 6), nn.tanh(), nn.linear(6, 3)), { seed: 1 });
const x = tensor(
  "float32",
  [samples, 4],
  Float32Array.from({ length: samples * 4 }, (_, i) => Math.sin(i * 12.9898)),
);
const target = tensor(
  "int64",
  [samples],
  BigInt64Array.from({ length: samples }, (_, n) => BigInt(Number((x.data[4 * n] ?? 0) > 0))),
);
const data = { x, target };
const common = { loss: losses.crossEntropy(), batchSize: 16 };

it("follows the mean gradients of its batches", async () => {
  const optimizer = sgd({ learningRate: 0.5, momentum: 0.9 });
  const program = await perSample(model, { loss: common.loss, want: { mean: want.mean(), losses: want.losses() } });
  const sampler = samplerOf("shuffled", { samples, batchSize: 16, seed: 0, order: 0 });
  let parameters = model.parameters;
  let state = optimizer.start(parameters);
  const wanted: number[] = [];
  for (let step = 0; step < 6; step++) {
    const batch = sampler.draw(step);
    const found = await program.run({ x: pick(x, batch), target: pick(target, batch) }, { parameters });
    wanted.push(found.losses.data.reduce((sum, loss) => sum + loss, 0) / batch.length);
    ({ parameters, state } = optimizer.step(parameters, found.mean, state));
  }
  await program.release();
  const results: StepResult[] = [];
  const done = await train(model, data, {
    ...common,
    optimizer,
    steps: 6,
    onStep: (result) => void results.push(result),
  });
  expect(results.map(({ step, samples: count }) => [step, count])).toEqual([
    [1, 16],
    [2, 16],
    [3, 16],
    [4, 2],
    [5, 16],
    [6, 16],
  ]);
  results.forEach(({ loss }, k) => {
    expect(loss).toBeCloseTo(wanted[k] ?? Number.NaN, 5);
  });
  for (const [name, { data: values }] of Object.entries(parameters))
    values.forEach((value, i) => {
      expect(done.model.parameters[name]?.data[i]).toBeCloseTo(value, 5);
    });
});

it("counts labels that the largest score meets", async () => {
  const program = await perSample(model, { loss: common.loss, want: { outputs: want.outputs() } });
  const { outputs } = await program.run(data);
  await program.release();
  const scores = (Object.values(outputs)[0]?.data ?? []) as Float32Array;
  const right = Array.from({ length: samples }, (_, n) => {
    const row = [...scores.subarray(3 * n, 3 * n + 3)];
    return row.indexOf(Math.max(...row)) === Number(target.data[n]) ? 1 : 0;
  }).reduce((sum: number, one) => sum + one, 0);
  for (const microbatchSize of [50, 7]) {
    const trainer = await Trainer.create(model, data, { ...common, batchSize: 50, microbatchSize, optimizer: adam() });
    expect((await trainer.step()).accuracy).toBe(right / samples);
    await trainer.release();
  }
});

describe("a training", () => {
  it("learns, by epochs, with a schedule", async () => {
    const results: StepResult[] = [];
    const optimizer = adam({ learningRate: schedules.cosine({ from: 0.05, steps: 80 }) });
    await train(model, data, { ...common, optimizer, epochs: 20, onStep: (result) => void results.push(result) });
    expect(results.length).toBe(80);
    expect(results.at(-1)?.loss).toBeLessThan(0.3 * (results[0]?.loss ?? 0));
  });

  it("goes on from a state, bit for bit", async () => {
    const options = { ...common, optimizer: adam(), microbatchSize: 5, seed: 3 };
    const whole = await train(model, data, { ...options, steps: 7 });
    const half = await train(model, data, { ...options, steps: 3 });
    expect(await train(model, data, { ...options, steps: 7, from: half.state })).toEqual(whole);
  });

  it("ends after the step under way where it is told to", async () => {
    const stop = new AbortController();
    const options = { ...common, optimizer: adam(), steps: 50, signal: stop.signal };
    const done = await train(model, data, {
      ...options,
      onStep: ({ step }) => {
        if (step === 4) stop.abort();
      },
    });
    expect(done.state.steps).toBe(4);
  });

  it("of the parameters that are not frozen leaves the others alone", async () => {
    const done = await train(model, data, { ...common, optimizer: adam(), steps: 2, frozen: ["0.*"] });
    const moved = Object.keys(model.parameters).filter(
      (name) => done.model.parameters[name] !== model.parameters[name],
    );
    expect(moved).toEqual(["2.weight", "2.bias"]);
  });

  it("takes all ways of drawing batches, empty ones included", async () => {
    for (const sampling of ["poisson", "uniform", "shuffled"] as const) {
      const done = await train(model, data, { ...common, optimizer: adam(), sampling, batchSize: 1, steps: 12 });
      expect(Object.values(done.model.parameters).every(({ data: values }) => values.every(Number.isFinite))).toBe(
        true,
      );
    }
  });

  it("refuses data that are not finite", async () => {
    const spoilt = { ...x, data: x.data.map((value, i) => (i === 9 ? Number.NaN : value)) };
    const attempt = train(model, { ...data, x: spoilt }, { ...common, optimizer: adam(), steps: 1 });
    await expect(attempt).rejects.toThrow(
      'The input "x" holds NaN or infinity, first in sample 2; remove the sample, or correct it.',
    );
  });

  it.each([{ steps: -1 }, { steps: 1.5 }, { epochs: -1 }, { epochs: Number.NaN }, {}])(
    "refuses a length of %j",
    async (length) => {
      const attempt = train(model, data, { ...common, optimizer: adam(), ...(length as { steps: number }) });
      await expect(attempt).rejects.toThrow("Give either steps");
    },
  );
});
