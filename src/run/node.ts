/** ONNX Runtime in Node. */
import * as ort from "onnxruntime-node";
import { PergradError } from "../errors.js";
import { isDType, sizeOf, type Tensor } from "../tensor.js";
import type { Runtime, RuntimeOptions, Session } from "./runtime.js";

export const nodeRuntime: Runtime = {
  async load(model: Uint8Array, options: RuntimeOptions = {}): Promise<Session> {
    const { threads, reserve = true } = options;
    if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1)) {
      throw new PergradError(
        "INVALID_ARGUMENT",
        `The number of threads must be a whole number from 1 up, not ${threads}.`,
      );
    }
    try {
      return new NodeSession(
        await ort.InferenceSession.create(model, {
          graphOptimizationLevel: "all",
          logSeverityLevel: 4, // errors are thrown; the log would repeat them on stderr
          ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
          ...(reserve ? {} : { enableCpuMemArena: false, enableMemPattern: false }),
        }),
      );
    } catch (error) {
      throw failure("refused a program", error);
    }
  },
};

class NodeSession implements Session {
  #session: ort.InferenceSession | undefined;
  /** What the runtime is fed of a tensor, which takes it longer to make than to read: parameters are fed again and again. */
  readonly #fed = new WeakMap<Tensor, ort.Tensor>();

  constructor(session: ort.InferenceSession) {
    this.#session = session;
  }

  async run(feeds: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>> {
    const session = this.#session;
    if (!session) throw new PergradError("INVALID_ARGUMENT", "The program was released, so it cannot run any more.");
    try {
      const given: Record<string, ort.Tensor> = {};
      for (const name in feeds) given[name] = this.#toOrt(name, feeds[name] as Tensor);
      const returned = await session.run(given);
      const results: Record<string, Tensor> = {};
      for (const name in returned) results[name] = fromOrt(name, returned[name] as ort.Tensor);
      return results;
    } catch (error) {
      if (error instanceof PergradError) throw error;
      throw failure("failed to run a program", error);
    }
  }

  /** Over the same memory, unless threads share it: then the runtime does not read it. */
  #toOrt(name: string, tensor: Tensor): ort.Tensor {
    const { dtype, data, dims } = tensor as Tensor<"float32">;
    // ONNX Runtime reads as many elements as the dimensions say.
    if (data.length !== sizeOf(dims)) {
      throw new PergradError(
        "SHAPE_MISMATCH",
        `The tensor "${name}" has ${data.length} elements, not [${dims.join(", ")}].`,
      );
    }
    if (data.buffer instanceof SharedArrayBuffer) return new ort.Tensor(dtype, data.slice(), dims);
    const before = this.#fed.get(tensor);
    if (before?.data === data) return before;
    const made = new ort.Tensor(dtype, data, dims);
    this.#fed.set(tensor, made);
    return made;
  }

  async release(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.release();
  }
}

function failure(what: string, error: unknown): PergradError {
  const reason = (error instanceof Error ? error.message : String(error)).trim().replace(/\.$/, "");
  return new PergradError("RUNTIME", `ONNX Runtime ${what}: ${reason}.`, { cause: error });
}

function fromOrt(name: string, { type, dims, data }: ort.Tensor): Tensor {
  if (!isDType(type))
    throw new PergradError("RUNTIME", `The output "${name}" is of type ${type}, which pergrad does not read.`);
  return { dtype: type, dims, data } as Tensor;
}
