/** The inputs of a file's graph as leaf values: how large their dimensions are. */
import type { TensorShapeProto_Dimension, ValueInfoProto } from "onnx-buf";
import { PergradError } from "../../errors.js";
import type { Dim } from "../../graph/dim.js";
import { leaf, type Value } from "../../graph/value.js";
import { option, sentence } from "../../sentence.js";
import { computedType, invalidModel, showElementType, storedTypeOf } from "../proto.js";
import type { PrecisionNotes } from "../tensors.js";
import { statedSize, symbolOf } from "./batch/batch-axes.js";

export interface InputOptions {
  /** Sizes of symbolic dimensions, by their name, or by `input.axis`. */
  readonly dimensions?: Readonly<Record<string, number>>;
}

/** How many samples there are, and along which axis of the input they lie. */
export interface Batch {
  readonly axis: number | null;
  readonly size: Dim;
}

export function decodeInput(proto: ValueInfoProto, batch: Batch, options: InputOptions, notes: PrecisionNotes): Value {
  const what = `input "${proto.name}"`;
  const type = proto.type?.value;
  if (type?.case !== "tensorType")
    throw new PergradError(
      "UNSUPPORTED_OP",
      `The ${what} is not a tensor, so pergrad cannot feed it; export the model with tensors alone as inputs.`,
    );
  const stored = storedTypeOf(type.value.elemType);
  if (!stored) {
    throw new PergradError(
      "DTYPE_MISMATCH",
      `The ${what} holds ${showElementType(type.value.elemType)}, which pergrad does not read; cast it to float32 or int64.`,
    );
  }
  notes.add(stored, what);
  const dims = type.value.shape?.dim;
  if (!dims) {
    throw new PergradError(
      "UNKNOWN_SHAPE",
      `The model does not say how many axes its ${what} has; export it with the shapes of its inputs.`,
    );
  }
  return leaf(
    proto.name,
    { dtype: computedType(stored), shape: decodeShape(proto.name, dims, batch, options) },
    { kind: "input" },
  );
}

function decodeShape(
  input: string,
  dims: readonly TensorShapeProto_Dimension[],
  { axis: at, size }: Batch,
  options: InputOptions,
): Dim[] {
  const symbol = at === null ? undefined : symbolOf(dims[at]);
  return dims.map((dim, axis) => {
    if (axis === at || (symbol !== undefined && symbolOf(dim) === symbol)) return size;
    return possibleSize(dim, input, axis) ?? givenSize(dim, input, axis, options);
  });
}

function possibleSize(dim: TensorShapeProto_Dimension, input: string, axis: number): number | undefined {
  const size = statedSize(dim);
  if (size !== undefined && !Number.isSafeInteger(size))
    throw invalidModel(`Axis ${axis} of the input "${input}" has the impossible size ${dim.value.value}`);
  return size;
}

function givenSize(
  dim: TensorShapeProto_Dimension,
  input: string,
  axis: number,
  { dimensions = {} }: InputOptions,
): number {
  const symbol = symbolOf(dim);
  const keys = [`${input}.${axis}`, ...(symbol === undefined ? [] : [symbol])];
  const key = keys.find((name) => Object.hasOwn(dimensions, name));
  if (key === undefined) throw sizeNeeded(input, axis, symbol);
  const size = dimensions[key];
  if (size === undefined || !Number.isSafeInteger(size) || size < 0) {
    throw new PergradError(
      "INVALID_ARGUMENT",
      `The size ${size} given for dimension "${key}" is not a whole number from 0 up; give one.`,
    );
  }
  return size;
}

function sizeNeeded(input: string, axis: number, symbol: string | undefined): PergradError {
  const key = symbol ?? `${input}.${axis}`;
  const named = symbol === undefined ? "is not fixed" : `("${symbol}") is not fixed`;
  return new PergradError(
    "UNKNOWN_SHAPE",
    sentence`Axis ${axis} of the input "${input}" ${named} in the model; give its size: ${option("dimensions", { [key]: 128 })}.`,
  );
}
