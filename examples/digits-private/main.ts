/** `npm run digits-private`: trains on real digits with and without differential privacy, and compares. */
import { mkdir } from "node:fs/promises";
import { dirname, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { PergradError, privacy } from "../../src/index.js";
import { table } from "../../src/inspect/table.js";
import { writeFileSafely } from "../../src/io/atomic.js";
import { unwritable } from "../../src/io/failure.js";
import { countOf, loadDigits, type Split, split } from "../digits/data.js";
import { Failure } from "../digits/options.js";
import { type Stage, stage } from "../digits/progress.js";
import {
  finalAccuracy,
  finalEpsilon,
  mean,
  type Pair,
  type Results,
  report,
  type Settings,
  shownEpsilon,
} from "./report.js";
import { study } from "./study.js";

const wantedAccuracy = 0.88;
const targetEpsilon = 3;
const delta = 1e-5;
const testCount = 2000;
const batchSize = 1024;
const steps = 90;
const maxNorm = 0.1;
const usage = "Usage: npm run digits-private -- [--seeds K] [--out PATH]";

interface Options {
  readonly seeds: number;
  readonly out: string;
}

function parseOptions(args: string[]): Options {
  try {
    const options = { seeds: { type: "string", default: "3" }, out: { type: "string" } } as const;
    const { values } = parseArgs({ args, options, allowPositionals: false });
    const seeds = /^\d{1,4}$/.test(values.seeds) ? Number(values.seeds) : 0;
    if (seeds < 1) throw new Failure(`--seeds must be a whole number from 1 up, not "${values.seeds}". ${usage}`, 2);
    // From dist/examples/digits-private to the root of the repository.
    const out = values.out ?? fileURLToPath(new URL("../../../out/digits-private.html", import.meta.url));
    return { seeds, out: resolve(out) };
  } catch (error) {
    if (error instanceof Failure || !(error instanceof TypeError)) throw error;
    throw new Failure(`${error.message.replace(/\.$/, "")}. ${usage}`, 2);
  }
}

const percent = (part: number) => `${(100 * part).toFixed(2)} %`;

async function load(): Promise<Split> {
  const loading = stage("reading digits", 10);
  const digits = split(await loadDigits(() => loading.advance()), testCount, 1);
  loading.done(`${countOf(digits.train)} to train on, ${countOf(digits.test)} to test on`);
  return digits;
}

function settingsFor(digits: Split): Settings {
  const finding = stage("finding the noise", 1);
  const trainCount = countOf(digits.train);
  const noiseMultiplier = privacy.noiseMultiplierFor({
    targetEpsilon,
    delta,
    samplingRate: batchSize / trainCount,
    steps,
  });
  finding.done(`noise multiplier ${noiseMultiplier.toFixed(3)} for epsilon ${targetEpsilon} at delta ${delta}`);
  return { trainCount, testCount: countOf(digits.test), batchSize, steps, maxNorm, noiseMultiplier, delta };
}

async function studyAll(digits: Split, settings: Settings, seeds: number): Promise<Pair[]> {
  const pairs: Pair[] = [];
  let current: Stage | undefined;
  for (let seed = 1; seed <= seeds; seed++) {
    pairs.push(
      await study(digits, seed, settings, {
        starts: (title, count) => {
          current = stage(title, count);
        },
        step: () => current?.advance(),
        ends: ({ points }) => current?.done(`test accuracy ${percent(points.at(-1)?.accuracy ?? 0)}`),
      }),
    );
  }
  return pairs;
}

function summary(results: Results): string {
  const rows = results.pairs.map(({ seed, plain, private: course }) => [
    String(seed),
    percent(finalAccuracy(plain)),
    percent(finalAccuracy(course)),
    shownEpsilon(course.epsilon.at(-1) ?? Number.NaN),
  ]);
  const means = [
    "mean",
    percent(mean(results.pairs.map(({ plain }) => finalAccuracy(plain)))),
    percent(mean(results.pairs.map((pair) => finalAccuracy(pair.private)))),
    shownEpsilon(finalEpsilon(results)),
  ];
  return table([["seed", "without privacy", "private", `epsilon at delta ${delta}`], ...rows, means], 0);
}

async function main({ seeds, out }: Options): Promise<void> {
  // Created before the work, so that a path that cannot be written is not found out after it.
  await mkdir(dirname(out), { recursive: true }).catch((error: unknown) => {
    throw unwritable(out, error);
  });
  const digits = await load();
  const settings = settingsFor(digits);
  const results = { pairs: await studyAll(digits, settings, seeds), settings };
  await writeFileSafely(out, new TextEncoder().encode(report(results)));
  const short = relative(process.cwd(), out);
  process.stdout.write(`${summary(results)}\nReport: ${short.startsWith("..") ? out : short}\n`);
  const accuracy = mean(results.pairs.map((pair) => finalAccuracy(pair.private)));
  if (accuracy >= wantedAccuracy) return;
  throw new Failure(
    `The private networks read only ${percent(accuracy)} of the test digits right, not ${percent(wantedAccuracy)}.`,
    1,
  );
}

try {
  await main(parseOptions(process.argv.slice(2)));
} catch (error) {
  if (!(error instanceof Failure || error instanceof PergradError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = error instanceof Failure ? error.exitCode : 1;
}
