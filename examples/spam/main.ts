/** `npm run spam`: trains small networks to tell spam from ham, and lists the strangest mails. */
import { parseArgs } from "node:util";
import { PergradError } from "../../src/index.js";
import { Failure } from "../digits/options.js";
import { stage } from "../digits/progress.js";
import { type Corpus, corpusOf } from "./data.js";
import { loadMails } from "./mails.js";
import { type Network, networks } from "./networks.js";
import { type Row, scoresOf, scoresTable, strangestTable } from "./report.js";
import { stepsOf, study, train } from "./training.js";

const wantedAccuracy = 0.93;
const listed = 8;
const usage = "Usage: npm run spam -- [--seed N]";

function parseSeed(args: string[]): number {
  try {
    const { values } = parseArgs({
      args,
      options: { seed: { type: "string", default: "1" } },
      allowPositionals: false,
    });
    const seed = Number(values.seed);
    if (/^\d+$/.test(values.seed) && seed < 2 ** 32) return seed;
    throw new Failure(`--seed is a whole number from 0 to 2^32 - 1, not "${values.seed}". ${usage}`, 2);
  } catch (error) {
    if (error instanceof Failure || !(error instanceof TypeError)) throw error;
    throw new Failure(`${error.message.replace(/\.$/, "")}. ${usage}`, 2);
  }
}

async function load(seed: number): Promise<Corpus> {
  const reading = stage("reading mails", 6046);
  const corpus = corpusOf(await loadMails((count) => reading.advance(count)), { seed });
  const [train, heldOut] = [corpus.train.mails.length, corpus.heldOut.mails.length];
  reading.done(`${train} to train on, ${heldOut} held out, ${corpus.vocabulary.size} words`);
  return corpus;
}

interface Outcome {
  readonly row: Row;
  readonly strange: string;
}

async function learn(network: Network, corpus: Corpus, seed: number): Promise<Outcome> {
  const start = performance.now();
  const training = stage(`training, ${network.name}`, stepsOf(network, corpus.train.mails.length, { seed }));
  const trained = await train(network, corpus, { seed }, () => training.advance());
  training.done(`training loss ${trained.trainLoss.toFixed(3)}`);
  const seconds = (performance.now() - start) / 1000;
  const measuring = stage("gradient norms", corpus.heldOut.mails.length + corpus.train.mails.length);
  const heldOut = await study(trained, corpus.heldOut.batch, (count) => measuring.advance(count));
  const seen = await study(trained, corpus.train.batch, (count) => measuring.advance(count));
  const scores = scoresOf(corpus.heldOut, heldOut);
  measuring.done(`${heldOut.norms.length + seen.norms.length} mails, ${(100 * scores.accuracy).toFixed(1)} % right`);
  return {
    row: { name: network.name, scores, seconds },
    strange: [
      `The strangest mails for the ${network.name}, by the norm of their own gradient`,
      "Held out:",
      strangestTable(corpus.heldOut, heldOut, listed),
      "Trained on:",
      strangestTable(corpus.train, seen, listed),
    ].join("\n"),
  };
}

async function main(seed: number): Promise<void> {
  const corpus = await load(seed);
  const outcomes: Outcome[] = [];
  for (const network of networks) outcomes.push(await learn(network, corpus, seed));
  for (const { strange } of outcomes) process.stdout.write(`\n${strange}\n`);
  process.stdout.write(`\nMails held out:\n${scoresTable(outcomes.map(({ row }) => row))}\n`);
  const poor = outcomes.find(({ row }) => !(row.scores.accuracy >= wantedAccuracy));
  if (poor) {
    const found = (100 * poor.row.scores.accuracy).toFixed(1);
    throw new Failure(
      `The ${poor.row.name} tells only ${found} % of the held-out mails right, not ${100 * wantedAccuracy} %.`,
      1,
    );
  }
}

try {
  await main(parseSeed(process.argv.slice(2)));
} catch (error) {
  if (!(error instanceof Failure || error instanceof PergradError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = error instanceof Failure ? error.exitCode : 1;
}
