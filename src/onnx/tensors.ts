/** Converts tensors between files and memory. */

import type { TensorProto } from "onnx-buf";
import { PergradError } from "../errors.js";
import { bytesOfArray, storedBytesOf, tensorOfBytes } from "../io/bytes.js";
import { listed } from "../meant.js";
import { arrayOf, sizeOf, type Tensor, type TypedArray, tensorWith } from "../tensor/tensor.js";
import { Place } from "./enumerations.js";
import { tensorProto } from "./messages.js";
import { computedType, elementTypeOf, invalidModel, type StoredType, showElementType, storedTypeOf } from "./proto.js";

/** Collects the types stored in a precision other than float32, in which they are computed. */
export class PrecisionNotes {
  readonly #names = new Map<StoredType, Set<string>>();

  add(stored: StoredType, name: string): void {
    if (computedType(stored) === stored) return;
    this.#names.set(stored, (this.#names.get(stored) ?? new Set()).add(name));
  }

  /** One sentence per stored type. */
  list(): string[] {
    return [...this.#names].map(
      ([stored, names]) => `Declared as ${stored}, computed in float32: ${listed([...names], 3)}.`,
    );
  }
}

/** Reads a tensor; `what` names it in messages. Tensors of other floating-point types become float32. */
export function decodeTensor(proto: TensorProto, what: string, notes: PrecisionNotes): Tensor {
  const stored = storedTypeOf(proto.dataType);
  if (!stored) {
    throw new PergradError(
      "DTYPE_MISMATCH",
      `${what} holds ${showElementType(proto.dataType)}, which pergrad does not read; store it as float32 or int64.`,
    );
  }
  refuseElsewhere(proto, what);
  const dims = dimsOf(proto, what);
  notes.add(stored, what);
  const found = proto.rawData.length > 0 ? fromRaw(proto, stored, dims, what) : fromFields(proto, stored, dims, what);
  if (found.dtype !== "float64") return found;
  return { dtype: "float32", dims, data: Float32Array.from(found.data as Float64Array) };
}

/** Whether a decoded tensor is float32, as all decoded floating-point tensors are. */
export function isFloat32(tensor: Tensor): tensor is Tensor<"float32"> {
  return tensor.dtype === "float32";
}

/** Throws INVALID_MODEL if the shape is not valid for any tensor. */
export function dimsOf(proto: TensorProto, what: string): number[] {
  const dims = proto.dims.map(Number);
  if (dims.every((dim) => dim >= 0 && Number.isSafeInteger(dim)) && Number.isSafeInteger(sizeOf(dims))) return dims;
  throw invalidModel(`${what} has the impossible shape [${proto.dims.join(", ")}]`);
}

/** Tensors in other files were read earlier, when the model's own path was known; one that is left cannot be read. */
function refuseElsewhere(proto: TensorProto, what: string): void {
  if (proto.dataLocation !== Place.EXTERNAL) {
    if (proto.segment) throw invalidModel(`${what} is split into segments, which ONNX no longer allows`);
    return;
  }
  const file = proto.externalData.find(({ key }) => key === "location")?.value ?? "another file";
  throw new PergradError(
    "FILE_UNREADABLE",
    `${what} is stored outside the model, in "${file}", which cannot be found from the model's bytes; ` +
      "give loadModel the model's path instead.",
  );
}

function refuseSize(what: string, dims: readonly number[], found: string): never {
  throw invalidModel(`${what} needs ${sizeOf(dims)} elements for its shape [${dims.join(", ")}], but holds ${found}`);
}

function fromRaw(proto: TensorProto, stored: StoredType, dims: readonly number[], what: string): Tensor {
  if (proto.rawData.length !== sizeOf(dims) * storedBytesOf(stored)) {
    refuseSize(what, dims, `${proto.rawData.length} bytes of ${stored}`);
  }
  return tensorOfBytes(stored, dims, ownBuffer(proto.rawData));
}

/**
 * Copies bytes that lie inside a model's bytes, as typed arrays need alignment and the caller may reuse the model's
 * bytes. Bytes from another file already fill a buffer of their own.
 */
function ownBuffer(bytes: Uint8Array): ArrayBuffer {
  const { buffer, byteLength } = bytes;
  return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? buffer : new Uint8Array(bytes).buffer;
}

/** The elements as protobuf numbers, for tensors without raw bytes. The narrow types share a field. */
function fromFields(proto: TensorProto, stored: StoredType, dims: readonly number[], what: string): Tensor {
  const data = arrayFromFields(proto, stored);
  if (data.length !== sizeOf(dims)) refuseSize(what, dims, `${data.length}`);
  if (stored === "float16" || stored === "bfloat16") {
    return tensorOfBytes(stored, dims, Uint16Array.from(proto.int32Data).buffer);
  }
  return tensorWith(stored, dims, data);
}

function arrayFromFields(proto: TensorProto, stored: StoredType): TypedArray {
  switch (stored) {
    case "float32":
      return Float32Array.from(proto.floatData);
    case "float64":
      return Float64Array.from(proto.doubleData);
    case "int64":
      return BigInt64Array.from(proto.int64Data);
    case "uint64":
      return BigUint64Array.from(proto.uint64Data);
    case "uint32":
      return Uint32Array.from(proto.uint64Data, Number);
    case "bool":
      return Uint8Array.from(proto.int32Data, (element) => (element === 0 ? 0 : 1));
    case "float16":
    case "bfloat16":
      return Uint16Array.from(proto.int32Data);
    default:
      return arrayOf(stored).from(proto.int32Data);
  }
}

export function encodeTensor(name: string, tensor: Tensor): TensorProto {
  return tensorProto.create({
    name,
    dims: tensor.dims.map(BigInt),
    dataType: elementTypeOf(tensor.dtype),
    rawData: unsharedBytes(tensor),
  });
}

/** The bytes of a tensor, copied only if they are in memory shared between threads. */
function unsharedBytes({ data }: Tensor): Uint8Array<ArrayBuffer> {
  const { buffer, byteOffset, byteLength } = data;
  return buffer instanceof ArrayBuffer
    ? new Uint8Array(buffer, byteOffset, byteLength)
    : new Uint8Array(bytesOfArray(data));
}
