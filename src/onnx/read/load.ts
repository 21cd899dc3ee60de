/** Reads an ONNX file as a model: where callers enter. */
import { fileURLToPath } from "node:url";
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
import { type LoadOptions, loadOptions } from "./load-options.js";

const accessors = forgottenAwait("loadModel(...)", ["graph", "parameters", "notes"]);

/**
 * Reads an ONNX model from a file (its path, or a `file:` URL), or from its bytes. Its floating-point initializers become parameters under
 * their own names, in float32. Those that are stored in other files of its folder are found by the model's path.
 * @throws PergradError FILE_UNREADABLE, NOT_ONNX, INVALID_MODEL, UNSUPPORTED_OP, UNKNOWN_SHAPE, SHAPE_MISMATCH,
 * DTYPE_MISMATCH, INVALID_ARGUMENT, FOLDED_PARAMETERS.
 */
export function loadModel(source: string | URL | Uint8Array | ArrayBuffer, options: LoadOptions = {}): Promise<Model> {
  return awaited(load(source, options), accessors);
}

async function load(source: string | URL | Uint8Array | ArrayBuffer, options: LoadOptions): Promise<Model> {
  checkOptions("loadModel(path, options)", options, loadOptions);
  checkGlobs("parameters", options.parameters);
  checkGlobs("outputs", options.outputs);
  const from = source instanceof ArrayBuffer ? new Uint8Array(source) : source;
  const given = from instanceof Uint8Array ? from : pathOf(from);
  // The reader is loaded when it is first used.
  const { modelOf, parseFile, readModel } = await import("./model-file.js");
  if (typeof given !== "string") return modelOf(given, "the model", options);
  return modelOf(await parseFile(await readModel(given), given), given, options);
}

/** Throws INVALID_ARGUMENT; FILE_UNREADABLE for what is on another machine. */
function pathOf(source: string | URL): string {
  const given: unknown = source;
  if (typeof given !== "string" && !(given instanceof URL))
    throw invalidArgument(
      `loadModel takes the path of an .onnx file or its bytes, not ${kindOf(given)}; ${isPromise(given) ? "await it first" : "give one of these"}.`,
    );
  const text = String(source);
  return text.startsWith("file:") ? fileURLToPath(text) : text;
}
