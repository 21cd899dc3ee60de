/** Functions that start expressions, and functions of several tensors. */

import { PergradError } from "../errors.js";
import { bindShape, type Dim, type DimSpec, isBatch, showShape } from "../graph/dim.js";
import { constantValue, leaf } from "../graph/value.js";
import { leadingOf } from "../present.js";
import { type DType, sizeOf, type Tensor } from "../tensor/tensor.js";
import { checkedTensor, isTensor, type Nested, scalarOf, tensorOf } from "./constant.js";
import { axisOf, invalid, shapeOf } from "./shape.js";
import { type Operand, requireSameDType, Traced } from "./traced.js";

function requireName(name: string, what: string): void {
  if (typeof name !== "string" || name === "") throw invalid(`${what} needs a name; give it one.`);
}

/**
 * A tensor fed at every run. The axis of size "N" holds the samples.
 * @throws PergradError INVALID_ARGUMENT: the name is empty, or a size is no whole number or multiple of N.
 */
export function input(name: string, shape: readonly DimSpec[], dtype: DType = "float32"): Traced {
  requireName(name, "An input");
  return new Traced(leaf(name, { dtype, shape: shapeOf(shape, `input "${name}"`) }, { kind: "input" }));
}

/**
 * A float32 weight, optionally with an initial value: a tensor, its elements in row-major order, or nested arrays.
 * @throws PergradError INVALID_ARGUMENT: the name is empty, a size is invalid, or a parameter with N in its shape has an initial value.
 * @throws PergradError SHAPE_MISMATCH or DTYPE_MISMATCH: the initial value does not fit.
 */
export function parameter(
  name: string,
  shape: readonly DimSpec[],
  initial?: Tensor<"float32"> | Float32Array | Nested,
): Traced {
  requireName(name, "A parameter");
  const what = `parameter "${name}"`;
  const dims = shapeOf(shape, what);
  const start = initial === undefined ? {} : { initial: initialTensor(what, dims, initial) };
  return new Traced(leaf(name, { dtype: "float32", shape: dims }, { kind: "parameter", ...start }));
}

function initialTensor(
  what: string,
  dims: readonly Dim[],
  initial: Tensor<"float32"> | Float32Array | Nested,
): Tensor<"float32"> {
  const wrong = () =>
    new PergradError("SHAPE_MISMATCH", `${what}: its initial value does not fit its shape ${showShape(dims)}.`);
  if (dims.some(isBatch))
    throw invalid(`${what}: a parameter whose shape holds N cannot have an initial value; leave it out.`);
  const sizes = bindShape(dims, 0);
  if (initial instanceof Float32Array) {
    if (initial.length !== sizeOf(sizes)) throw wrong();
    return { dtype: "float32", dims: sizes, data: initial };
  }
  const tensor = isTensor(initial) ? checkedTensor(initial, what) : tensorOf(initial, "float32");
  if (tensor.dtype !== "float32")
    throw new PergradError("DTYPE_MISMATCH", `${what}: its initial value must be float32; convert it.`);
  // A flat array of numbers is taken in row-major order, as a typed array is.
  const flat = !isTensor(initial) && tensor.dims.length === 1 && tensor.data.length === sizeOf(sizes);
  if (flat) return { dtype: "float32", dims: sizes, data: tensor.data };
  if (tensor.dims.length !== sizes.length || tensor.dims.some((size, axis) => size !== sizes[axis])) throw wrong();
  return tensor;
}

/** A constant. Numbers and nested arrays are float32 unless `dtype` says otherwise. */
export function constant(value: Tensor | Nested, dtype: DType = "float32"): Traced {
  return new Traced(constantValue(isTensor(value) ? checkedTensor(value, "constant") : tensorOf(value, dtype)));
}

/** A view of `x` with a new leading axis ("N": one per sample), or broadcast to a whole shape. Never copied. */
export function expand(x: Traced, to: DimSpec | readonly DimSpec[]): Traced {
  return x.expand(to);
}

/**
 * `a` where the condition holds, `b` elsewhere.
 * @throws PergradError DTYPE_MISMATCH: the condition is not bool, or a and b have different dtypes.
 */
export function where(condition: Traced, a: Operand, b: Operand): Traced {
  if (condition.dtype !== "bool") {
    throw new PergradError("DTYPE_MISMATCH", `where: the condition must be bool, not ${condition.dtype}.`);
  }
  const dtype = a instanceof Traced ? a.dtype : b instanceof Traced ? b.dtype : "float32";
  const [then, otherwise] = leadingOf(
    [a, b].map((x) => (x instanceof Traced ? x : new Traced(scalarOf(x, dtype)))),
    2,
  );
  requireSameDType("where", [then.value, otherwise.value]);
  return condition.onnx("Where", [then, otherwise]);
}

/**
 * Joins tensors along an existing axis.
 * @throws PergradError INVALID_ARGUMENT: there are no tensors, or no such axis.
 * @throws PergradError DTYPE_MISMATCH or SHAPE_MISMATCH: the tensors do not fit each other.
 */
export function concat(parts: readonly Traced[], axis = 0): Traced {
  const [first, ...others] = parts;
  if (!first) throw invalid("concat: there is nothing to join; give at least one tensor.");
  requireSameDType(
    "concat",
    parts.map((part) => part.value),
  );
  const along = axisOf(axis, first.rank, "concat");
  return others.length === 0 ? first : first.onnx("Concat", others, { axis: along });
}

/**
 * Joins tensors along a new axis.
 * @throws PergradError INVALID_ARGUMENT: there are no tensors, or no such axis.
 * @throws PergradError DTYPE_MISMATCH or SHAPE_MISMATCH: the tensors do not fit each other.
 */
export function stack(parts: readonly Traced[], axis = 0): Traced {
  return concat(
    parts.map((part) => part.unsqueeze(axis)),
    axis,
  );
}
