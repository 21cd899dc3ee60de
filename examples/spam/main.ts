/** `npm run spam`: trains small networks to tell spam from ham, and lists the strangest mails. */
import { mkdir } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { PergradError } from "../../src/index.js";
import { unwritable } from "../../src/io/failure.js";
import type { ReportContent } from "../../src/report/types.js";
import { writePage } from "../../src/report/write.js";
import { Failure } from "../digits/options.js";
import { stage } from "../digits/progress.js";
import { type Corpus, corpusOf, together } from "./data.js";
import { loadMails } from "./mails.js";
import { type Network, networks } from "./networks.js";
import { type Row, scoresOf, scoresTable, shownMails, strangestTable, studyOf } from "./report.js";
import { stepsOf, study, type Trained, train } from "./training.js";

const wantedAccuracy = 0.93;
const listed = 8;
const usage = "Usage: npm run spam -- [--seed N] [--out FOLDER]";

interface Options {
  readonly seed: number;
  /** The folder of the pages. */
  readonly out: string;
}

function parseOptions(args: string[]): Options {
  try {
    const { values } = parseArgs({
      args,
      options: { seed: { type: "string", default: "1" }, out: { type: "string" } },
      allowPositionals: false,
    });
    const seed = Number(values.seed);
    // From dist/examples/spam to the root of the repository.
    const out = resolve(values.out ?? fileURLToPath(new URL("../../../out", import.meta.url)));
    if (/^\d+$/.test(values.seed) && seed < 2 ** 32) return { seed, out };
    throw new Failure(`--seed must be a whole number from 0 to 2^32 - 1, not "${values.seed}". ${usage}`, 2);
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
  /** The path of the page. */
  readonly page: string;
  readonly strange: string;
}

async function learn(network: Network, corpus: Corpus, { seed, out }: Options): Promise<Outcome> {
  const start = performance.now();
  const training = stage(`training, ${network.name}`, stepsOf(network, corpus.train.mails.length, { seed }));
  const trained = await train(network, corpus, { seed }, () => training.advance());
  training.done(`training loss ${trained.trainLoss.toFixed(3)}`);
  const seconds = (performance.now() - start) / 1000;
  const content = await measured(network, trained, corpus);
  const count = corpus.train.mails.length;
  const [seen, heldOut] = [studyOf(content, 0, count), studyOf(content, count)];
  const page = join(out, `spam-${network.name.toLowerCase().replace(/[^a-z]+/g, "-")}.html`);
  await writePage(content, page);
  return {
    row: { name: network.name, scores: scoresOf(corpus.heldOut, heldOut), seconds },
    page,
    strange: [
      `The strangest mails for the ${network.name}, by the norm of their own gradient`,
      "Held out:",
      strangestTable(corpus.heldOut, heldOut, listed),
      "Trained on:",
      strangestTable(corpus.train, seen, listed),
    ].join("\n"),
  };
}

/** All mails, with the training mails first. */
async function measured(network: Network, trained: Trained, corpus: Corpus): Promise<ReportContent> {
  const { train: own, heldOut } = corpus;
  const [first, second] = [shownMails(own.mails, "trained on"), shownMails(heldOut.mails, "held out")];
  const all = own.mails.length + heldOut.mails.length;
  const measuring = stage("gradient norms", all);
  let done = 0;
  const content = await study(trained, together(corpus), {
    title: `The strangest mails, for the ${network.name}`,
    ids: [...first.ids, ...second.ids],
    texts: [...first.texts, ...second.texts],
    classNames: ["ham", "spam"],
    onProgress: (samples) => {
      measuring.advance(samples - done);
      done = samples;
    },
  });
  const { accuracy } = scoresOf(heldOut, studyOf(content, own.mails.length));
  measuring.done(`${all} mails, ${(100 * accuracy).toFixed(1)} % of those held out right`);
  return content;
}

/** The path relative to the current folder, if it lies inside that. */
function shownPath(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith("..") ? path : short;
}

async function main(options: Options): Promise<void> {
  // Created before the work, so that a path that cannot be written is not found out after it.
  await mkdir(options.out, { recursive: true }).catch((error: unknown) => {
    throw unwritable(options.out, error);
  });
  const corpus = await load(options.seed);
  const outcomes: Outcome[] = [];
  for (const network of networks) outcomes.push(await learn(network, corpus, options));
  for (const { strange } of outcomes) process.stdout.write(`\n${strange}\n`);
  process.stdout.write(`\nMails held out:\n${scoresTable(outcomes.map(({ row }) => row))}\n`);
  for (const { page } of outcomes) process.stdout.write(`Report: ${shownPath(page)}\n`);
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
  await main(parseOptions(process.argv.slice(2)));
} catch (error) {
  if (!(error instanceof Failure || error instanceof PergradError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = error instanceof Failure ? error.exitCode : 1;
}
