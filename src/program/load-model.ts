/** Reads a model, in this thread or in a worker: the public entry point. */
import { awaited, forgottenAwait } from "../arguments.js";
import type { Model } from "../graph/model.js";
import { checkedSource, loadModel as loadHere } from "../onnx/read/load.js";
import type { FileContent, LoadOptions } from "../onnx/read/load-options.js";
import { NoWorkers } from "../target/no-workers.js";
import type { WorkerPool } from "../target/target.js";
import { warn } from "./environment.js";

/** Options of `loadModel`. */
export interface LoadModelOptions extends LoadOptions {
  /**
   * In a browser, read in a Web Worker, so that the page stays free: in one of a pool, `workers()`, or, with `true`, in
   * one that ends once the model is read. Elsewhere the calling thread reads the model. Default: the calling thread.
   */
  readonly workers?: WorkerPool | boolean;
  /** Ends the reading: at once if a Web Worker reads, and otherwise only before it begins. Default: no signal. */
  readonly signal?: AbortSignal;
}

/**
 * Reads an ONNX model: from a file (its path or a `file:` URL; in a browser its address, which is fetched), or from a
 * file's contents (bytes, a `Blob` or `File`, a `Response`). Its floating-point initializers become parameters under
 * their own names, in float32. Weights stored in other files are found next to the model's path, or given as
 * `externalData`.
 * @throws PergradError FILE_UNREADABLE, NOT_ONNX, INVALID_MODEL, UNSUPPORTED_OP, UNKNOWN_SHAPE, SHAPE_MISMATCH,
 *   DTYPE_MISMATCH, INVALID_ARGUMENT, NO_PARAMETERS, FOLDED_PARAMETERS, TOO_LARGE, and the signal's reason.
 */
export function loadModel(source: string | URL | FileContent, options: LoadModelOptions = {}): Promise<Model> {
  return awaited(load(source, options), forgottenAwait("loadModel(...)", ["graph", "parameters", "notes"]));
}

async function load(source: string | URL | FileContent, options: LoadModelOptions): Promise<Model> {
  if (options?.workers === undefined && options?.signal === undefined) return loadHere(source, options);
  const { workers = false, signal, ...own } = options;
  signal?.throwIfAborted();
  if (workers === false) return loadHere(source, own);
  const given = checkedSource(source, own);
  const [{ readElsewhere }, { defaultTarget }] = await Promise.all([
    import("./read-elsewhere.js"),
    import("../target/default.js"),
  ]);
  const where = { workers: workers === true ? 1 : workers, signal };
  try {
    return (await readElsewhere(given, own, where, defaultTarget)) ?? loadHere(source, own);
  } catch (error) {
    if (!(error instanceof NoWorkers)) throw error;
    warn(`No Web Worker can be started here (${error.reason}): the page's own thread reads the model.`, "NO_WORKERS");
    return loadHere(source, own);
  }
}
