/** `perSample`: compiles a program for a model. */

import { awaited, checkOptions, forgottenAwait } from "../arguments.js";
import type { Model } from "../graph/model.js";
import { withMissing } from "../missing.js";
import { isModule, requireModel } from "../nn/given-model.js";
import type { ModelOptions } from "../nn/model.js";
import type { Module } from "../nn/module.js";
import { requireWants } from "../wants/given-wants.js";
import type { Wants } from "../wants/want.js";
import { observed } from "./environment.js";
import { type ProgramOptions, programOptions } from "./options.js";
import type { Program } from "./program.js";

const accessors = forgottenAwait("perSample(...)", [
  "run",
  "runAll",
  "stream",
  "explain",
  "save",
  "encode",
  "memory",
  "release",
]);

/**
 * Compiles a program that computes, for a batch of samples, the wants of each sample's gradient.
 * @param model a model, or a module of `nn` (whose input shape and first parameters the options `input` and `seed`
 *   determine)
 * @param options the loss, the wants, the parameters to differentiate with respect to, and how the program runs
 * @throws PergradError SAMPLES_INTERACT, UNSUPPORTED_OP, SHAPE_MISMATCH, NO_PARAMETERS, INVALID_ARGUMENT.
 */
export function perSample<W extends Wants>(
  model: Model | Module,
  options: ProgramOptions<W> & ModelOptions,
): Promise<Program<W>> {
  const made = compileFor(model, options);
  return awaited(made, accessors);
}

async function compileFor<W extends Wants>(
  model: Model | Module,
  options: ProgramOptions<W> & ModelOptions,
): Promise<Program<W>> {
  checkOptions("perSample(model, options)", options, programOptions);
  requireWants(options.want);
  const own = observed(options);
  // Code that makes models from modules is loaded only for a module.
  const given = isModule(model) ? await modelOf(model, own) : model;
  requireModel(given, "perSample");
  // The compiler and the runtime are loaded when they are first used.
  const { Program } = await import("./program.js");
  return Program.compile(given, own);
}

async function modelOf(module: Module, options: ModelOptions): Promise<Model> {
  const { model } = await import("../nn/model.js");
  return withMissing(() => model(module, options));
}
