/** `npm start`: trains on real digits, measures every digit's gradient norm, and reports. */
import { existsSync } from "node:fs";
import { access, constants, mkdir } from "node:fs/promises";
import { dirname, relative } from "node:path";
import { losses, type Model, PergradError, withParameters } from "../../src/index.js";
import { reportContent } from "../../src/report/report.js";
import type { ReportContent } from "../../src/report/types.js";
import { writePage } from "../../src/report/write.js";
import { pick } from "../../src/train/index.js";
import { classes, countOf, type Digits, loadDigits, type Split, split } from "./data.js";
import { network } from "./network.js";
import { Failure, type Options, parseOptions } from "./options.js";
import { type Stage, stage } from "./progress.js";
import { report } from "./report.js";
import { type Timings, timeBatch } from "./timing.js";
import { type Trained, train } from "./training.js";

const wantedAccuracy = 0.96;
/** The allowed difference of the norms program from the naive loop, relative to the largest norm. */
const allowedDifference = 1e-4;
const testCount = 2000;
const timedCount = 256;
const timedSeconds = 10;

const percent = (part: number) => `${(100 * part).toFixed(2)} %`;

async function load(seed: number): Promise<Split> {
  const loading = stage("reading digits", classes);
  const digits = split(await loadDigits(() => loading.advance()), testCount, seed);
  loading.done(`${countOf(digits.train)} to train on, ${countOf(digits.test)} to test on`);
  return digits;
}

async function learn(model: Model, digits: Split, { epochs, seed }: Options): Promise<Trained> {
  let current: Stage | undefined;
  return train(
    model,
    digits,
    { epochs, seed },
    {
      epochStarts: (epoch, steps) => {
        current = stage(`training, epoch ${epoch} of ${epochs}`, steps);
      },
      step: () => current?.advance(),
      epochEnds: ({ trainLoss, testAccuracy }) =>
        current?.done(`training loss ${trainLoss.toFixed(4)}, test accuracy ${percent(testAccuracy)}`),
    },
  );
}

async function measureNorms(
  model: Model,
  { parameters }: Trained,
  digits: Digits,
): Promise<{ readonly content: ReportContent; readonly seconds: number }> {
  const measuring = stage("gradient norms", countOf(digits));
  const start = performance.now();
  let measured = 0;
  const content = await reportContent(withParameters(model, parameters), digits, {
    loss: losses.crossEntropy(),
    onProgress: (samples) => {
      measuring.advance(samples - measured);
      measured = samples;
    },
  });
  measuring.done(`${content.samples} digits, each with a gradient of its own`);
  return { content, seconds: (performance.now() - start) / 1000 };
}

async function measureTimes(model: Model, { parameters }: Trained, digits: Digits): Promise<Timings> {
  const first = Array.from({ length: timedCount }, (_, n) => n);
  const batch = { x: pick(digits.x, first), target: pick(digits.target, first) };
  const steps = 100;
  let drawn = 0;
  const timing = stage("timing", steps);
  const timings = await timeBatch(model, parameters, batch, timedSeconds, (part) => {
    const step = Math.floor(part * steps);
    timing.advance(step - drawn);
    drawn = step;
  });
  timing.done(`${timings.rounds} rounds of ${timings.samples} digits, four ways`);
  return timings;
}

function summary(accuracy: number, { times, samples }: Timings): string {
  const lines = times.map(({ name, milliseconds, ratio }) => {
    return `  ${name.padEnd(32)} ${milliseconds.toFixed(1).padStart(8)} ms  ${ratio.toFixed(2).padStart(6)} x`;
  });
  return [
    `Test accuracy: ${percent(accuracy)}`,
    `Time for ${samples} digits, and against the plain mean gradient:`,
    ...lines,
  ].join("\n");
}

/** Called before the work, so that a path that cannot be written is not found out after it. Creates the last folder, not its parents. */
async function prepareFolder(path: string): Promise<void> {
  const folder = dirname(path);
  try {
    if (!existsSync(folder)) await mkdir(folder);
    await access(folder, constants.W_OK);
  } catch (error) {
    throw new Failure(`The report cannot be written to "${path}": ${(error as Error).message}.`, 1);
  }
}

/** The path relative to the current folder, if it lies inside that. */
function shownPath(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith("..") ? path : short;
}

async function main(options: Options): Promise<void> {
  await prepareFolder(options.out);
  const digits = await load(options.seed);
  const model = network(options.seed);
  const trained = await learn(model, digits, options);
  const accuracy = trained.epochs.at(-1)?.testAccuracy ?? 0;
  if (!(accuracy >= wantedAccuracy)) {
    throw new Failure(
      `The network reads only ${percent(accuracy)} of the test digits right, not ${percent(wantedAccuracy)}; give it more epochs.`,
      1,
    );
  }
  const measured = await measureNorms(model, trained, digits.train);
  const timings = await measureTimes(model, trained, digits.train);
  if (!(timings.difference <= allowedDifference)) {
    throw new Failure(
      `The norms differ from the naive loop's by ${timings.difference}; that is a defect of pergrad.`,
      1,
    );
  }
  const content = report({
    ...measured,
    testCount: countOf(digits.test),
    epochs: trained.epochs,
    timings,
    seed: options.seed,
  });
  await writePage(content, options.out);
  process.stdout.write(`${summary(accuracy, timings)}\nReport: ${shownPath(options.out)}\n`);
}

try {
  await main(parseOptions(process.argv.slice(2)));
} catch (error) {
  if (!(error instanceof Failure || error instanceof PergradError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = error instanceof Failure ? error.exitCode : 1;
}
