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

  constructor(session: ort.InferenceSession) {
    this.#session = session;
  }

  async run(feeds: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>> {
    const session = this.#session;
    if (!session) throw new PergradError("INVALID_ARGUMENT", "The program was released, so it cannot run any more.");
    try {
      const results = await session.run(mapEntries(feeds, toOrt));
      return mapEntries(results, fromOrt);
    } catch (error) {
      if (error instanceof PergradError) throw error;
      throw failure("failed to run a program", error);
    }
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

function mapEntries<A, B>(record: Readonly<Record<string, A>>, f: (value: A, name: string) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, f(value, name)]));
}

/** Over the same memory, unless threads share it: then the runtime does not read it. */
function toOrt(tensor: Tensor, name: string): ort.Tensor {
  // ONNX Runtime reads as many elements as the dimensions say.
  if (tensor.data.length !== sizeOf(tensor.dims)) {
    throw new PergradError(
      "SHAPE_MISMATCH",
      `The tensor "${name}" has ${tensor.data.length} elements, not [${tensor.dims.join(", ")}].`,
    );
  }
  const { dtype, data, dims } = tensor as Tensor<"float32">;
  return new ort.Tensor(dtype, data.buffer instanceof SharedArrayBuffer ? data.slice() : data, dims);
}

function fromOrt(value: ort.OnnxValue, name: string): Tensor {
  const { type, dims, data } = value as ort.Tensor;
  if (!isDType(type))
    throw new PergradError("RUNTIME", `The output "${name}" is of type ${type}, which pergrad does not read.`);
  return { dtype: type, dims, data } as Tensor;
}
