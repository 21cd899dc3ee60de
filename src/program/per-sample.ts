/** Compiles what is wanted of a model: where callers enter. */
import { awaited, checkOptions, forgottenAwait } from "../arguments.js";
import type { Model } from "../graph/model.js";
import { asModel } from "../nn/given-model.js";
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
 * Compiles a program that computes, for a batch of samples, what is wanted of each sample's own gradients.
 * @param model a model, or a module of `nn` (then `input` and `seed` say its input's shape and first parameters)
 * @param options the loss, the wants, and which parameters
 * @throws PergradError SAMPLES_INTERACT, UNSUPPORTED_OP, SHAPE_MISMATCH, NO_PARAMETERS.
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
  const given = asModel(model, "perSample", own);
  // The compiler and the runtime are loaded when they are first used.
  const { Program } = await import("./program.js");
  return Program.compile(given, own);
}
