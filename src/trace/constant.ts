/** Constants from numbers and nested arrays. */

import { constantValue, type Value } from "../graph/value.js";
import { arrayOf, type DType, isFloat, sizeOf, type Tensor, type TypedArray, tensorWith } from "../tensor/tensor.js";
import { invalid } from "./shape.js";

/** Numbers (or booleans) in as many levels of arrays as there are axes. */
export type Nested = number | boolean | readonly Nested[];

export function isTensor(value: unknown): value is Tensor {
  return typeof value === "object" && value !== null && "dtype" in value && "dims" in value && "data" in value;
}

/** Throws INVALID_ARGUMENT if `dtype` cannot hold the number. */
function checkElement(element: number, dtype: DType): void {
  const fits = isFloat(dtype) || (dtype === "bool" ? element === 0 || element === 1 : Number.isSafeInteger(element));
  if (!fits)
    throw invalid(`${element} is not a valid ${dtype}; use a whole number, or cast the tensor to float32 first.`);
}

function collect(nested: Nested, depth: number, dims: number[], into: number[]): void {
  if (!Array.isArray(nested)) {
    if (depth < dims.length || (typeof nested !== "number" && typeof nested !== "boolean")) {
      throw invalid("A constant must be a number, a tensor, or nested arrays of equal lengths.");
    }
    into.push(Number(nested));
    return;
  }
  if (nested.length !== dims[depth])
    throw invalid("The rows of a constant's nested arrays have different lengths; make them equal.");
  for (const element of nested) collect(element, depth + 1, dims, into);
}

/** A tensor made of a number or of nested arrays. */
export function tensorOf(nested: Nested, dtype: "float32"): Tensor<"float32">;
export function tensorOf(nested: Nested, dtype: DType): Tensor;
export function tensorOf(nested: Nested, dtype: DType): Tensor {
  const dims: number[] = [];
  for (let level: Nested | undefined = nested; Array.isArray(level); level = level[0]) dims.push(level.length);
  const elements: number[] = [];
  collect(nested, 0, dims, elements);
  for (const element of elements) checkElement(element, dtype);
  return tensorWith(dtype, dims, fill(arrayOf(dtype), elements));
}

function fill(make: ReturnType<typeof arrayOf>, elements: readonly number[]): TypedArray {
  if (make === BigInt64Array || make === BigUint64Array) return make.from(elements.map(BigInt));
  return (make as Float32ArrayConstructor).from(elements);
}

/** A tensor with its data checked against its dimensions. */
export function checkedTensor<T extends Tensor>(tensor: T, what: string): T {
  if (tensor.data.length === sizeOf(tensor.dims)) return tensor;
  throw invalid(
    `${what}: [${tensor.dims.join(", ")}] needs ${sizeOf(tensor.dims)} elements, not ${tensor.data.length}; correct its dims.`,
  );
}

/** A number as a scalar of `dtype`. */
export function scalarOf(value: number, dtype: DType): Value {
  return constantValue(tensorOf(value, dtype));
}
