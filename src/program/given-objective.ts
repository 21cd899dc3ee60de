/** Models and losses as callers give them. */
import { type Objective, type ObjectiveOptions, objectiveOf } from "../compile/objective.js";
import type { Model } from "../graph/model.js";
import { withMissing } from "../missing.js";
import { asModel } from "../nn/as-model.js";
import type { ModelOptions } from "../nn/model.js";
import type { Module } from "../nn/module.js";

/**
 * The objective of a model, or of a module's model. In a page, this loads operators that they were written with.
 * @param call the function that takes it: "perSample"
 * @param made how a module becomes a model
 * @throws PergradError INVALID_ARGUMENT, and what `objectiveOf` throws
 */
export async function givenObjective(
  given: Model | Module,
  call: string,
  options: ObjectiveOptions,
  made: ModelOptions = {},
): Promise<Objective> {
  return withMissing(() => objectiveOf(asModel(given, call, made), options));
}
