/** ONNX Runtime in WebAssembly: in browsers, and in Node if no other is installed. */
import type * as Ort from "onnxruntime-web";
import { bytesOfArray } from "../../io/bytes.js";
import type { Tensor, TypedArray } from "../../tensor/tensor.js";
import type { Runtime, RuntimeOptions, Session } from "../runtime.js";
import { checkThreads, fedTensor, releasedError, returnedTensor, runtimeFailure } from "./exchange.js";
import { checkExecution } from "./execution.js";
import { disabledOptimizers } from "./optimizers.js";

/** What is used of the package. */
export type WebPackage = Pick<typeof Ort, "InferenceSession" | "Tensor" | "env">;

type Provider = "wasm" | "webgpu";

/**
 * On the GPU, uses the layout of the graph: for the other layout the runtime adds transpositions, some of them on the
 * CPU.
 */
const providers: Readonly<Record<Provider, Ort.InferenceSession.ExecutionProviderConfig>> = {
  wasm: "wasm",
  webgpu: { name: "webgpu", preferredLayout: "NCHW" },
};

/**
 * One task after another: the runtime has a single WebAssembly instance, in which making, running and releasing
 * sessions must not overlap.
 */
class Queue {
  #last: Promise<unknown> = Promise.resolve();

  /** Starts `task` once all tasks added before have ended. */
  add<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#last.then(task);
    this.#last = result.catch(() => undefined);
    return result;
  }
}

export class WebRuntime implements Runtime {
  readonly atOnce = false;
  /** A quarter of what WebAssembly can address: the rest goes to weights, kept memory and gaps between pieces. */
  readonly mostMemory = 2 ** 30;
  readonly #queue = new Queue();
  #threads: number | undefined;

  /**
   * @param ort returns the package, when it is first needed
   * @param provider what computes
   */
  constructor(
    private readonly ort: () => WebPackage,
    private readonly provider: Provider = "wasm",
  ) {}

  get version(): string {
    const { web, common } = this.ort().env.versions;
    return `onnxruntime-web ${web ?? common}`;
  }

  /** Throws RUNTIME, INVALID_ARGUMENT. */
  async load(
    model: string | Uint8Array,
    options: RuntimeOptions = {},
    more: Ort.InferenceSession.SessionOptions = {},
  ): Promise<Session> {
    const { InferenceSession, env } = this.ort();
    const { threads, reserve = true, files = new Map(), execution } = options;
    checkThreads(threads);
    if (execution) checkExecution(execution, ["cpu"], this.version);
    this.#setThreads(env, threads);
    const settings: Ort.InferenceSession.SessionOptions = {
      executionProviders: [providers[this.provider]],
      graphOptimizationLevel: "all",
      extra: { optimization: { disable_specified_optimizers: disabledOptimizers(options) } },
      // Copies, because the runtime may take the bytes over.
      externalData: [...files].map(([path, data]) => ({ path, data: data.slice() })),
      logSeverityLevel: 4, // errors are thrown; the log would repeat them on the console
      ...(reserve ? {} : { enableCpuMemArena: false, enableMemPattern: false }),
      ...more,
    };
    // The runtime may take the bytes over, so the caller keeps its own.
    const given = typeof model === "string" ? model : model.slice();
    const create = () =>
      typeof given === "string" ? InferenceSession.create(given, settings) : InferenceSession.create(given, settings);
    try {
      return new WebSession(await this.#queue.add(create), this.ort(), this.#queue);
    } catch (error) {
      throw runtimeFailure("refused a program", error);
    }
  }

  /**
   * Threads belong to the instance, which starts with the first session. If threads cannot share memory, there is only
   * one.
   */
  #setThreads({ wasm }: Ort.Env, threads: number | undefined): void {
    if (this.#threads !== undefined) return;
    const isolated = Reflect.get(globalThis, "crossOriginIsolated") === true;
    this.#threads = isolated ? (threads ?? wasm.numThreads ?? 0) : 1;
    wasm.numThreads = this.#threads;
  }
}

/**
 * For an input of up to this many bytes, a session keeps its last copy: the next run writes into it, since new memory
 * takes longer.
 */
const mostSpare = 2 ** 24;

class WebSession implements Session {
  #session: Ort.InferenceSession | undefined;
  /** Copies of inputs that no run reads any more, by input name. */
  readonly #spare = new Map<string, TypedArray>();

  constructor(
    session: Ort.InferenceSession,
    private readonly ort: WebPackage,
    private readonly queue: Queue,
  ) {
    this.#session = session;
  }

  async run(feeds: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>> {
    const session = this.#session;
    if (!session) throw releasedError();
    const given: Record<string, Ort.Tensor> = {};
    const copies = new Map<string, TypedArray>();
    for (const name of session.inputNames) {
      const tensor = feeds[name];
      if (!tensor) throw runtimeFailure("failed to run a program", new Error(`the input '${name}' is missing`));
      const { dtype, data, dims } = fedTensor(name, tensor);
      const copy = this.#copyOf(name, data);
      copies.set(name, copy);
      given[name] = new this.ort.Tensor(dtype, copy, dims);
    }
    try {
      const returned = await this.queue.add(() => session.run(given));
      return Object.fromEntries(Object.entries(returned).map(([name, tensor]) => [name, returnedTensor(name, tensor)]));
    } catch (error) {
      throw runtimeFailure("failed to run a program", error);
    } finally {
      for (const [name, copy] of copies) if (copy.byteLength <= mostSpare) this.#spare.set(name, copy);
    }
  }

  /** A copy, because the runtime reads it when its turn comes. */
  #copyOf(name: string, data: TypedArray): TypedArray {
    const spare = this.#spare.get(name);
    this.#spare.delete(name);
    if (spare?.length !== data.length || spare.constructor !== data.constructor) return data.slice();
    bytesOfArray(spare).set(bytesOfArray(data));
    return spare;
  }

  async release(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    if (session) await this.queue.add(() => session.release());
  }
}
