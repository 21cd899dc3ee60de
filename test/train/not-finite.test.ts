/** Training stops before numbers that are not finite get into the weights; what came before is kept. */
import { describe, expect, it } from "vitest";
import {
  adam,
  adamW,
  averaging,
  losses,
  type Model,
  type PrivateStepResult,
  PrivateTrainer,
  sgd,
  type Trained,
  Trainer,
  TrainingStopped,
  train,
  trainPrivately,
} from "../../src/index.js";
import { uniform } from "../../src/nn/initial-values.js";
import { trace } from "../../src/nn/model.js";
import { temporaryFolder } from "../support/folder.js";

/** A sample of zeros has a finite loss, and no derivative. */
const rooted: Model = trace(
  { x: ["N", 3] },
  { weight: uniform([3, 2], 1), bias: uniform([2], 1) },
  ({ x }, { weight, bias }) => x.matmul(weight).square().sqrt().add(bias),
);
const linear: Model = trace({ x: ["N", 3] }, { weight: uniform([3, 2], 1) }, ({ x }, { weight }) => x.matmul(weight));

function batch(samples: number, zeros: readonly number[] = []) {
  const x = Float32Array.from({ length: samples * 3 }, (_, k) => Math.sin(1 + k));
  for (const n of zeros) x.fill(0, 3 * n, 3 * n + 3);
  return { x, target: Float32Array.from({ length: samples * 2 }, (_, k) => Math.cos(k)) };
}

const allFinite = (model: Model) => Object.values(model.parameters).every(({ data }) => data.every(Number.isFinite));

async function stopped(training: Promise<unknown>): Promise<TrainingStopped<Trained<unknown>>> {
  const error: unknown = await training.then(
    () => undefined,
    (reason) => reason,
  );
  if (!(error instanceof TrainingStopped)) throw error ?? new Error("the training did not stop");
  return error;
}

describe("train", () => {
  const common = { loss: losses.mse(), batchSize: 1, steps: 8 };

  it.each([
    ["sgd", sgd({ learningRate: 0.01 })],
    ["adam", adam()],
    ["averaging", averaging(sgd({ learningRate: 0.01, momentum: 0.9 }), { decay: 0.9 })],
  ])("by %s stops at a sample whose gradient is not finite, and names it", async (_, optimizer) => {
    const error = await stopped(
      train(rooted, batch(8, [5]), { ...common, optimizer: optimizer as ReturnType<typeof sgd> }),
    );
    expect(error).toMatchObject({
      code: "NOT_FINITE",
      message: expect.stringMatching(/^Step \d was not taken.*gradient of sample 5 \(in "weight"\) is not finite/),
    });
    const { model, state } = error.trained;
    expect(allFinite(model)).toBe(true);
    expect(error.message.startsWith(`Step ${state.steps + 1} `)).toBe(true);
  });

  it.each([
    ["sgd", sgd({ learningRate: 1e9 })],
    ["adamW", adamW({ learningRate: 1e30, weightDecay: 1e9 })],
  ])("by %s stops where a learning rate makes weights overflow", async (_, optimizer) => {
    const training = train(linear, batch(4), {
      ...common,
      batchSize: 4,
      steps: 200,
      optimizer: optimizer as ReturnType<typeof sgd>,
    });
    const error = await stopped(training);
    expect(error.message).toMatch(/^Step \d+ /);
    expect(error.message).toMatch(/smaller learning rate/);
    expect(allFinite(error.trained.model)).toBe(true);
  });

  it("keeps the last good state of a trainer, and in the checkpoint's folder", async () => {
    const trainer = await Trainer.create(linear, batch(4), {
      ...common,
      batchSize: 4,
      optimizer: sgd({ learningRate: 1e12 }),
    });
    let last = trainer.state();
    for (let k = 0; k < 100; k++) {
      last = trainer.state();
      if (
        await trainer.step().then(
          () => false,
          () => true,
        )
      )
        break;
    }
    expect(trainer.state()).toBe(last);
    await expect(trainer.step()).rejects.toMatchObject({ code: "NOT_FINITE" });
    expect(allFinite(trainer.model)).toBe(true);
    await trainer.release();

    const folder = `${temporaryFolder()}/run`;
    const options = { ...common, batchSize: 4, steps: 100, checkpoint: { folder } };
    const first = await stopped(train(linear, batch(4), { ...options, optimizer: sgd({ learningRate: 1e12 }) }));
    const { state } = first.trained;
    const resumed = await train(linear, batch(4), {
      ...options,
      steps: state.steps,
      checkpoint: { folder, resume: true },
      optimizer: sgd({ learningRate: 1e-3 }),
    });
    expect(resumed.state.steps).toBe(state.steps);
    expect(allFinite(resumed.model)).toBe(true);
  });
});

describe("private training", () => {
  const common = { loss: losses.mse(), batchSize: 3, maxNorm: 1, noiseMultiplier: 1, delta: 1e-5, seed: 1 };

  it("drops samples whose gradients are not finite, and tells which", async () => {
    const told: number[] = [];
    const { model } = await trainPrivately(rooted, batch(6, [2, 4]), {
      ...common,
      steps: 12,
      optimizer: sgd({ learningRate: 0.1 }),
      onStep: ({ dropped, droppedSamples }: PrivateStepResult) => {
        expect(droppedSamples).toHaveLength(dropped);
        told.push(...droppedSamples);
      },
    });
    expect([...new Set(told)].sort()).toEqual([2, 4]);
    expect(allFinite(model)).toBe(true);
  });

  it("stops where weights overflow, with what was spent and the last good weights", async () => {
    const error = await stopped(
      trainPrivately(linear, batch(6), {
        ...common,
        steps: 50,
        optimizer: sgd({ learningRate: 1e38, weightDecay: 1e9 }),
      }),
    );
    expect(error.message).toMatch(/^Step \d+ would write numbers that are not finite into the parameter "weight"/);
    expect(allFinite(error.trained.model)).toBe(true);
    expect(error.trained).toHaveProperty("guarantee");
    const trainer = await PrivateTrainer.create(linear, batch(6), {
      ...common,
      optimizer: sgd({ learningRate: 1e38, weightDecay: 1e9 }),
    });
    const { recorded } = trainer.state();
    await expect(trainer.step().then(() => trainer.step())).rejects.toMatchObject({ code: "NOT_FINITE" });
    // A step that failed is paid for.
    expect(trainer.state().recorded).toBe(recorded + trainer.steps + 1);
    await trainer.release();
  });
});
