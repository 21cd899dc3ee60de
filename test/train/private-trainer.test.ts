/** What private trainers release, count, keep and refuse. */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  adam,
  averaging,
  loadModel,
  losses,
  nn,
  type PrivateStepOptions,
  PrivateTrainer,
  privacy,
  saveModel,
  sgd,
  tensor,
  train,
  trainPrivately,
} from "../../src/index.js";
import { readTensors } from "../../src/io/files.js";
import { gradientNoiseMultiplier } from "../../src/privacy/adaptive-clipping.js";
import { seededBits } from "../../src/privacy/random-bits.js";
import { poisson } from "../../src/train/samplers.js";
import type { TrainerState } from "../../src/train/types.js";
import { temporaryFolder } from "../support/folder.js";
import { recorder } from "./support.js";

const samples = 60;
const model = nn.model(nn.sequential(nn.linear(4, 6), nn.tanh(), nn.linear(6, 3)), { seed: 1 });
const x = tensor(
  "float32",
  [samples, 4],
  Float32Array.from({ length: samples * 4 }, (_, i) => Math.sin(i * 12.9898)),
);
const target = BigInt64Array.from({ length: samples }, (_, n) =>
  BigInt(Number((x.data[4 * n] ?? 0) > 0) + Number((x.data[4 * n + 1] ?? 0) > 0)),
);
const data = { x, target };

const ordinary = { loss: losses.crossEntropy(), batchSize: 20 };
const common = { ...ordinary, maxNorm: 0.5, noiseMultiplier: 1, delta: 1e-5 };

function create<S>(options: Partial<PrivateStepOptions<S>> & Pick<PrivateStepOptions<S>, "optimizer">, given = data) {
  return PrivateTrainer.create(model, given, { ...common, ...options });
}

const plain = sgd({ learningRate: 0.5 });

describe("a step", () => {
  it("of an empty batch adds noise and counts", async () => {
    // The first step whose batch is empty.
    let seed = 0;
    while (poisson(samples, 1, seededBits(seed, "sample", 0)).length > 0) seed++;
    const released = recorder();
    const trainer = await create({ optimizer: released.optimizer, batchSize: 1, seed });
    const result = await trainer.step();
    expect(result).toMatchObject({ step: 1, samples: 0, clipped: 0, dropped: 0, accuracy: null });
    expect(result.loss).toBeNaN();
    expect(result.epsilon).toBeGreaterThan(0);
    const noise = Object.values(released.last()).flatMap(({ data: each }) => [...each]);
    expect(noise.filter((each) => each === 0)).toEqual([]);
    expect(Math.hypot(...noise) / Math.sqrt(noise.length)).toBeGreaterThan(0.2);
    expect(trainer.state().ledger).toEqual([
      { kind: "gaussian", noiseMultiplier: 1, samplingRate: 1 / samples, steps: 1 },
    ]);
    await trainer.release();
  });

  it.each([1, 3, 7, 60])("is the same with microbatches of %i", async (microbatchSize) => {
    const [whole, parts] = [recorder(), recorder()];
    const one = await create({ optimizer: whole.optimizer, seed: 5 });
    const many = await create({ optimizer: parts.optimizer, seed: 5, microbatchSize });
    const [wanted, found] = [await one.step(), await many.step()];
    expect({ ...found, seconds: 0, loss: 0 }).toEqual({ ...wanted, seconds: 0, loss: 0 });
    expect(found.loss).toBeCloseTo(wanted.loss, 5);
    for (const [name, { data: gradient }] of Object.entries(whole.last()))
      gradient.forEach((each, i) => {
        expect(parts.last()[name]?.data[i]).toBeCloseTo(each, 5);
      });
    await one.release();
    await many.release();
  });

  it("leaves samples out whose gradients are not finite, and counts them", async () => {
    const spoilt = { ...x, data: x.data.slice() };
    const bad = [3, 17, 18, 44];
    [Number.NaN, Number.POSITIVE_INFINITY, 1e38, -3e38].forEach((value, k) => {
      spoilt.data.fill(value, 4 * (bad[k] as number), 4 * (bad[k] as number) + 4);
    });
    const good = Array.from({ length: samples }, (_, n) => n).filter((n) => !bad.includes(n));
    const without = {
      x: tensor(
        "float32",
        [good.length, 4],
        Float32Array.from(good.flatMap((n) => [...x.data.subarray(4 * n, 4 * n + 4)])),
      ),
      target: BigInt64Array.from(good, (n) => target[n] ?? 0n),
    };
    const [all, fewer] = [recorder(), recorder()];
    // Without noise, and everybody in each batch.
    const options = { noiseMultiplier: 0, seed: 1 };
    const one = await create({ ...options, optimizer: all.optimizer, batchSize: samples }, { ...data, x: spoilt });
    const other = await create({ ...options, optimizer: fewer.optimizer, batchSize: good.length }, without);
    const result = await one.step();
    expect(result).toMatchObject({ samples, dropped: bad.length });
    expect(result.loss).toBeCloseTo((await other.step()).loss, 5);
    for (const [name, { data: gradient }] of Object.entries(fewer.last()))
      gradient.forEach((each, i) => {
        expect((all.last()[name]?.data[i] ?? Number.NaN) * samples).toBeCloseTo(each * good.length, 4);
      });
    await one.release();
    await other.release();
  });

  it("of which all gradients are not finite is an empty one", async () => {
    const released = recorder();
    const spoilt = { ...x, data: x.data.map(() => Number.NaN) };
    const trainer = await create({ optimizer: released.optimizer, batchSize: samples }, { ...data, x: spoilt });
    expect(await trainer.step()).toMatchObject({ samples, dropped: samples, clipped: 0 });
    for (const { data: gradient } of Object.values(released.last())) expect(gradient.every(Number.isFinite)).toBe(true);
    await trainer.release();
  });

  it("is not taken while another is under way", async () => {
    const trainer = await create({ optimizer: plain });
    const first = trainer.step();
    await expect(trainer.step()).rejects.toThrow("A step is still running");
    expect((await first).step).toBe(1);
    expect((await trainer.step()).step).toBe(2);
    await trainer.release();
  });

  it("counts labels that the scores meet, and gradients that are clipped", async () => {
    const trainer = await create({ optimizer: plain, batchSize: samples, maxNorm: 1e-3, seed: 1 });
    const result = await trainer.step();
    expect(result.clipped).toBe(samples);
    expect((result.accuracy ?? 0.5) * samples).toBeCloseTo(Math.round((result.accuracy ?? 0) * samples), 9);
    await trainer.release();
  });

  it("is finished where a signal comes in the middle of it: it is paid for by then", async () => {
    const stopping = new AbortController();
    const options = { ...common, optimizer: plain, steps: 3, signal: stopping.signal, record: () => stopping.abort() };
    const { state } = await trainPrivately(model, data, options);
    expect([state.steps, state.recorded]).toEqual([1, 1]);
  });
});

describe("what a step spends", () => {
  it("is recorded before anything of it is released", async () => {
    const seen: unknown[] = [];
    const trainer = await create({
      optimizer: plain,
      record: async (spent) => {
        seen.push([spent, trainer.steps, trainer.parameters]);
      },
    });
    const first = trainer.parameters;
    await trainer.step();
    expect(seen).toEqual([[{ kind: "gaussian", noiseMultiplier: 1, samplingRate: 1 / 3, steps: 1 }, 0, first]]);
    expect(trainer.parameters).not.toEqual(first);
    await trainer.release();
  });

  it("is not released where recording fails", async () => {
    let full = true;
    const trainer = await create({
      optimizer: plain,
      record: () => {
        if (full) throw new Error("the disk is full");
      },
    });
    const before = trainer.state();
    await expect(trainer.step()).rejects.toThrow("the disk is full");
    expect(trainer.state()).toBe(before);
    full = false;
    expect((await trainer.step()).step).toBe(1);
    await trainer.release();
  });

  it("adds up by the accountants' figures", async () => {
    const trainer = await create({ optimizer: plain });
    expect(trainer.epsilon).toBe(0);
    const next = trainer.nextEpsilon;
    const first = await trainer.step();
    const second = await trainer.step();
    const spent = (steps: number) =>
      privacy.epsilon([{ kind: "gaussian", noiseMultiplier: 1, samplingRate: 1 / 3, steps }], { delta: 1e-5 });
    expect([next, first.epsilon, second.epsilon, trainer.epsilon]).toEqual([1, 1, 2, 2].map(spent));
    await trainer.release();
  });

  it("is infinite without noise", async () => {
    const done = await trainPrivately(model, data, { ...common, optimizer: plain, noiseMultiplier: 0, steps: 1 });
    expect(done.epsilon).toBe(Number.POSITIVE_INFINITY);
    expect(done.private).toBe(false);
    expect(done.guarantee).toBe("NOT PRIVATE: there were steps without noise, or with far too little.");
  });

  it("is said with a warning where delta is not below one over the samples", async () => {
    const run = (delta: number) => trainPrivately(model, data, { ...common, optimizer: plain, delta, steps: 1 });
    expect((await run(1 / samples)).guarantee).toContain("WARNING: delta is not below 1 / samples (60)");
    expect((await run(0.9 / samples)).guarantee).not.toContain("WARNING");
  });

  it("stays spent where the step fails", async () => {
    const seen: unknown[] = [];
    let fails = true;
    const trainer = await create({
      optimizer: plain,
      sampling: "shuffled",
      record: (spent) => void seen.push(spent),
      inputs: (_, { length }) => {
        if (length > 0 && fails) throw new Error("an index is out of range");
        return {};
      },
    });
    await expect(trainer.step()).rejects.toThrow("an index is out of range");
    const one = { kind: "gaussian", noiseMultiplier: 1, samplingRate: 1, steps: 1 };
    expect(seen).toEqual([one]);
    expect(trainer.state()).toMatchObject({ steps: 0, ledger: [one], recorded: 1 });
    fails = false;
    await trainer.step();
    await trainer.step();
    expect(trainer.state()).toMatchObject({ steps: 2, ledger: [{ ...one, steps: 2 }], recorded: 3 });
    await trainer.release();
  });

  it("is, for shuffled batches, one release of the whole data set for each epoch", async () => {
    const done = await trainPrivately(model, data, { ...common, optimizer: plain, sampling: "shuffled", steps: 7 });
    const whole = { kind: "gaussian", noiseMultiplier: 1, samplingRate: 1, steps: 3 } as const;
    expect(done.state.ledger).toEqual([whole]);
    expect(done.epsilon).toBe(privacy.epsilon([whole], { delta: 1e-5 }));
    expect(done.guarantee).toContain("for one sample replaced by nothing, by disjoint batches in each epoch");
  });
});

describe("a target epsilon", () => {
  it.each(["poisson", "shuffled"] as const)("is arrived at with the last step, by %s batches", async (sampling) => {
    const done = await trainPrivately(model, data, {
      ...common,
      noiseMultiplier: undefined,
      optimizer: plain,
      sampling,
      targetEpsilon: 2,
      epochs: 4,
    });
    expect(done.epsilon).toBeLessThanOrEqual(2);
    expect(done.epsilon).toBeGreaterThan(1.99);
    expect(done.state.steps).toBe(12);
    expect(done.private).toBe(true);
    expect(done.guarantee).toMatch(/^Differentially private: epsilon 2\.000 at delta 0\.00001/);
  });

  it("is never exceeded, also where steps were lost in a crash", async () => {
    const options = { ...common, noiseMultiplier: undefined, optimizer: plain, targetEpsilon: 2, steps: 20 };
    const part = await trainPrivately(model, data, { ...options, signal: AbortSignal.abort() });
    const { noiseMultiplier } = part;
    expect(part.state.steps).toBe(0);
    // Five steps were taken and paid for after the last checkpoint.
    const lost = { kind: "gaussian", noiseMultiplier, samplingRate: 1 / 3, steps: 5 } as const;
    const done = await trainPrivately(model, data, {
      ...options,
      from: { ...part.state, ledger: [lost], recorded: 5 },
    });
    expect(done.noiseMultiplier).toBe(noiseMultiplier);
    expect(done.state.steps).toBe(15);
    expect(done.state.ledger).toEqual([{ ...lost, steps: 20 }]);
    expect(done.epsilon).toBeLessThanOrEqual(2);
  });

  it("is not exceeded by going on from a run that had less noise", async () => {
    const options = { ...common, optimizer: plain, batchSize: 6 };
    const first = await trainPrivately(model, data, { ...options, noiseMultiplier: 1, steps: 10 });
    expect(first.epsilon).toBeLessThan(4);
    const done = await trainPrivately(model, data, {
      ...options,
      noiseMultiplier: undefined,
      targetEpsilon: 4,
      steps: 40,
      from: first.state,
    });
    expect(done.epsilon).toBeLessThanOrEqual(4);
    expect(done.state.steps).toBeGreaterThan(10);
    expect(done.state.steps).toBeLessThan(40);
  });

  it("is given, or the noise, not both", async () => {
    const both = { ...common, optimizer: plain, targetEpsilon: 2, steps: 1 } as never;
    await expect(trainPrivately(model, data, both)).rejects.toThrow("Give either noiseMultiplier or targetEpsilon");
    const length = { ...common, optimizer: plain, steps: 1, epochs: 1 } as never;
    await expect(trainPrivately(model, data, length)).rejects.toThrow("Give either steps");
  });
});

/** Steps taken by a new trainer from each state to the next. */
async function interrupted<S>(options: PrivateStepOptions<S>, steps: number): Promise<TrainerState<S>> {
  let from: TrainerState<S> | undefined;
  for (let k = 0; k < steps; k++) {
    const trainer = await PrivateTrainer.create(model, data, { ...options, ...(from ? { from } : {}) });
    await trainer.step();
    from = trainer.state();
    await trainer.release();
  }
  return from as TrainerState<S>;
}

describe("a trainer that goes on from a state", () => {
  const kinds: Readonly<Record<string, Partial<PrivateStepOptions<unknown>>>> = {
    "Poisson batches": {},
    "shuffled batches": { sampling: "shuffled" },
    "adaptive clipping": { adaptive: { countNoise: 2 } },
  };

  it.each(Object.keys(kinds))("does what the first would have done, bit for bit, with %s", async (kind) => {
    const optimizer = averaging(adam({ learningRate: 0.01 }), { decay: 0.9 });
    const options = { ...common, optimizer, seed: 9, ...kinds[kind] } as PrivateStepOptions<unknown>;
    const trainer = await PrivateTrainer.create(model, data, options);
    for (let k = 0; k < 5; k++) await trainer.step();
    const found = await interrupted(options, 5);
    const { ledger } = trainer.state();
    // Each of the trainers pays for its shuffled epoch.
    const paid = options.sampling === "shuffled" ? [{ ...ledger[0], steps: 5 }] : ledger;
    expect(found).toEqual({ ...trainer.state(), ledger: paid });
    await trainer.release();
  });

  it.each([
    ["after Poisson sampling", { sampling: "poisson" }, { sampling: "shuffled" }],
    ["with other batches", { sampling: "shuffled" }, { sampling: "shuffled", batchSize: 15 }],
  ] as const)("pays for its first shuffled step %s", async (_, before, now) => {
    const options = { ...common, optimizer: plain };
    const first = await trainPrivately(model, data, { ...options, ...before, steps: 1 });
    const trainer = await create({ optimizer: plain, ...now, from: first.state });
    const spent = trainer.epsilon;
    expect(trainer.nextEpsilon).toBeGreaterThan(spent);
    await trainer.step();
    expect(trainer.state().ledger.at(-1)).toMatchObject({
      samplingRate: 1,
      steps: before.sampling === "shuffled" ? 2 : 1,
    });
    await trainer.release();
  });

  it("does not exceed the target epsilon by an interrupted epoch", async () => {
    const options = { ...common, noiseMultiplier: undefined, targetEpsilon: 2, optimizer: plain, steps: 9 };
    const stop = new AbortController();
    const part = await trainPrivately(model, data, {
      ...options,
      sampling: "shuffled",
      signal: stop.signal,
      onStep: ({ step }) => (step === 4 ? stop.abort() : undefined),
    });
    const done = await trainPrivately(model, data, { ...options, sampling: "shuffled", from: part.state });
    expect(done.epsilon).toBeLessThanOrEqual(2);
    expect(done.state.steps).toBe(6);
  });

  it("counts steps of ordinary training as steps without noise", async () => {
    const options = { ...common, optimizer: plain };
    const first = await trainPrivately(model, data, { ...options, steps: 3 });
    const between = await train(model, data, { ...ordinary, optimizer: plain, steps: 6, from: first.state });
    expect(between.state.ledger).toEqual([
      ...first.state.ledger,
      { kind: "gaussian", noiseMultiplier: 0, samplingRate: 1, steps: 3 },
    ]);
    const done = await trainPrivately(model, data, { ...options, steps: 8, from: between.state });
    expect(done).toMatchObject({ epsilon: Number.POSITIVE_INFINITY, private: false });
    expect(done.guarantee).toMatch(/^NOT PRIVATE/);
    for (const accountant of ["pld", "rdp", "gdp"] as const)
      expect(privacy.epsilon(done.state.ledger, { delta: 1e-5, accountant })).toBe(Number.POSITIVE_INFINITY);
  });

  it("needs a ledger of all steps that were taken", async () => {
    const { state } = await trainPrivately(model, data, { ...common, optimizer: plain, steps: 3 });
    const of = (part: object) => create({ optimizer: plain, from: { ...state, ...part } });
    for (const part of [{ ledger: [] }, { recorded: 2 }, { steps: 4 }])
      await expect(of(part)).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
        message: expect.stringContaining("but its ledger holds fewer"),
      });
  });

  it("needs the same parameters and the same optimizer, private or not", async () => {
    const options = { ...common, optimizer: plain as never, steps: 1 };
    const { state } = await trainPrivately(model, data, options);
    const other = nn.model(nn.sequential(nn.linear(4, 5), nn.tanh(), nn.linear(5, 3)));
    const wide = averaging(plain, { decay: 0.9 });
    const wrong: readonly (readonly [string, typeof model, object])[] = [
      ['has "0.weight" as [6, 4], but', other, {}],
      ['has the parameter "0.weight", which is not to be trained', model, { frozen: ["0.*"] }],
      ['another optimizer: it has no "first"', model, { optimizer: adam() }],
      ['another optimizer: it has no "optimizer"', model, { optimizer: wide }],
    ];
    for (const [message, of, more] of wrong) {
      const rest = { optimizer: plain as never, steps: 1, ...more, from: state };
      for (const start of [
        () => trainPrivately(of, data, { ...common, ...rest }),
        () => train(of, data, { ...ordinary, ...rest }),
      ]) {
        await expect(start()).rejects.toMatchObject({
          code: "INVALID_ARGUMENT",
          message: expect.stringContaining(message),
        });
      }
    }
    const part = await trainPrivately(model, data, { ...options, frozen: ["0.*"] });
    await expect(create({ optimizer: plain as never, from: part.state })).rejects.toThrow(
      'has no parameter "0.weight"',
    );
  });

  it("pays for a shuffled epoch again where steps were lost", async () => {
    const options = { ...common, optimizer: plain, sampling: "shuffled" as const };
    const trainer = await PrivateTrainer.create(model, data, options);
    await trainer.step();
    const checkpoint = trainer.state();
    await trainer.step();
    const { ledger, recorded } = trainer.state();
    await trainer.release();
    const again = await PrivateTrainer.create(model, data, { ...options, from: { ...checkpoint, ledger, recorded } });
    await again.step();
    await again.step();
    expect(again.state().ledger).toEqual([{ kind: "gaussian", noiseMultiplier: 1, samplingRate: 1, steps: 2 }]);
    await again.release();
  });

  it("needs the same seed, and the same kind of clipping", async () => {
    const trainer = await create({ optimizer: plain, seed: 1 });
    const from = trainer.state();
    await trainer.release();
    await expect(create({ optimizer: plain, from })).rejects.toThrow("made with the seed 1");
    await expect(create({ optimizer: plain, from, seed: 1, adaptive: {} })).rejects.toThrow("made without adaptive");
  });
});

describe("a seed", () => {
  it("repeats a run, and makes it say that it is not private", async () => {
    const run = () => trainPrivately(model, data, { ...common, optimizer: plain, steps: 3, seed: 2 });
    const [first, second] = [await run(), await run()];
    expect(second).toEqual(first);
    expect(first.private).toBe(false);
    expect(first.guarantee).toMatch(/^NOT PRIVATE: noise and batches came from the seed 2\./);
    expect(first.state.seed).toBe(2);
  });

  it("not given, no run is like another", async () => {
    const run = () => trainPrivately(model, data, { ...common, optimizer: plain, steps: 1, batchSize: samples });
    expect((await run()).model.parameters).not.toEqual((await run()).model.parameters);
  });
});

describe("adaptive clipping", () => {
  it("finds the quantile of the norms, privately", async () => {
    const released = recorder();
    const trainer = await create({
      optimizer: released.optimizer,
      batchSize: samples,
      maxNorm: 20,
      adaptive: { targetQuantile: 0.7, countNoise: 1 },
      noiseMultiplier: 0.5,
    });
    let within = 0;
    for (let k = 0; k < 120; k++) {
      const { clipped } = await trainer.step();
      if (k >= 60) within += (samples - clipped) / samples / 60;
    }
    expect(within).toBeGreaterThan(0.6);
    expect(within).toBeLessThan(0.8);
    await trainer.release();
  });

  it("counts both releases: together they amount to the noise multiplier", () => {
    for (const noiseMultiplier of [0.5, 1, 3]) {
      for (const countNoise of [2, 5, 100]) {
        const own = gradientNoiseMultiplier(noiseMultiplier, { targetQuantile: 0.5, learningRate: 0.2, countNoise });
        // Two Gaussian releases of the same batch: precisions add up.
        expect(own ** -2 + (countNoise / 0.5) ** -2).toBeCloseTo(noiseMultiplier ** -2, 12);
      }
    }
  });

  it("refuses what it cannot do", async () => {
    const of = (options: object) => create({ optimizer: plain, adaptive: {}, ...options });
    await expect(of({ adaptive: { countNoise: 0.4 } })).rejects.toThrow("countNoise is 0.4; it must be above half");
    await expect(of({ adaptive: { targetQuantile: 2 } })).rejects.toThrow("targetQuantile is 2");
    await expect(of({ groups: { all: ["*"] } })).rejects.toThrow("Adaptive clipping clips the whole gradient");
    await expect(of({ automatic: { gamma: 0.1 } })).rejects.toThrow("either adaptive or automatic");
  });
});

describe("what is trained", () => {
  it("may be the last layers of a loaded model alone, and is saved as ONNX again", async () => {
    const folder = join(import.meta.dirname, "..", "goldens", "opacus_mnist_cnn");
    const loaded = await loadModel(join(folder, "model.onnx"));
    const given = Object.fromEntries(await readTensors(join(folder, "data.safetensors")));
    const done = await trainPrivately(loaded, given, {
      ...common,
      optimizer: sgd({ learningRate: 0.1, momentum: 0.9 }),
      batchSize: 2,
      steps: 2,
      parameters: ["7.*", "9.*"],
    });
    const moved = Object.keys(loaded.parameters).filter(
      (name) => done.model.parameters[name] !== loaded.parameters[name],
    );
    expect(moved.sort()).toEqual(["7.bias", "7.weight", "9.bias", "9.weight"]);
    const path = join(temporaryFolder(), "trained.onnx");
    await saveModel(done.model, path);
    const again = await loadModel(path);
    for (const [name, { data: values }] of Object.entries(done.model.parameters))
      expect(again.parameters[name]?.data).toEqual(values);
  });

  it("may take inputs that are made anew for each step, such as a dropout's seeds", async () => {
    const dropping = nn.model(nn.sequential(nn.linear(4, 6), nn.dropout(0.5), nn.linear(6, 3)), { seed: 1 });
    const asked: number[][] = [];
    const done = await trainPrivately(dropping, data, {
      ...common,
      optimizer: plain,
      steps: 3,
      inputs: (step, numbers) => {
        asked.push([step, numbers.length]);
        return { seed: BigInt64Array.from(numbers, (n) => BigInt(1000 * step + n)) };
      },
    });
    expect(done.state.steps).toBe(3);
    expect(new Set(asked.map(([step]) => step))).toEqual(new Set([0, 1, 2]));
  });

  it("learns", async () => {
    const losses_: number[] = [];
    await trainPrivately(model, data, {
      ...common,
      optimizer: sgd({ learningRate: 2, momentum: 0.5 }),
      batchSize: samples,
      noiseMultiplier: 0.5,
      seed: 1,
      steps: 40,
      onStep: ({ loss }, { steps }) => {
        expect(steps).toBe(40);
        losses_.push(loss);
      },
    });
    expect(losses_.length).toBe(40);
    expect(losses_.at(-1)).toBeLessThan(0.7 * (losses_[0] ?? 0));
  });
});

describe("options that cannot be", () => {
  const wrong: readonly (readonly [Partial<PrivateStepOptions<unknown>>, string])[] = [
    [{ noiseMultiplier: -1 }, "noiseMultiplier is -1"],
    [{ noiseMultiplier: Number.NaN }, "noiseMultiplier is NaN"],
    [{ delta: 0 }, "delta is 0"],
    [{ delta: 1 }, "delta is 1"],
    [{ maxNorm: 0 }, "maxNorm is 0"],
    [{ maxNorm: { "0.weight": 1 } }, 'no limit for the parameter "0.bias"'],
    [{ sampling: "uniform" }, "There is no accountant for batches of a fixed size"],
    [{ batchSize: 61 }, "A batch of 61 cannot be drawn from 60 samples"],
    [{ seed: -1 }, "A seed must be a whole number"],
    [{ microbatchSize: 0 }, "microbatchSize is 0; it must be a whole number"],
  ];

  it.each(wrong)("%j are refused", async (options, message) => {
    const attempt = async () => {
      const trainer = await create({ optimizer: plain as never, ...options });
      try {
        await trainer.step();
      } finally {
        await trainer.release();
      }
    };
    await expect(attempt()).rejects.toThrow(message);
  });

  it("are told at once: data of a wrong shape, labels that are no classes, no data", async () => {
    const of = (given: Record<string, unknown>) => create({ optimizer: plain }, { ...data, ...given } as never);
    await expect(of({ target: target.map(() => 3n) })).rejects.toMatchObject({ code: "LABEL_OUT_OF_RANGE" });
    await expect(of({ x: new Float32Array(7) })).rejects.toMatchObject({ code: "SHAPE_MISMATCH" });
    await expect(of({ x: new Float32Array(0), target: new BigInt64Array(0) })).rejects.toThrow("no samples");
  });
});
