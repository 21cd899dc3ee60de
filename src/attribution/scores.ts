/** Scores of training samples for queries: the public entry points. */

import { checkOptions, invalidArgument, kindOf, type OptionNames } from "../arguments.js";
import type { Model } from "../graph/model.js";
import { meant } from "../meant.js";
import { asModel } from "../nn/as-model.js";
import type { Module } from "../nn/module.js";
import type { Dataset } from "../program/given-data.js";
import type { Tensor } from "../tensor/tensor.js";
import { Checkpoint, type SampleOptions, sampleOptions } from "./checkpoint.js";
import { gradCos, gradDot, tracIn } from "./gradients.js";
import { influence, relatIF } from "./influence.js";
import { loGra } from "./lo-gra.js";
import type { Method } from "./method.js";
import { trak } from "./trak.js";

/** Methods that need no options, by name. */
const named = { gradDot, gradCos, tracIn, influence, relatIF, trak, loGra } as const satisfies Readonly<
  Record<string, () => Method>
>;

/** A method, or the name of one with its default options. */
export type GivenMethod = Method | keyof typeof named;

/** One model, or the same model with the weights of several checkpoints or trainings. */
export type Checkpoints = Model | Module | readonly Model[];

/** Options of `attribution.scores`. */
export interface ScoreOptions extends SampleOptions {
  /**
   * The method: `attribution.gradDot()`, `attribution.influence({ ... })`, ...; or the name of one with its default
   * options.
   */
  readonly method: GivenMethod;
}

export const scoreOptions: OptionNames<ScoreOptions> = { ...sampleOptions, method: true };

/** The effect of training samples on the losses of queries. */
export interface Scores {
  /** `[Q, N]`, queries by training samples. The larger, the more the training sample lowers the query's loss. */
  readonly scores: Tensor<"float64">;
  /** The damping at each checkpoint, if the method has one. */
  readonly dampings?: readonly number[];
}

/** Throws INVALID_ARGUMENT. */
export function asMethod(given: GivenMethod): Method {
  const method: unknown = given;
  if (typeof given === "object" && given !== null && "scores" in given && "self" in given) return given;
  const names = Object.keys(named);
  if (typeof given === "string" && Object.hasOwn(named, given)) return named[given]();
  const advice = typeof method === "string" ? meant(method, names) : "";
  throw invalidArgument(
    `The method cannot be ${kindOf(method)}${advice || "; give one of attribution, such as attribution.gradDot()."}`,
  );
}

/** Throws INVALID_ARGUMENT, and what `perSample` throws. */
export function asCheckpoints(
  given: Checkpoints,
  call: string,
  options: ScoreOptions,
  queries?: Dataset,
): Checkpoint[] {
  const models: readonly (Model | Module)[] = isList(given) ? given : [given];
  if (models.length === 0) throw invalidArgument(`${call} takes at least one model, not an empty array; give one.`);
  const { method: _, ...own } = options;
  return models.map((each) => Checkpoint.of(asModel(each, call), own, queries));
}

function isList(given: Checkpoints): given is readonly Model[] {
  return Array.isArray(given);
}

/**
 * The effect of each training sample on the loss of each query, to first order.
 * @param model a model, or several of the same graph: checkpoints of one training, or trainings from different initial
 *   weights
 * @param train the training samples. They are read several times: a batch, a file's path, or batches that can be
 *   iterated again.
 * @param queries the samples to explain
 * @throws PergradError INVALID_ARGUMENT, NOT_FINITE, and what `perSample` and `run` throw.
 */
export async function scores(
  model: Checkpoints,
  train: Dataset,
  queries: Dataset,
  options: ScoreOptions,
): Promise<Scores> {
  checkOptions("attribution.scores(model, train, queries, options)", options, scoreOptions);
  const method = asMethod(options.method);
  const checkpoints = asCheckpoints(model, "attribution.scores", options, queries);
  try {
    const { table, dampings } = await method.scores({ checkpoints, train }, queries);
    return { scores: table.tensor, ...(dampings ? { dampings } : {}) };
  } finally {
    for (const each of checkpoints) await each.release();
  }
}

/**
 * Each training sample's score with itself, `[N]`: large for samples that the model could not learn from others
 * (memorised ones, outliers, wrong labels). Throws what `attribution.scores` throws.
 */
export async function selfInfluence(
  model: Checkpoints,
  train: Dataset,
  options: ScoreOptions,
): Promise<Tensor<"float64">> {
  checkOptions("attribution.selfInfluence(model, train, options)", options, scoreOptions);
  const method = asMethod(options.method);
  const checkpoints = asCheckpoints(model, "attribution.selfInfluence", options);
  try {
    const data = await method.self({ checkpoints, train });
    return { dtype: "float64", dims: [data.length], data };
  } finally {
    for (const each of checkpoints) await each.release();
  }
}
