/** Reads an ONNX file as a model: the public entry point. */
import {
  awaited,
  checkGlobs,
  checkOptions,
  forgottenAwait,
  invalidArgument,
  isPromise,
  kindOf,
} from "../../arguments.js";
import type { Model } from "../../graph/model.js";
import { isContent } from "./content.js";
import { type FileContent, type LoadOptions, loadOptions } from "./load-options.js";

const accessors = forgottenAwait("loadModel(...)", ["graph", "parameters", "notes"]);

/**
 * Reads an ONNX model: from a file (its path or a `file:` URL; in a browser its address, which is fetched), or from a
 * file's contents (bytes, a `Blob` or `File`, a `Response`). Its floating-point initializers become parameters under
 * their own names, in float32. Weights stored in other files are found next to the model's path, or given as
 * `externalData`.
 * @throws PergradError FILE_UNREADABLE, NOT_ONNX, INVALID_MODEL, UNSUPPORTED_OP, UNKNOWN_SHAPE, SHAPE_MISMATCH,
 *   DTYPE_MISMATCH, INVALID_ARGUMENT, NO_PARAMETERS, FOLDED_PARAMETERS, TOO_LARGE.
 */
export function loadModel(source: string | URL | FileContent, options: LoadOptions = {}): Promise<Model> {
  return awaited(load(source, options), accessors);
}

async function load(source: string | URL | FileContent, options: LoadOptions): Promise<Model> {
  const given = checkedSource(source, options);
  // The reader is loaded when it is first used.
  const { modelFrom } = await import("./model-of.js");
  return modelFrom(given, options);
}

/** The source, once it and the options have been checked. Throws INVALID_ARGUMENT. */
export function checkedSource(source: string | URL | FileContent, options: LoadOptions): string | FileContent {
  checkOptions("loadModel(path, options)", options, loadOptions);
  checkGlobs("parameters", options.parameters);
  checkGlobs("outputs", options.outputs);
  const given = checked(source);
  for (const [name, content] of Object.entries(options.externalData ?? {})) {
    if (!isContent(content))
      throw invalidArgument(`externalData has for "${name}" ${kindOf(content)}; give the file's bytes, or a Blob.`);
  }
  return given;
}

/** Throws INVALID_ARGUMENT. */
function checked(source: string | URL | FileContent): string | FileContent {
  const given: unknown = source;
  if (typeof given === "string" || isContent(given)) return given;
  if (given instanceof URL) return String(given);
  throw invalidArgument(
    `loadModel takes the path of an .onnx file or its bytes, not ${kindOf(given)}; ${isPromise(given) ? "await it first" : "give one of these"}.`,
  );
}
