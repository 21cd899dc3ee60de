/** Options of `pergrad train`: which fit together, and the optimizer they make. */
import { InvalidArgumentError } from "commander";
import { adam, adamW } from "../train/adam.js";
import type { LearningRate, Optimizer } from "../train/optimizer.js";
import { schedules } from "../train/schedules.js";
import { sgd } from "../train/sgd.js";
import type { ClippingOptions, Noise } from "../train/types.js";
import type { TaskOptions } from "./task.js";
import { alternatives, flagOf, number, UsageError, wholeNumber } from "./usage.js";

export const optimizers = ["sgd", "adam", "adamw"] as const;
export const scheduleNames = ["constant", "linear", "cosine"] as const;
export const clippings = ["flat", "automatic", "adaptive"] as const;
export const samplings = ["poisson", "shuffled"] as const;

/** The options as commander returns them. */
export interface TrainCommandOptions extends TaskOptions {
  readonly data: string;
  readonly out: string;
  readonly epochs?: number;
  readonly steps?: number;
  readonly batchSize: number;
  readonly microbatchSize?: number;
  readonly optimizer?: (typeof optimizers)[number];
  readonly learningRate?: number;
  readonly momentum?: number;
  readonly weightDecay?: number;
  readonly schedule?: (typeof scheduleNames)[number];
  readonly warmUp?: number;
  readonly seed?: number;
  readonly private?: boolean;
  readonly epsilon?: number;
  readonly noiseMultiplier?: number;
  readonly delta?: number;
  readonly maxNorm?: number;
  readonly clipping?: (typeof clippings)[number];
  readonly sampling?: (typeof samplings)[number];
  readonly replaceBatchNorm?: boolean;
  readonly checkpoint?: string;
  readonly checkpointEvery?: number;
  readonly diagnosePage?: string;
  readonly diagnoseEvery?: number;
}

/** The options of an optimizer. */
export type OptimizerOptions = Pick<
  TrainCommandOptions,
  "optimizer" | "learningRate" | "momentum" | "weightDecay" | "schedule" | "warmUp"
>;

const usualOptimizer = "adam";

export const optimizerOptions = [
  "optimizer",
  "learningRate",
  "momentum",
  "weightDecay",
  "schedule",
  "warmUp",
] as const satisfies readonly (keyof OptimizerOptions)[];

/** Throws UsageError. */
export function checkOptimizer({ optimizer = usualOptimizer, momentum, learningRate }: OptimizerOptions): void {
  if (momentum !== undefined && optimizer !== "sgd")
    throw new UsageError(`--momentum is for --optimizer sgd, not for ${optimizer}; leave it out.`);
  if (learningRate === undefined && optimizer === "sgd")
    throw new UsageError("--optimizer sgd has no default learning rate; give --learning-rate.");
}

/** Checks what commander cannot: options that need each other. Throws UsageError. */
export function checkTrainOptions(options: TrainCommandOptions): void {
  oneNeeded(options, ["epochs", "steps"]);
  for (const name of ["epsilon", "noiseMultiplier", "delta", "maxNorm", "clipping"] as const)
    if (options[name] !== undefined && !options.private)
      throw new UsageError(`${flagOf(name)} is for private training; give --private too, or leave it out.`);
  if (options.allowNotFinite && !options.private)
    throw new UsageError(
      "--allow-not-finite is for private training, which drops samples with NaN or infinity; leave it out, and remove such samples from the data.",
    );
  if (options.checkpointEvery !== undefined && options.checkpoint === undefined)
    throw new UsageError("--checkpoint-every is for --checkpoint FOLDER; give that too, or leave it out.");
  if (options.diagnoseEvery !== undefined && options.diagnosePage === undefined)
    throw new UsageError("--diagnose-every is for --diagnose-page FILE; give that too, or leave it out.");
  if (options.diagnosePage !== undefined && options.private)
    throw new UsageError(
      "--diagnose-page would publish numbers without noise, so private training refuses it; leave out --diagnose-page or --private.",
    );
  checkOptimizer(options);
}

/** The options of private training besides those of all training. */
export type Privacy = Noise & Pick<ClippingOptions, "maxNorm" | "automatic" | "adaptive"> & { readonly delta: number };

/** The gamma of automatic clipping, as in its paper. */
const gamma = 0.01;

/** Null if the training is not private. Throws UsageError. */
export function privacyOf(options: TrainCommandOptions): Privacy | null {
  if (!options.private) return null;
  oneNeeded(options, ["epsilon", "noiseMultiplier"]);
  const { epsilon, noiseMultiplier = 0, delta, maxNorm = 1, clipping } = options;
  if (delta === undefined)
    throw new UsageError(
      "--private needs --delta, a probability well below 1 / samples; give it, such as --delta 1e-5.",
    );
  return {
    ...(epsilon === undefined ? { noiseMultiplier } : { targetEpsilon: epsilon }),
    delta,
    maxNorm,
    ...(clipping === "automatic" ? { automatic: { gamma } } : {}),
    ...(clipping === "adaptive" ? { adaptive: {} } : {}),
  };
}

/** An option, if it was given. */
export function given<K extends string, T>(key: K, value: T | undefined): { readonly [P in K]?: T } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [P in K]: T });
}

/** Commander already refuses both together. */
function oneNeeded(options: TrainCommandOptions, names: readonly (keyof TrainCommandOptions)[]): void {
  if (names.some((name) => options[name] !== undefined)) return;
  throw new UsageError(`Give ${alternatives(names.map(flagOf))}.`);
}

export const positive = (text: string) => number(text, (value) => value > 0, "a number above 0");
export const fromZero = (text: string) => number(text, (value) => value >= 0, "a number from 0 up");
export const belowOne = (text: string) =>
  number(text, (value) => value >= 0 && value < 1, "a number from 0 up and below 1");
export const probability = (text: string) =>
  number(text, (value) => value > 0 && value < 1, "a number above 0 and below 1");

export function seed(text: string): number {
  const value = wholeNumber(0)(text);
  if (value < 2 ** 32) return value;
  throw new InvalidArgumentError("it must be a whole number from 0 up and below 2^32");
}

/** Checks the name of a model file to write. */
export function modelFile(path: string): string {
  if (/\.onnx$/i.test(path)) return path;
  throw new InvalidArgumentError("its name must end in .onnx");
}

/** @param steps the number of steps of the whole training */
export function optimizerFor(options: OptimizerOptions, steps: number): Optimizer<object> {
  const learningRate = learningRateFor(options, steps);
  const decay = options.weightDecay === undefined ? {} : { weightDecay: options.weightDecay };
  const { optimizer = usualOptimizer } = options;
  if (optimizer === "adam") return adam({ learningRate, ...decay });
  if (optimizer === "adamw") return adamW({ learningRate, ...decay });
  return sgd({ learningRate, ...decay, ...(options.momentum === undefined ? {} : { momentum: options.momentum }) });
}

function learningRateFor(
  { learningRate = 1e-3, schedule = "constant", warmUp = 0 }: OptimizerOptions,
  steps: number,
): LearningRate {
  const falling = { from: learningRate, steps: Math.max(1, steps - warmUp) };
  const then = schedule === "constant" ? learningRate : schedules[schedule](falling);
  return warmUp > 0 ? schedules.warmUp(warmUp, then) : then;
}
