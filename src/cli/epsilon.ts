/** epsilon: the privacy cost of private training, or the noise that a desired privacy needs. */
import { table } from "../inspect/table.js";
import { type Accountant, epsilonDetails, type Mechanism, noiseMultiplierFor } from "../privacy/index.js";
import { stepsOfEpochs } from "../train/samplers.js";
import type { Io } from "./io.js";
import { json } from "./json.js";
import { UsageError } from "./usage.js";

export interface EpsilonCommandOptions {
  readonly noiseMultiplier?: number;
  readonly targetEpsilon?: number;
  readonly samplingRate?: number;
  readonly batchSize?: number;
  readonly samples?: number;
  readonly steps?: number;
  readonly epochs?: number;
  readonly delta: number;
  readonly accountant?: Accountant;
  readonly json?: boolean;
}

export const accountants: readonly Accountant[] = ["pld", "rdp", "gdp"];

export async function epsilonCommand(options: EpsilonCommandOptions, io: Io): Promise<void> {
  const samplingRate = samplingRateOf(options);
  const steps = stepsOf(options, samplingRate);
  const { delta, accountant } = options;
  const noiseMultiplier = noiseOf(options, samplingRate, steps);
  const mechanisms: readonly Mechanism[] = [{ kind: "gaussian", noiseMultiplier, samplingRate, steps }];
  const results = (accountant ? [accountant] : accountants).map((name) => {
    const { upper, lower } = epsilonDetails(mechanisms, { delta, accountant: name });
    return { accountant: name, epsilon: upper, ...(lower === undefined ? {} : { lower }) };
  });
  if (options.json) {
    io.stdout.write(json({ noiseMultiplier, samplingRate, steps, delta, results }));
    return;
  }
  const rows = results.map((each) => [each.accountant, rounded(each.epsilon), bounds(each)]);
  const setting = `Noise multiplier ${rounded(noiseMultiplier)}, sampling rate ${rounded(samplingRate)}, ${steps} steps, delta ${delta}.`;
  const epsilon = results[0]?.epsilon ?? Number.POSITIVE_INFINITY;
  io.stdout.write(
    `${setting}\n\n${table([["accountant", "epsilon", "true value"], ...rows], 1)}\n${accountant === "gdp" ? "This is an estimate, which may be too small; pld and rdp give bounds." : meaning(epsilon, delta)}\n`,
  );
}

/** Rounded up, so that the printed value also holds. */
function rounded(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "infinite";
  if (value === 0) return "0";
  const unit = 10 ** (Math.floor(Math.log10(value)) - 5);
  return String(Number((Math.ceil(value / unit - 1e-6) * unit).toPrecision(7)));
}

function bounds({ accountant, epsilon, lower }: { accountant: Accountant; epsilon: number; lower?: number }): string {
  if (accountant === "gdp") return "unknown: an estimate";
  if (!Number.isFinite(epsilon)) return Number.isFinite(lower) ? `at least ${lower?.toPrecision(6)}` : "unbounded";
  return lower === undefined ? `at most ${rounded(epsilon)}` : `${lower.toPrecision(6)} to ${rounded(epsilon)}`;
}

function meaning(epsilon: number, delta: number): string {
  if (!Number.isFinite(epsilon)) return "This is not private: the result may reveal a sample with certainty.";
  const factor = Math.exp(epsilon);
  const times =
    factor < 1e6 ? `${Number(factor.toPrecision(3))} (e^epsilon)` : "e^epsilon, which is practically no bound";
  return `Adding or removing one sample changes the probability of any result by a factor of at most ${times}, except with probability ${delta}. This holds if batches are drawn by Poisson sampling, and if batches and noise stay secret.`;
}

function samplingRateOf({ samplingRate, batchSize, samples }: EpsilonCommandOptions): number {
  if (samplingRate !== undefined) return samplingRate;
  if (batchSize === undefined || samples === undefined) {
    throw new UsageError("Give the sampling rate: --sampling-rate, or --batch-size and --samples.");
  }
  if (batchSize > samples)
    throw new UsageError(`--batch-size ${batchSize} is more than --samples ${samples}; make it smaller.`);
  return batchSize / samples;
}

function stepsOf({ steps, epochs }: EpsilonCommandOptions, samplingRate: number): number {
  if (steps !== undefined) return steps;
  if (epochs === undefined) throw new UsageError("Give the length of the training: --steps or --epochs.");
  const count = stepsOfEpochs(epochs, 1 / samplingRate);
  if (Number.isSafeInteger(count)) return count;
  throw new UsageError("--epochs means nothing with a sampling rate of 0; give --steps instead.");
}

function noiseOf(
  { noiseMultiplier, targetEpsilon, delta, accountant }: EpsilonCommandOptions,
  samplingRate: number,
  steps: number,
): number {
  if (noiseMultiplier !== undefined) return noiseMultiplier;
  if (targetEpsilon === undefined) {
    throw new UsageError(
      "Give --noise-multiplier to compute epsilon, or --target-epsilon to compute the noise multiplier.",
    );
  }
  if (accountant === "gdp")
    throw new UsageError("--accountant gdp is only an estimate, so it cannot choose the noise; give pld or rdp.");
  const chosen = noiseMultiplierFor({
    targetEpsilon,
    delta,
    samplingRate,
    steps,
    ...(accountant ? { accountant } : {}),
  });
  if (Number.isFinite(chosen)) return chosen;
  const [who, advice] =
    accountant === "rdp"
      ? ["The accountant rdp", "try --accountant pld, whose bounds are tighter"]
      : ["The accountant", "give a larger --target-epsilon or --delta"];
  throw new UsageError(`${who} proves epsilon ${targetEpsilon} at delta ${delta} for no amount of noise; ${advice}.`);
}
