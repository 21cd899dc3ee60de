/** ONNX Runtime in Node. */

import { entryOf } from "../../present.js";
import "./no-telemetry.js";

import { createRequire } from "node:module";
import type * as ort from "onnxruntime-node";
import type { Binding } from "onnxruntime-node/dist/binding.js";
import { messageOf, PergradError } from "../../errors.js";
import type { Tensor } from "../../tensor/tensor.js";
import type { ExecutionProvider, Runtime, RuntimeOptions, Session } from "../runtime.js";
import { checkThreads, fedTensor, releasedError, returnedTensor, runtimeFailure } from "./exchange.js";
import { checkExecution, onGpu, toInstall } from "./execution.js";
import { disabledOptimizers } from "./optimizers.js";

const require = createRequire(import.meta.url);

/** The runtime, loaded when it is first used: loading takes longer than everything that a program without it needs. */
function runtime(): typeof ort {
  return require("onnxruntime-node");
}

/**
 * Not the package's own session, which reads its feeds in a later turn of the event loop, when the caller may have
 * overwritten them. This is the session underneath it, which runs when it is called.
 */
function underneath(): typeof import("onnxruntime-node/dist/binding.js") {
  return require("onnxruntime-node/dist/binding.js");
}

export const nodeRuntime: Runtime = {
  get version() {
    const { node, common } = runtime().env.versions;
    return `onnxruntime-node ${node ?? common}`;
  },
  atOnce: true,
  load: loadSession,
};

/** @param more settings besides those that all sessions have */
export async function loadSession(
  model: string | Uint8Array,
  options: RuntimeOptions = {},
  more: ort.InferenceSession.SessionOptions = {},
): Promise<NodeSession> {
  const { threads, reserve = true, files = new Map(), execution } = options;
  checkThreads(threads);
  if (execution) requireProviders(execution);
  await import("./freed-memory.js");
  try {
    const { binding, initOrt } = underneath();
    initOrt();
    const session = new binding.InferenceSession();
    const settings: ort.InferenceSession.SessionOptions = {
      graphOptimizationLevel: "all",
      extra: { optimization: { disable_specified_optimizers: disabledOptimizers(options) } },
      externalData: [...files].map(([path, data]) => ({ path, data })),
      logSeverityLevel: 4, // errors are thrown; the log would repeat them on stderr
      ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
      ...(execution ? { executionProviders: [...execution] } : {}),
      ...(reserve ? {} : { enableCpuMemArena: false, enableMemPattern: false }),
      ...more,
    };
    if (typeof model === "string") session.loadModel(model, settings);
    else session.loadModel(model.buffer as ArrayBuffer, model.byteOffset, model.byteLength, settings);
    await nextTurn();
    return new NodeSession(session);
  } catch (error) {
    throw onGpu(execution) ? notUsable(execution ?? [], error) : runtimeFailure("refused a program", error);
  }
}

/** The providers of this platform's library, by its own names. */
function requireProviders(execution: readonly ExecutionProvider[]): void {
  const here = underneath().binding.listSupportedBackends();
  checkExecution(
    execution,
    here.map(({ name }) => name),
    nodeRuntime.version,
  );
}

/** A provider that the library names may still lack libraries of its own, which the package does not include. */
function notUsable(execution: readonly ExecutionProvider[], cause: unknown): PergradError {
  const reason = messageOf(cause).split("\n", 1)[0]?.replace(/\.$/, "") ?? "";
  return new PergradError(
    "RUNTIME",
    `ONNX Runtime cannot compute on ${execution.join(", ")} here (${reason}); ${toInstall(execution)}.`,
    { cause },
  );
}

/** Lets timers, signals and input have their turns in a loop of runs. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

class NodeSession implements Session {
  #session: Binding.InferenceSession | undefined;
  /** All outputs, each set to null: none is given memory. */
  readonly #fetches: Readonly<Record<string, null>>;
  readonly #inputs: readonly string[];
  /**
   * The runtime's form of fed tensors. Making it takes longer than reading it, and parameters are fed again and again.
   */
  readonly #fed = new WeakMap<Tensor, ort.Tensor>();
  readonly #ort = runtime();

  constructor(session: Binding.InferenceSession) {
    this.#session = session;
    this.#fetches = Object.fromEntries(session.outputMetadata.map(({ name }) => [name, null]));
    this.#inputs = session.inputMetadata.map(({ name }) => name);
  }

  async run(
    feeds: Readonly<Record<string, Tensor>>,
    seen?: (results: Readonly<Record<string, Tensor>>) => void,
  ): Promise<Record<string, Tensor>> {
    const session = this.#session;
    if (!session) throw releasedError();
    try {
      const given: Record<string, ort.Tensor> = {};
      for (const name in feeds) given[name] = this.#toOrt(name, entryOf(feeds, name));
      const missing = this.#inputs.find((name) => !Object.hasOwn(given, name));
      if (missing !== undefined) throw new Error(`the input '${missing}' is missing`);
      const returned = session.run(given, this.#fetches, {});
      const results: Record<string, Tensor> = {};
      for (const name in returned) results[name] = returnedTensor(name, entryOf(returned, name));
      seen?.(results);
      await nextTurn();
      return results;
    } catch (error) {
      throw runtimeFailure("failed to run a program", error);
    }
  }

  /** Uses the same memory, unless threads share it: the runtime does not read shared memory. */
  #toOrt(name: string, tensor: Tensor): ort.Tensor {
    const { dtype, data, dims } = fedTensor(name, tensor);
    if (data.buffer instanceof SharedArrayBuffer) return new this.#ort.Tensor(dtype, data.slice(), dims);
    const before = this.#fed.get(tensor);
    if (before?.data === data) return before;
    const made = new this.#ort.Tensor(dtype, data, dims);
    this.#fed.set(tensor, made);
    return made;
  }

  /** Writes the profile, if the session was loaded to be profiled. */
  endProfiling(): void {
    this.#session?.endProfiling();
  }

  async release(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    session?.dispose();
  }
}
