/** What programs take as data. */
import { invalidArgument, isPromise, kindOf } from "../arguments.js";
import { PergradError } from "../errors.js";
import { meant } from "../meant.js";
import { halfBits } from "./float16.js";
import { type ScaledTensor, scalingOf } from "./scaled.js";
import { arrayOf, type DType, dtypes, isDType, type Tensor, type TypedArray, tagOf } from "./tensor.js";

/** A tensor of ONNX Runtime, as another session returns it; on the CPU. */
export interface RuntimeTensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: unknown;
}

/**
 * Data for one input: a tensor, one of ONNX Runtime's own, or a flat array whose dimensions follow from the input's shape.
 * Numbers are converted to the input's dtype where no information is lost (integers to int64, float64 to float32). Bytes
 * with a scale are floating-point numbers, `byte * scale + offset`, that are held as bytes until they are computed with.
 */
export type Data = Tensor | ScaledTensor | RuntimeTensor | TypedArray | readonly number[] | readonly bigint[];

/** Data in the forms that programs compute with. */
export type PlainData = Exclude<Data, RuntimeTensor> | Tensor;

export function isTensor(data: PlainData): data is Tensor {
  return "dims" in data;
}

/**
 * Checks what was given for an input and returns it as data; tensors of ONNX Runtime become pergrad's own, over the
 * same elements.
 * @param what the input: 'The input "x"'
 * @throws PergradError INVALID_ARGUMENT.
 */
export function plainData(what: string, data: Data): PlainData {
  const given: unknown = data;
  const advice = "give a typed array, an array of numbers, or { dtype, dims, data }";
  if (isPromise(given)) throw invalidArgument(`${what} is a promise; await it first.`);
  if (typeof given !== "object" || given === null)
    throw invalidArgument(`${what} cannot be ${kindOf(given)}; ${advice}.`);
  if (Array.isArray(given)) {
    if (given.some((element) => typeof element === "object"))
      throw invalidArgument(`${what} is an array of arrays; flatten it, because its shape is known from the model.`);
    return given;
  }
  if (ArrayBuffer.isView(given)) {
    if (given instanceof DataView) throw invalidArgument(`${what} is a DataView; ${advice}.`);
    return data as TypedArray;
  }
  if (!("dims" in given) || !("data" in given))
    throw invalidArgument(`${what} is ${kindOf(given)} without dims and data; ${advice}.`);
  const { dtype, type, dims } = given as { readonly dtype?: unknown; readonly type?: unknown; readonly dims: unknown };
  if (!Array.isArray(dims)) throw invalidArgument(`${what} has dims that are ${kindOf(dims)}; give an array of sizes.`);
  const tensor = tensorOf(what, dtype ?? type, dims, given.data);
  const scaling = scalingOf(given);
  return scaling ? { ...tensor, ...scaling } : tensor;
}

function tensorOf(what: string, dtype: unknown, dims: readonly number[], data: unknown): Tensor {
  if (typeof dtype !== "string" || !isDType(dtype)) {
    const known = `the dtypes are ${dtypes.join(", ")}`;
    throw invalidArgument(
      `${what} has the dtype ${kindOf(dtype)}${(typeof dtype === "string" && meant(dtype, dtypes)) || `; ${known}.`}`,
    );
  }
  const array = elements(data, dtype);
  if (!array)
    throw invalidArgument(`${what} is ${dtype} but its data is ${kindOf(data)}; give a ${arrayOf(dtype).name}.`);
  const size = dims.reduce((product, dim) => product * dim, 1);
  if (array.length !== size)
    throw new PergradError(
      "SHAPE_MISMATCH",
      `${what} has ${array.length} elements, but dims [${dims.join(", ")}] hold ${size}; correct one of them.`,
    );
  return { dtype, dims, data: array } as Tensor;
}

/** Numbers may come as a plain array. */
function elements(data: unknown, dtype: DType): TypedArray | undefined {
  const held = arrayOf(dtype);
  if (ArrayBuffer.isView(data)) {
    if (dtype === "float16" && tagOf(data) === "Float16Array") return halfBits(data);
    return tagOf(data) === held.name ? (data as TypedArray) : undefined;
  }
  if (!Array.isArray(data)) return undefined;
  const whole = dtype === "int64" || dtype === "uint64";
  return whole ? (held as typeof BigInt64Array).from(data, BigInt) : (held as typeof Float32Array).from(data, Number);
}

function copied<A>(array: A): A {
  const isArray = Array.isArray(array) || (ArrayBuffer.isView(array) && !(array instanceof DataView));
  return isArray ? (array as A & { slice(): A }).slice() : array;
}

/** A copy with an array of its own. Anything that is not data is returned as it is, for later checks to refuse. */
function copyOf<D extends Data>(data: D): D {
  if (typeof data !== "object" || data === null) return data;
  if (!("dims" in data)) return copied(data);
  // A runtime's tensor has its fields behind getters, which spreading would not copy.
  return "type" in data
    ? ({ type: data.type, dims: data.dims, data: copied(data.data) } as D)
    : { ...data, data: copied(data.data) };
}

/** Copies of all the data, by name. */
export function copiesOf<D extends Data>(all: Readonly<Record<string, D>>): Record<string, D> {
  return Object.fromEntries(Object.entries(all).map(([name, data]) => [name, copyOf(data)]));
}
