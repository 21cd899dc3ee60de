/** What all packages of ONNX Runtime share: tensors passed to it and returned by it, and its failures. */
import type * as ort from "onnxruntime-node";
import { messageOf, PergradError } from "../../errors.js";
import { halfBits } from "../../tensor/float16.js";
import { isDType, sizeOf, type Tensor, tensorWith } from "../../tensor/tensor.js";

/**
 * A tensor in the form that the runtime's constructors take; their overloads distinguish dtypes.
 * @throws PergradError SHAPE_MISMATCH: ONNX Runtime would read as many elements as the dimensions say.
 */
export function fedTensor(name: string, tensor: Tensor): Tensor<"float32"> {
  const { data, dims } = tensor;
  if (data.length !== sizeOf(dims)) {
    throw new PergradError(
      "SHAPE_MISMATCH",
      `The tensor "${name}" has ${data.length} elements, which do not fill [${dims.join(", ")}]; correct its dims.`,
    );
  }
  return tensor as Tensor<"float32">;
}

/** Throws RUNTIME for a type that pergrad does not know. */
export function returnedTensor(name: string, { type, dims, data }: ort.Tensor): Tensor {
  if (!isDType(type) || Array.isArray(data))
    throw new PergradError(
      "RUNTIME",
      `The output "${name}" is of type ${type}, which pergrad cannot read; cast it in the model.`,
    );
  if (type === "float16") return { dtype: type, dims, data: halfBits(data as ArrayBufferView) };
  return tensorWith(type, dims, data);
}

/** Throws INVALID_ARGUMENT. */
export function checkThreads(threads: number | undefined): void {
  if (threads === undefined || (Number.isInteger(threads) && threads >= 1)) return;
  throw new PergradError("INVALID_ARGUMENT", `The number of threads must be a whole number from 1 up, not ${threads}.`);
}

export function runtimeFailure(what: string, error: unknown): PergradError {
  if (error instanceof PergradError) return error;
  const reason = messageOf(error).trim().replace(/\.$/, "");
  return new PergradError("RUNTIME", `ONNX Runtime ${what}: ${reason}.`, { cause: error });
}

/** The error of a run of a released program. */
export function releasedError(): PergradError {
  return new PergradError("INVALID_ARGUMENT", "The program was released, so it can no longer run; compile it again.");
}

/** The error of a run whose threads have ended. */
export function threadsReleased(): PergradError {
  return new PergradError(
    "RUNTIME",
    "The worker threads were released, so the program can no longer run; compile it again.",
  );
}
