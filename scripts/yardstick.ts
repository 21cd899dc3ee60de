/**
 * Makes a yardstick for attribution: `npm run yardstick -- NAME FOLDER`, where NAME is mails or pictures. Trains a network on
 * random halves of its data, several times on each half from different initial weights. FOLDER then holds model.onnx,
 * data.safetensors, truth.safetensors and models/*, as `npm run docs:lds -- FOLDER` expects them. Models that exist already
 * are not trained again.
 */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { loadDigits } from "../examples/digits/data.js";
import { corpusOf } from "../examples/spam/data.js";
import { loadMails } from "../examples/spam/mails.js";
import { special } from "../examples/spam/tokens.js";
import {
  attribution,
  type Model,
  nn,
  perSample,
  saveModel,
  schedules,
  sgd,
  type Tensor,
  tensor,
  want,
  withParameters,
  writeTensors,
} from "../src/index.js";
import { readTensors } from "../src/io/files.js";
import { random } from "../src/tensor/random.js";
import { type Parameters, permutation, pick } from "../src/train/index.js";

interface Study {
  readonly x: Tensor;
  readonly target: Tensor;
  /** The number of training samples, which come first; the others are queries. */
  readonly samples: number;
  model(seed: number): Model;
  readonly learningRate: number;
  readonly batchSize: number;
  readonly epochs: number;
}

const queries = 100;
const subsets = 100;
/** Trainings on each subset, and on all samples, from different initial weights. */
const trainings = { each: 3, all: 5 } as const;

/** 600 mails, spam or not: the mean of the embeddings of their first 60 words, normalised, and two linear layers. */
async function mails(): Promise<Study> {
  const [length, words] = [60, 1000];
  const { train, vocabulary } = corpusOf(await loadMails(), { seed: 1, words });
  const count = 600 + queries;
  const own = pick(
    train.batch.x,
    Array.from({ length: count }, (_, n) => n),
  );
  const rows = Array.from({ length: count }, (_, n) => own.data.subarray(n * 128, n * 128 + length));
  const body = nn.module(
    (x, part) => {
      const there = x.notEqual(special.padding).cast("float32");
      const sum = part.words(x).mul(there.unsqueeze(2)).sum(1);
      return part.head(part.norm(sum.div(there.sum(1, { keepDims: true }).maximum(1))));
    },
    {
      words: nn.embedding(vocabulary.size, 16, { deviation: 0.3 }),
      norm: nn.layerNorm(16),
      head: nn.sequential(nn.linear(16, 32), nn.tanh(), nn.linear(32, 2)),
    },
  );
  return {
    x: tensor("int64", [count, length], BigInt64Array.from(rows.flatMap((row) => [...row]))),
    target: pick(
      train.batch.target,
      Array.from({ length: count }, (_, n) => n),
    ),
    samples: 600,
    model: (seed) => nn.model(body, { input: { x: { shape: ["N", length], dtype: "int64" } }, seed }),
    learningRate: 0.1,
    batchSize: 30,
    epochs: 12,
  };
}

/** 500 handwritten digits, a convolutional network with strides. */
async function pictures(): Promise<Study> {
  const digits = await loadDigits();
  const chosen = permutation(digits.target.data.length, random(2)).slice(0, 500 + queries);
  const network = nn.sequential(
    nn.conv2d(1, 6, 5, { stride: 2 }),
    nn.relu(),
    nn.conv2d(6, 8, 3, { stride: 2 }),
    nn.relu(),
    nn.flatten(),
    nn.linear(200, 10),
  );
  return {
    x: pick(digits.x, chosen),
    target: pick(digits.target, chosen),
    samples: 500,
    model: (seed) => nn.model(network, { input: { x: ["N", 1, 28, 28] }, seed }),
    learningRate: 0.05,
    batchSize: 25,
    epochs: 12,
  };
}

const studies: Readonly<Record<string, () => Promise<Study>>> = { mails, pictures };

/** Trains on these samples again and again, with one program. */
async function trainer(study: Study) {
  const { x, target, batchSize, epochs } = study;
  const loss = "cross_entropy";
  const program = await perSample(study.model(1), {
    loss,
    want: { mean: want.mean() },
    holdParameters: false,
    plannedBatchSize: batchSize,
    threads: 1,
  });
  return {
    train: async (chosen: ArrayLike<number>, seed: number): Promise<Parameters> => {
      const steps = Math.ceil(chosen.length / batchSize) * epochs;
      const learningRate = schedules.cosine({ from: study.learningRate, steps });
      const optimizer = sgd({ learningRate, momentum: 0.9, weightDecay: 0.001 });
      let parameters: Parameters = study.model(seed).parameters;
      let state = optimizer.start(parameters);
      const source = random(seed);
      for (let epoch = 0; epoch < epochs; epoch++) {
        const order = permutation(chosen.length, source);
        for (let from = 0; from < order.length; from += batchSize) {
          const batch = Array.from(order.subarray(from, from + batchSize), (k) => chosen[k] ?? 0);
          const { mean } = await program.run({ x: pick(x, batch), target: pick(target, batch) }, { parameters });
          ({ parameters, state } = optimizer.step(parameters, mean, state));
        }
      }
      return parameters;
    },
    release: () => program.release(),
  };
}

const [name = "", folder = ""] = process.argv.slice(2);
const make = studies[name];
if (!make || folder === "") throw new Error(`Give ${Object.keys(studies).join(" or ")}, and a folder.`);
const study = await make();
const { samples, x, target } = study;
mkdirSync(join(folder, "models"), { recursive: true });
const path = (file: string) => join(folder, file);
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, k) => from + k);
const own = { x: pick(x, range(0, samples)), target: pick(target, range(0, samples)) };
const asked = {
  x: pick(x, range(samples, samples + queries)),
  target: pick(target, range(samples, samples + queries)),
};
await writeTensors(path("data.safetensors"), { ...own, x_test: asked.x, target_test: asked.target });
const { train, release } = await trainer(study);
for (let k = 0; k < trainings.all; k++)
  if (!existsSync(path(`models/${k}.safetensors`)))
    await writeTensors(path(`models/${k}.safetensors`), await train(range(0, samples), k + 1));
const first = await readTensors(path("models/0.safetensors"));
const parameters: Parameters = Object.fromEntries(first) as Parameters;
await saveModel(withParameters(study.model(1), parameters), path("model.onnx"));
const masks = attribution.subsets({ samples, count: subsets, seed: 1 });
const judge = await perSample(study.model(1), {
  loss: "cross_entropy",
  want: { losses: want.losses() },
  holdParameters: false,
  threads: 1,
});
const lossesOf = async (weights: Parameters) => (await judge.run(asked, { parameters: weights })).losses.data;
const mean = (numbers: ArrayLike<number>) => Array.from(numbers).reduce((a, b) => a + b, 0) / numbers.length;
console.log(`trained on all: mean loss of the queries ${mean(await lossesOf(parameters)).toFixed(3)}`);
const losses = new Float32Array(subsets * trainings.each * queries);
for (let s = 0; s < subsets; s++) {
  const chosen = range(0, samples).filter((n) => masks.data[s * samples + n] === 1);
  for (let r = 0; r < trainings.each; r++) {
    const found = await lossesOf(await train(chosen, 1000 + r * subsets + s));
    losses.set(found, (s * trainings.each + r) * queries);
  }
  if (s % 10 === 9) console.log(`${s + 1} of ${subsets} subsets`);
}
await release();
await judge.release();
await writeTensors(path("truth.safetensors"), {
  masks,
  losses: tensor("float32", [subsets, trainings.each, queries], losses),
});
