/**
 * Private training by workers is that of one machine: workers die at random points, and no part is in a sum twice,
 * none is left out, and no worker computes before the step is in the ledger.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  localWorkers,
  losses,
  nn,
  PergradError,
  type PrivateStepOptions,
  PrivateTrainer,
  sgd,
  type TrainingWorkers,
  tensor,
  trainPrivately,
} from "../../src/index.js";
import type { Parameters } from "../../src/train/optimizer.js";
import { type PartWorker, StepPool } from "../../src/train/step-workers.js";

const samples = 60;
const model = nn.model(nn.sequential(nn.linear(5, 6), nn.tanh(), nn.linear(6, 3)), { seed: 3 });

/** Sample 7 holds a NaN: it is dropped. */
const data = {
  x: tensor(
    "float32",
    [samples, 5],
    Float32Array.from({ length: samples * 5 }, (_, k) => (k === 36 ? Number.NaN : Math.sin(k * k))),
  ),
  target: tensor(
    "int64",
    [samples],
    BigInt64Array.from({ length: samples }, (_, n) => BigInt((n * n) % 3)),
  ),
};

/** Without noise; the seed draws the batches. Parts are of 4 samples. */
const options = {
  loss: losses.crossEntropy(),
  optimizer: sgd({ learningRate: 1 }),
  batchSize: 30,
  microbatchSize: 4,
  maxNorm: 0.3,
  noiseMultiplier: 0,
  delta: 1e-5,
  seed: 5,
} satisfies PrivateStepOptions<unknown>;

function mustEqual(found: Parameters, expected: Parameters): void {
  for (const [name, { data }] of Object.entries(expected)) {
    const largest = data.reduce((most, each) => Math.max(most, Math.abs(each)), 0);
    const furthest = data.reduce(
      (most, each, k) => Math.max(most, Math.abs(each - (found[name]?.data[k] ?? Infinity))),
      0,
    );
    expect(furthest).toBeLessThanOrEqual(1e-8 * largest);
  }
}

async function alone(steps: number, more: Partial<typeof options> = {}) {
  return trainPrivately(model, data, { ...options, ...more, steps });
}

describe("training by localWorkers", () => {
  it.each([0, 1.1])("equals that of one machine, with the noise multiplier %j", async (noiseMultiplier) => {
    const seen: unknown[] = [];
    const expected = await alone(3, { noiseMultiplier });
    const found = await trainPrivately(model, data, {
      ...options,
      noiseMultiplier,
      steps: 3,
      cluster: localWorkers({ count: 2 }),
      onStep: ({ samples, loss, accuracy, clipped, droppedSamples }) => {
        seen.push({ samples, loss, accuracy, clipped, droppedSamples });
      },
    });
    mustEqual(found.state.parameters, expected.state.parameters);
    expect(found.state.ledger).toEqual(expected.state.ledger);
    const steps: unknown[] = [];
    await trainPrivately(model, data, {
      ...options,
      noiseMultiplier,
      steps: 3,
      onStep: ({ samples, loss, accuracy, clipped, droppedSamples }) => {
        steps.push({ samples, loss: expect.closeTo(loss, 6), accuracy, clipped, droppedSamples });
      },
    });
    expect(seen).toEqual(steps);
  });

  it.each([0, 1.5, -1, Number.NaN])("takes a whole number of workers, not %j", (count) => {
    expect(() => localWorkers({ count })).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  });
});

/** When a worker dies: not at all, before it computes, when its answer is not sent yet, or so that it is only taken for dead. */
type Death = "none" | "before" | "after" | "late";

/** Workers of this process that die as `deaths` says, one entry for each time that a part is begun. */
function mortal(count: number, deaths: () => Death, began: () => void): TrainingWorkers {
  const dead = () => new PergradError("RUNTIME", "A worker thread ended unexpectedly.");
  return {
    begin: async ({ clipper }) => {
      const own = await clipper({});
      const worker = (): PartWorker => ({
        clip: async (part, run) => {
          began();
          const death = deaths();
          if (death === "before") throw dead();
          const answer = own.clip(part, run);
          // It goes on computing, though nobody waits for it.
          if (death === "late") throw dead();
          const found = await answer;
          if (death === "after") throw dead();
          return found;
        },
        release: async () => {},
      });
      const pool = new StepPool(async () => worker(), count);
      return { clip: (parts, run) => pool.clip(parts, run), release: () => own.release() };
    },
  };
}

describe("workers that die at random points", () => {
  it("are neither in the sum twice nor left out of it, and never compute what is not paid", async () => {
    const steps = 2;
    const expected = await alone(steps);
    const death = fc.constantFrom<Death>("none", "none", "before", "after", "late");
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.array(death, { maxLength: 12 }), async (count, drawn) => {
        let deaths = 0;
        // No part's workers may die four times in a row.
        const next = () => {
          const own = drawn[deaths++] ?? "none";
          return deaths % 3 === 0 ? "none" : own;
        };
        let paid = 0;
        let unpaid = 0;
        const trainer = await PrivateTrainer.create(model, data, {
          ...options,
          record: () => {
            paid++;
          },
          cluster: mortal(count, next, () => {
            if (paid !== trainer.steps + 1) unpaid++;
          }),
        });
        try {
          for (let step = 0; step < steps; step++) await trainer.step();
          mustEqual(trainer.parameters, expected.state.parameters);
          expect(trainer.state().ledger).toEqual(expected.state.ledger);
          expect([paid, unpaid]).toEqual([steps, 0]);
        } finally {
          await trainer.release();
        }
      }),
      { numRuns: 8 },
    );
  });

  it("again and again are an error; the step is paid, and nothing of it is released", async () => {
    const trainer = await PrivateTrainer.create(model, data, {
      ...options,
      cluster: mortal(
        2,
        () => "after",
        () => {},
      ),
    });
    const before = trainer.parameters;
    await expect(trainer.step()).rejects.toMatchObject({ code: "RUNTIME" });
    expect(trainer.parameters).toBe(before);
    expect(trainer.state()).toMatchObject({ steps: 0, recorded: 1 });
    expect(trainer.state().ledger).toHaveLength(1);
    await trainer.release();
  });
});
