/** A training that is interrupted goes on as if it had not been, and never forgets what it has spent. */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { adam, averaging, losses, nn, privacy, tensor, train, trainPrivately } from "../../src/index.js";
import { readLedger } from "../../src/privacy/ledger.js";
import type { GaussianMechanism } from "../../src/privacy/mechanism.js";
import type { CheckpointOptions, PrivateTrainOptions, StepResult } from "../../src/train/types.js";
import { temporaryFolder } from "../support/folder.js";

const samples = 40;
const wave = (size: number) => Float32Array.from({ length: size }, (_, i) => Math.sin(1 + 3 * i));
const dataset = {
  x: tensor("float32", [samples, 3], wave(3 * samples)),
  target: tensor(
    "int64",
    [samples],
    BigInt64Array.from({ length: samples }, (_, n) => BigInt(n % 2)),
  ),
};
const model = nn.model(nn.linear(3, 2));
const optimizer = averaging(adam({ learningRate: 0.05 }), { decay: 0.9 });
const common = { loss: losses.crossEntropy(), optimizer, batchSize: 8, steps: 10, threads: 1 } as const;
const base = { ...common, delta: 1e-5, maxNorm: 0.5, noiseMultiplier: 1.5 } as const;

type Options = PrivateTrainOptions<ReturnType<typeof optimizer.start>>;

const run = (checkpoint: CheckpointOptions, options: Partial<Options> = {}) =>
  trainPrivately(model, dataset, { ...base, ...options, checkpoint } as Options);

/** Ends the training after so many steps: as Ctrl-C would, or as a crash. */
const after = (steps: number, end: "abort" | "crash") => {
  const controller = new AbortController();
  const onStep = ({ step }: StepResult) => {
    if (step < steps) return;
    if (end === "crash") throw new Error("crash");
    controller.abort();
  };
  return { onStep, signal: controller.signal };
};

const mechanism = (steps: number): GaussianMechanism => ({
  kind: "gaussian",
  noiseMultiplier: 1.5,
  samplingRate: 0.2,
  steps,
});

describe("a seeded private training", () => {
  it.each([
    ["poisson", {}],
    ["shuffled", { sampling: "shuffled" }],
    ["adaptive", { adaptive: { countNoise: 5 } }],
  ] as const)("with %s batches or clipping, stopped and resumed, is the same bit for bit", async (_, more) => {
    const whole = await run({ folder: temporaryFolder() }, { ...more, seed: 5 });
    const folder = join(temporaryFolder(), "new", "run");
    const options = { ...more, seed: 5 };
    for (const steps of [3, 7]) {
      const stopped = await run({ folder, resume: steps > 3 }, { ...options, ...after(steps, "abort") });
      expect(stopped.state.steps).toBe(steps);
    }
    const resumed = await run({ folder, resume: true }, options);
    // An interrupted epoch of shuffled batches is paid for again: the second and third runs begin within one.
    const again = "sampling" in more ? 2 : 0;
    const [spent] = whole.state.ledger;
    const ledger = [{ ...spent, steps: (spent?.steps ?? 0) + again }];
    expect(resumed.state).toEqual({ ...whole.state, ledger });
    expect(resumed.epsilon).toBe(privacy.epsilon(ledger as GaussianMechanism[], { delta: 1e-5 }));
    expect(resumed.guarantee).toMatch(/^NOT PRIVATE/);
  });

  it("is not resumed with another seed, nor as a private one", async () => {
    const folder = temporaryFolder();
    await run({ folder }, { seed: 5, ...after(2, "abort") });
    await expect(run({ folder, resume: true }, { seed: 6 })).rejects.toThrow("with the seed 5");
    await expect(run({ folder, resume: true })).rejects.toThrow("with the seed 5");
  });
});

describe("a private training that crashed", () => {
  it("takes its lost steps again, and counts them twice", async () => {
    const folder = temporaryFolder();
    await expect(run({ folder, every: 4 }, after(7, "crash"))).rejects.toThrow("crash");
    expect(await readLedger(join(folder, "ledger"))).toEqual(Array.from({ length: 7 }, () => mechanism(1)));
    const resumed = await run({ folder, every: 4, resume: true });
    expect(resumed.state).toMatchObject({ steps: 10, ledger: [mechanism(13)], recorded: 13 });
    expect(resumed.epsilon).toBe(privacy.epsilon([mechanism(13)], { delta: 1e-5 }));
    expect(resumed.guarantee).toMatch(/^Differentially private/);
  });

  it("ends before its target epsilon is exceeded", async () => {
    const folder = temporaryFolder();
    const options = { noiseMultiplier: undefined, targetEpsilon: 2 } as Partial<Options>;
    await expect(run({ folder, every: 4 }, { ...options, ...after(7, "crash") })).rejects.toThrow("crash");
    const resumed = await run({ folder, every: 4, resume: true }, options);
    expect(resumed.state).toMatchObject({ steps: 7, recorded: 10 });
    expect(resumed.epsilon).toBeLessThanOrEqual(2);
  });

  it("goes on from its beginning where it had no checkpoint yet", async () => {
    const folder = temporaryFolder();
    await expect(run({ folder }, after(2, "crash"))).rejects.toThrow("crash");
    const resumed = await run({ folder, resume: true });
    expect(resumed.state).toMatchObject({ steps: 10, recorded: 12 });
  });
});

it("the ledger holds a step before anybody is told of it", async () => {
  const folder = temporaryFolder();
  await run(
    { folder },
    {
      onStep: async ({ step }) => {
        expect(await readLedger(join(folder, "ledger"))).toHaveLength(step);
      },
    },
  );
});

it("goes on where there is a run and begins one where there is none, unless it is told which", async () => {
  const folder = join(temporaryFolder(), "run");
  const seeded = { seed: 5 };
  await expect(run({ folder, resume: true })).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
  const first = await run({ folder }, { ...seeded, steps: 4 });
  const all = await run({ folder }, { ...seeded, steps: 10 });
  expect([first.state.steps, all.state.steps]).toEqual([4, 10]);
  expect((await run({ folder }, { ...seeded, steps: 10 })).state).toEqual(all.state);
  await expect(run({ folder, resume: false }, { ...seeded, steps: 10 })).rejects.toThrow("holds one already");
});

it("ordinary training is resumed too", async () => {
  const plain = { ...common, seed: 3 };
  const whole = await train(model, dataset, plain);
  const folder = temporaryFolder();
  await train(model, dataset, { ...plain, ...after(4, "abort"), checkpoint: { folder } });
  const resumed = await train(model, dataset, { ...plain, checkpoint: { folder, resume: true } });
  expect(resumed.state).toEqual(whole.state);
});

it("a run is neither begun over another, nor resumed with other options", async () => {
  const folder = temporaryFolder();
  await run({ folder }, after(1, "abort"));
  await expect(run({ folder, resume: false })).rejects.toThrow("holds one already");
  await expect(run({ folder, resume: true }, { batchSize: 4 })).rejects.toThrow("batch size 8, not 4");
  await expect(run({ folder, resume: true }, { noiseMultiplier: 1 })).rejects.toThrow("noise multiplier 1.5, not 1");
  await expect(run({ folder, resume: true }, { maxNorm: 1 })).rejects.toThrow("clipping norm 0.5, not 1");
  const aimed = { noiseMultiplier: undefined, targetEpsilon: 3 };
  const other = temporaryFolder();
  await run({ folder: other }, { ...after(1, "abort"), ...aimed });
  const longer = run({ folder: other, resume: true }, { ...aimed, steps: 20 });
  await expect(longer).rejects.toThrow(/number of steps 10, not 20/);
  await expect(run({ folder, every: 0 })).rejects.toThrow("checkpoint.every is 0");
  const { state } = await run({ folder, resume: true });
  await expect(run({ folder: temporaryFolder() }, { from: state })).rejects.toThrow("has its own state");
});
