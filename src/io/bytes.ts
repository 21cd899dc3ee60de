import { toFloat32, widened } from "../tensor/float16.js";
import { arrayOf, bytesOf, type DType, sizeOf, type Tensor, type TypedArray, tensor } from "../tensor/tensor.js";

/** Half-precision formats that files may hold; reading widens them to float32. */
export type HalfType = "float16" | "bfloat16";

/** The type and shape of a tensor that is not written yet. */
export interface TensorLayout {
  readonly dtype: DType;
  readonly dims: readonly number[];
}

/** Values by name; a Map keeps the order of names such as "0", which an object sorts. */
export type Named<T> = ReadonlyMap<string, T> | Readonly<Record<string, T>>;

export function entriesOf<T>(named: Named<T>): [string, T][] {
  // An object may have a key "entries" of its own, so the class decides.
  return named instanceof Map ? [...named] : Object.entries(named);
}

/** Practically every platform that Node runs on is little-endian, and so are the files: bytes are used as they are. */
export function bytesOfArray(data: TypedArray): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

export function byteLengthOf(layout: TensorLayout): number {
  return sizeOf(layout.dims) * bytesOf(layout.dtype);
}

export function storedBytesOf(type: DType | HalfType): number {
  return type === "float16" || type === "bfloat16" ? 2 : bytesOf(type);
}

/** A tensor over little-endian bytes, which must start at offset 0 of a buffer of their own. */
export function tensorOfBytes(type: DType | HalfType, dims: readonly number[], buffer: ArrayBuffer): Tensor {
  if (type === "float16") return toFloat32(tensor("float16", dims, new Uint16Array(buffer)));
  if (type === "bfloat16")
    return tensor(
      "float32",
      dims,
      widened(new Uint16Array(buffer), (bits) => bits << 16),
    );
  const data = new (arrayOf(type) as new (buffer: ArrayBuffer) => TypedArray)(buffer);
  if (type === "bool") for (let i = 0; i < data.length; i++) if (data[i] !== 0) data[i] = 1;
  return tensor(type, dims, data);
}
