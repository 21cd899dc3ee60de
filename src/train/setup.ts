/** What every trainer starts with: the objective, the data, the initial parameters. */

import { invalidArgument, kindOf } from "../arguments.js";
import { type Objective, parameterValue } from "../compile/objective.js";
import { PergradError, readvised } from "../errors.js";
import type { Model } from "../graph/model.js";
import type { Module } from "../nn/module.js";
import { givenObjective } from "../program/given-objective.js";
import type { Data } from "../tensor/data.js";
import { HeldData, type TrainingData, type TrainingDataOptions } from "./dataset.js";
import type { Optimizer, Parameters } from "./optimizer.js";
import type { StepOptions, TrainingSet } from "./types.js";

export interface Setup {
  readonly objective: Objective;
  readonly data: TrainingData;
  /** The initial values of the trained parameters. */
  readonly parameters: Parameters;
}

/**
 * Throws what `perSample` and `prepare` throw, INVALID_ARGUMENT, FILE_UNREADABLE.
 * @param dataset in memory, or the path of a file, which stays open until the data is released
 */
export async function setup<S>(
  of: Model | Module,
  dataset: TrainingSet | string,
  options: StepOptions<S>,
  allowNotFinite: boolean,
): Promise<Setup> {
  const { microbatchSize = 1 } = options;
  if (!Number.isSafeInteger(microbatchSize) || microbatchSize < 1)
    throw invalidArgument(`microbatchSize is ${kindOf(microbatchSize)}; it must be a whole number from 1 up.`);
  requireOptimizer(options.optimizer);
  const objective = await givenObjective(of, "Training", options, options);
  const made = Object.keys(options.inputs?.(0, new Uint32Array()) ?? {});
  const parameters = [...objective.parameters].map(([name, value]) => [name, parameterValue(objective.model, value)]);
  const how = { made, allowNotFinite, inPlace: options.inPlace ?? false };
  const data = await trainingData(objective, dataset, how).catch((error: unknown) => {
    throw allowNotFinite ? error : withoutAllowing(error);
  });
  return { objective, data, parameters: Object.fromEntries(parameters) as Parameters };
}

/** Data that is not finite cannot be allowed where its gradients would reach the weights. */
function withoutAllowing(error: unknown): unknown {
  const is = error instanceof PergradError && error.code === "NOT_FINITE" && error.names("allowNotFinite");
  return is ? readvised(error, "remove the sample, or correct it") : error;
}

/** Data in memory, or in a file, which stays open. Throws what `setup` throws. */
export async function trainingData(
  objective: Objective,
  dataset: TrainingSet | string,
  options: TrainingDataOptions,
): Promise<TrainingData> {
  if (typeof dataset !== "string") return new HeldData(objective, dataset, options);
  // Code that reads files is loaded when it is first used.
  const { FileData } = await import("./file-data.js");
  return FileData.open(objective, dataset, options);
}

/** The result of `make`; if it fails, `held` is released. */
export async function releasedOnFailure<T>(held: { release(): Promise<void> }, make: () => Promise<T>): Promise<T> {
  try {
    return await make();
  } catch (error) {
    await held.release();
    throw error;
  }
}

/** Throws INVALID_ARGUMENT. */
function requireOptimizer<S>(given: Optimizer<S>): void {
  const optimizer: unknown = given;
  if (typeof optimizer === "object" && optimizer !== null && "start" in optimizer && "step" in optimizer) return;
  const advice = typeof optimizer === "function" ? "call it" : "give one, such as adam() or sgd({ learningRate: 0.1 })";
  throw invalidArgument(
    optimizer === undefined
      ? `The optimizer is missing; ${advice}.`
      : `The optimizer cannot be ${kindOf(optimizer)}; ${advice}.`,
  );
}

/** Cuts a batch into microbatches of at most `size` samples; an empty batch has none. */
export function microbatches(batch: Uint32Array, size = Math.max(1, batch.length)): Uint32Array[] {
  const count = Math.ceil(batch.length / size);
  return Array.from({ length: count }, (_, k) => batch.subarray(k * size, (k + 1) * size));
}

/** The feeds of a program for these samples. */
export async function feedsFor<S>(
  { data }: Setup,
  options: StepOptions<S>,
  step: number,
  samples: Uint32Array,
): Promise<Record<string, Data>> {
  return { ...(await data.take(samples)), ...options.inputs?.(step, samples) };
}

/** The options of a step's program, which is planned for the size of a microbatch. */
export function planned<O extends { readonly batchSize: number; readonly microbatchSize?: number }>(options: O): O {
  return { ...options, batchSize: Math.min(options.batchSize, options.microbatchSize ?? options.batchSize) };
}
