/** What every trainer begins with: the objective, the data, the batches. */

import { invalidArgument, kindOf } from "../arguments.js";
import { type Objective, objectiveOf, parameterValue } from "../compile/objective.js";
import { PergradError } from "../errors.js";
import type { Model } from "../graph/model.js";
import { asModel } from "../nn/given-model.js";
import type { Module } from "../nn/module.js";
import type { Data } from "../tensor/data.js";
import { TrainingData } from "./dataset.js";
import type { Optimizer, Parameters } from "./optimizer.js";
import type { StepOptions, TrainingSet } from "./types.js";

export interface Setup {
  readonly objective: Objective;
  readonly data: TrainingData;
  /** The first values of the parameters that are trained. */
  readonly parameters: Parameters;
}

/** Throws what `perSample` and `prepare` throw, INVALID_ARGUMENT. */
export function setup<S>(
  of: Model | Module,
  dataset: TrainingSet,
  options: StepOptions<S>,
  allowNotFinite: boolean,
): Setup {
  const { microbatchSize = 1 } = options;
  if (!Number.isSafeInteger(microbatchSize) || microbatchSize < 1)
    throw new PergradError(
      "INVALID_ARGUMENT",
      `A microbatch's size is a whole number from 1 up, not ${microbatchSize}.`,
    );
  requireOptimizer(options.optimizer);
  const model = asModel(of, "Training", options);
  const objective = objectiveOf(model, options);
  const made = Object.keys(options.inputs?.(0, new Uint32Array()) ?? {});
  const data = new TrainingData(objective, dataset, { made, allowNotFinite, inPlace: options.inPlace ?? false });
  const parameters = [...objective.parameters].map(([name, value]) => [name, parameterValue(model, value)]);
  return { objective, data, parameters: Object.fromEntries(parameters) as Parameters };
}

/**
 * The data of a training from a file: those tensors that the model and the loss take, in the dtypes that they are
 * stored in.
 * Throws FILE_UNREADABLE.
 */
export async function readFor<S>(of: Model | Module, path: string, options: StepOptions<S>): Promise<TrainingSet> {
  const { readBatch } = await import("../program/read-batch.js");
  return readBatch(path, objectiveOf(asModel(of, "Training", options), options).expected.keys());
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

/** A batch, in parts that go through the model at once. */
export function microbatches(batch: Uint32Array, size = Math.max(1, batch.length)): Uint32Array[] {
  const count = Math.ceil(batch.length / size);
  return Array.from({ length: count }, (_, k) => batch.subarray(k * size, (k + 1) * size));
}

/** What a program is fed for these samples. */
export function feedsFor<S>(
  { data }: Setup,
  options: StepOptions<S>,
  step: number,
  samples: Uint32Array,
): Record<string, Data> {
  return { ...data.take(samples), ...options.inputs?.(step, samples) };
}

/** The options of a step's program: it is planned for the samples that go through the model at once. */
export function planned<O extends { readonly batchSize: number; readonly microbatchSize?: number }>(options: O): O {
  return { ...options, batchSize: Math.min(options.batchSize, options.microbatchSize ?? options.batchSize) };
}
