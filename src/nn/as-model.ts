/** Models as callers give them: models, and modules. */
import type { Model } from "../graph/model.js";
import { isModule, requireModel } from "./given-model.js";
import { type ModelOptions, model as modelOf } from "./model.js";
import type { Module } from "./module.js";

/**
 * The model itself, or that of a module.
 * @param call the function that takes it: "perSample"
 * @throws PergradError INVALID_ARGUMENT.
 */
export function asModel(given: Model | Module, call: string, options: ModelOptions = {}): Model {
  if (isModule(given)) return modelOf(given, options);
  requireModel(given, call);
  return given;
}
