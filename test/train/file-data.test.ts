/** Training from a file, batch by batch, is training on the same samples in memory, bit for bit; a file that changes ends it. */
import { openSync, readFileSync, renameSync, truncateSync, utimesSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { unzipSync, zipSync } from "fflate";
import { describe, expect, it } from "vitest";
import {
  adam,
  nn,
  PrivateTrainer,
  type PrivateTrainOptions,
  readTensors,
  sgd,
  type Tensor,
  Trainer,
  train,
  trainPrivately,
  writeTensors,
} from "../../src/index.js";
import { random } from "../../src/tensor/random.js";
import { temporaryFolder } from "../support/folder.js";

const samples = 23;
const model = nn.trace(
  { x: ["N", 2, 3], steps: [4, "N"] },
  { first: nn.linear(6, 5), second: nn.linear(4, 5), last: nn.linear(5, 3) },
  ({ x, steps }, { first, second, last }) =>
    last(
      first(x.reshape(["N", 6]))
        .add(second(steps.transpose([1, 0])))
        .tanh(),
    ),
  { seed: 1 },
);
const source = random(3);
const numbers = (size: number) => Float32Array.from(source.normals(size, 1));
const target: Tensor = {
  dtype: "int64",
  dims: [samples],
  data: BigInt64Array.from({ length: samples }, (_, n) => BigInt((n * n) % 3)),
};
const plain: Readonly<Record<string, Tensor>> = {
  x: { dtype: "float32", dims: [samples, 2, 3], data: numbers(samples * 6) },
  steps: { dtype: "float32", dims: [4, samples], data: numbers(samples * 4) },
  target,
};
const bytes: Readonly<Record<string, Tensor>> = {
  ...plain,
  x: {
    dtype: "uint8",
    dims: [samples, 2, 3],
    data: Uint8Array.from({ length: samples * 6 }, (_, k) => (37 * k) % 256),
    scale: [0.01, 1 / 255],
    offset: [-1, 0.25],
  } as Tensor,
};

/** The files of one data set. */
const forms = {
  safetensors: async (folder: string, data: Readonly<Record<string, Tensor>>) => {
    const path = join(folder, "data.safetensors");
    await writeTensors(path, data);
    return path;
  },
  npz: async (folder: string, data: Readonly<Record<string, Tensor>>) => {
    const path = join(folder, "data.npz");
    await writeTensors(path, data);
    return path;
  },
  "packed npz": async (folder: string, data: Readonly<Record<string, Tensor>>) => {
    const path = join(folder, "data.npz");
    await writeTensors(path, data);
    writeFileSync(path, zipSync(unzipSync(readFileSync(path)), { level: 9 }));
    return path;
  },
} as const;

const common = { loss: "cross_entropy", optimizer: adam(), batchSize: 7, steps: 9, seed: 5, threads: 1 } as const;
const secret = { ...common, noiseMultiplier: 0.7, delta: 1e-3, maxNorm: 0.5 } as const;

async function same(
  found: Promise<{ readonly model: typeof model }>,
  expected: Promise<{ readonly model: typeof model }>,
) {
  const [own, other] = [(await found).model.parameters, (await expected).model.parameters];
  expect(own).toEqual(other);
  expect(own).not.toEqual(model.parameters);
}

describe.each(Object.entries(forms))("%s", (_, write) => {
  it.each([
    ["numbers", plain],
    ["bytes with a scale and an offset for each channel", bytes],
  ])("%s: plain training and private training, whatever the sampling", async (__, data) => {
    const path = await write(temporaryFolder(), data);
    const held = await readTensors(path);
    for (const sampling of ["shuffled", "poisson", "uniform"] as const)
      for (const microbatchSize of [7, 3]) {
        const options = { ...common, sampling, microbatchSize };
        await same(train(model, path, options), train(model, held, options));
      }
    for (const sampling of ["poisson", "shuffled"] as const) {
      const options = { ...secret, sampling };
      await same(trainPrivately(model, path, options), trainPrivately(model, held, options));
    }
  });
});

it("float64 and half precision are rounded and widened as in memory, and inputs that are made need not be in the file", async () => {
  const path = join(temporaryFolder(), "data.safetensors");
  const x: Tensor = {
    dtype: "float64",
    dims: [samples, 2, 3],
    data: Float64Array.from(numbers(samples * 6), Math.sin),
  };
  const steps: Tensor = {
    dtype: "float16",
    dims: [4, samples],
    data: Uint16Array.from({ length: 4 * samples }, (_, k) => 0x3000 + 17 * k),
  };
  await writeTensors(path, { x, steps, target });
  const held = await readTensors(path);
  expect(held.steps?.dtype).toBe("float32");
  await same(train(model, path, common), train(model, held, common));
  const { steps: made, ...others } = held;
  const lengths = (step: number, places: Uint32Array): Record<string, Tensor> => ({
    steps: { dtype: "float32", dims: [4, places.length], data: new Float32Array(4 * places.length).fill(step / 9) },
  });
  expect(made).toBeDefined();
  const without = join(temporaryFolder(), "data.safetensors");
  await writeTensors(without, others);
  const options = { ...common, inputs: lengths };
  await same(train(model, without, options), train(model, others, options));
});

it("a trainer of one's own reads from the file, step by step, and closes it", async () => {
  const path = await forms.safetensors(temporaryFolder(), plain);
  const options = { loss: "cross_entropy", optimizer: sgd({ learningRate: 0.1 }), batchSize: 5, seed: 2 } as const;
  const [own, other] = [await Trainer.create(model, path, options), await Trainer.create(model, plain, options)];
  for (let step = 0; step < 6; step++) expect((await own.step()).loss).toBe((await other.step()).loss);
  await own.release();
  await own.release();
  await other.release();
  await expect(own.step()).rejects.toThrow();
});

describe("a file that changes while it is trained on", () => {
  const overwrite = (path: string) => {
    writeSync(openSync(path, "r+"), Uint8Array.of(1), 0, 1, 1000);
    utimesSync(path, new Date(), new Date(Date.now() + 1000));
  };
  it.each([
    ["written to", overwrite],
    ["truncated", (path: string) => truncateSync(path, 700)],
  ])("%s: ends the training with FILE_UNREADABLE, plain and private", async (_, change) => {
    for (const write of [forms.safetensors, forms.npz]) {
      const path = await write(temporaryFolder(), plain);
      let taken = 0;
      const onStep = ({ step }: { readonly step: number }) => {
        taken = step;
        if (step === 2) change(path);
      };
      await expect(train(model, path, { ...common, onStep })).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
      expect(taken).toBe(2);
    }
    const path = await forms.safetensors(temporaryFolder(), plain);
    const options: PrivateTrainOptions<unknown> = { ...secret, steps: 5, optimizer: adam() };
    const trainer = await PrivateTrainer.create(model, path, options);
    await trainer.step();
    change(path);
    await expect(trainer.step()).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
    // The batch was drawn and read for: its cost stands, and the weights stay as they were.
    expect(trainer.state()).toMatchObject({ steps: 1, recorded: 2 });
    await trainer.release();
  });

  it("replaced by another of its name: training goes on with the one that was opened", async () => {
    const folder = temporaryFolder();
    const path = await forms.safetensors(folder, plain);
    const other = join(folder, "other");
    writeFileSync(other, "another file");
    const onStep = ({ step }: { readonly step: number }) => {
      if (step === 2) renameSync(other, path);
    };
    const held = await readTensors(path);
    await same(train(model, path, { ...common, onStep }), train(model, held, common));
  });
});

describe("what data in memory is refused with, data in a file is refused with, before the first step", () => {
  const late = BigInt64Array.from(target.data as BigInt64Array);
  late[samples - 1] = 3n;
  const odd = Float32Array.from(plain.x?.data as Float32Array);
  odd[6 * samples - 1] = Number.NaN;
  it.each([
    ["LABEL_OUT_OF_RANGE", { ...plain, target: { ...target, data: late } as Tensor }],
    ["NOT_FINITE", { ...plain, x: { dtype: "float32", dims: [samples, 2, 3], data: odd } as Tensor }],
    ["MISSING_TENSOR", { x: plain.x as Tensor, target }],
    ["BATCH_MISMATCH", { ...plain, target: { ...target, dims: [20], data: late.subarray(0, 20) } as Tensor }],
    ["SHAPE_MISMATCH", { ...plain, x: { dtype: "float32", dims: [samples, 6], data: odd.map(() => 0) } as Tensor }],
    [
      "INVALID_ARGUMENT",
      {
        x: { dtype: "float32", dims: [0, 2, 3], data: new Float32Array() } as Tensor,
        steps: { dtype: "float32", dims: [4, 0], data: new Float32Array() } as Tensor,
        target: { dtype: "int64", dims: [0], data: new BigInt64Array() } as Tensor,
      },
    ],
  ])("%s", async (code, data) => {
    const path = await forms.safetensors(temporaryFolder(), data);
    await expect(train(model, path, common)).rejects.toMatchObject({ code });
    await expect(train(model, data, common)).rejects.toMatchObject({ code });
  });

  it("samples that are not finite are dropped in private training, under the same numbers", async () => {
    const data = { ...plain, x: { dtype: "float32", dims: [samples, 2, 3], data: numbers(6 * samples) } as Tensor };
    (data.x.data as Float32Array)[13] = Number.POSITIVE_INFINITY;
    const path = await forms.npz(temporaryFolder(), data);
    const dropped = async (given: typeof data | string) => {
      const found: number[] = [];
      await trainPrivately(model, given, {
        ...secret,
        onStep: ({ droppedSamples }) => void found.push(...droppedSamples),
      });
      return found;
    };
    const own = await dropped(path);
    expect(own).toEqual(await dropped(data));
    expect(new Set(own)).toEqual(new Set([2]));
  });
});
