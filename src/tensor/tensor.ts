import { invalidArgument, kindOf } from "../arguments.js";
import { PergradError } from "../errors.js";

/** Element types of tensors that pergrad reads, computes with or passes on. */
export type DType =
  | "float32"
  | "float64"
  | "float16"
  | "int64"
  | "int32"
  | "int16"
  | "int8"
  | "uint64"
  | "uint32"
  | "uint16"
  | "uint8"
  | "bool";

interface DataOf {
  float32: Float32Array;
  float64: Float64Array;
  /**
   * The bits of IEEE 754 half-precision numbers: a format for stored results, not for computing. `toFloat32` converts
   * them.
   */
  float16: Uint16Array;
  int64: BigInt64Array;
  int32: Int32Array;
  int16: Int16Array;
  int8: Int8Array;
  uint64: BigUint64Array;
  uint32: Uint32Array;
  uint16: Uint16Array;
  uint8: Uint8Array;
  /** 0 or 1 per element. */
  bool: Uint8Array;
}

/** A plain value: a typed array in row-major order with its dimensions. */
export interface Tensor<D extends DType = DType> {
  /** The type of its elements. */
  readonly dtype: D;
  /** The sizes of its axes; `[]` for a single number. */
  readonly dims: readonly number[];
  /** Shared with no other result; but small results may be views of one buffer, so mind `byteOffset`. */
  readonly data: DataOf[D];
}

export type TypedArray = DataOf[DType];

const arrays = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  int64: BigInt64Array,
  int32: Int32Array,
  int16: Int16Array,
  int8: Int8Array,
  uint64: BigUint64Array,
  uint32: Uint32Array,
  uint16: Uint16Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const;

/** The dtypes that an array's type identifies; other dtypes share an array type. */
const told = ["float32", "float64", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8"] as const;

/** The dtype of a plain array; undefined if no dtype follows from its type. */
export function dtypeOfArray(data: ArrayBufferView): (typeof told)[number] | undefined {
  return told.find((dtype) => data instanceof arrays[dtype]);
}

export const dtypes = Object.keys(arrays) as readonly DType[];

/** Whether this names an element type that pergrad reads. */
export function isDType(text: string): text is DType {
  return Object.hasOwn(arrays, text);
}

/** The typed-array class that holds `dtype`. */
export function arrayOf<D extends DType>(dtype: D): (typeof arrays)[D] {
  return arrays[dtype];
}

/** The name of a typed array's class, from whichever realm it comes. */
export function tagOf(data: ArrayBufferView): string {
  return Object.prototype.toString.call(data).slice("[object ".length, -1);
}

/**
 * The same class, typed for code that handles the elements of all dtypes alike, makes arrays of them, or copies them.
 * Elements of 64-bit integers are bigints, whatever the type says.
 */
export function numberArrayOf(dtype: DType): Float32ArrayConstructor {
  return arrays[dtype] as Float32ArrayConstructor;
}

/** The elements as numbers to read. Those of 64-bit integers are bigints, which `Number` converts. */
export function elementsIn({ data }: Tensor): ArrayLike<number> {
  return data as ArrayLike<number>;
}

/** The elements, typed for code that copies any dtype, or reads floating-point numbers. */
export function floatsIn({ data }: Pick<Tensor, "data">): Float32Array {
  return data as Float32Array;
}

/** A tensor of data that is known to have this dtype and fill the dimensions: neither is checked. */
export function tensorWith(dtype: DType, dims: readonly number[], data: TypedArray): Tensor {
  return { dtype, dims, data } as Tensor;
}

/** A tensor of zeros with these dimensions. */
export function zeroTensor(dtype: DType, dims: readonly number[]): Tensor {
  return tensorWith(dtype, dims, new (arrayOf(dtype))(sizeOf(dims)));
}

/** Bytes per element. */
export function bytesOf(dtype: DType): number {
  return arrays[dtype].BYTES_PER_ELEMENT;
}

/** Number of elements of a tensor with these dimensions (1 for a scalar, `[]`). */
export function sizeOf(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1);
}

/** A tensor whose data fills its dimensions. Throws SHAPE_MISMATCH, DTYPE_MISMATCH, INVALID_ARGUMENT. */
export function tensor<D extends DType>(dtype: D, dims: readonly number[], data: DataOf[D]): Tensor<D> {
  const given: { readonly dtype: unknown; readonly dims: unknown; readonly data: unknown } = { dtype, dims, data };
  if (typeof given.dtype !== "string" || !isDType(given.dtype) || !Array.isArray(given.dims))
    throw invalidArgument(
      'tensor takes a dtype, dimensions and data, as in tensor("float32", [2, 3], data); give all three.',
    );
  if (!ArrayBuffer.isView(given.data) || tagOf(given.data) !== arrays[dtype].name)
    throw new PergradError(
      "DTYPE_MISMATCH",
      `A ${dtype} tensor holds a ${arrays[dtype].name}, not ${kindOf(given.data)}; convert it.`,
    );
  if (data.length !== sizeOf(dims))
    throw new PergradError(
      "SHAPE_MISMATCH",
      `A ${dtype} tensor [${dims.join(", ")}] needs ${sizeOf(dims)} elements, not ${data.length}; correct its dimensions.`,
    );
  return { dtype, dims: [...dims], data };
}

export function isFloat(dtype: DType): dtype is "float32" | "float64" {
  return dtype === "float32" || dtype === "float64";
}
