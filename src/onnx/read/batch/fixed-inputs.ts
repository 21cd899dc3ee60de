/**
 * Inputs whose value is given when the file is read: they become constants, the same in every run and for all samples.
 */

import type { ValueInfoProto } from "onnx-buf";
import { PergradError } from "../../../errors.js";
import { type Dim, isBatch, type Shape, showShape } from "../../../graph/dim.js";
import type { Value } from "../../../graph/value.js";
import type { Build } from "../../../ops/build.js";
import {
  arrayOf,
  type DType,
  isFloat,
  numberArrayOf,
  sizeOf,
  type Tensor,
  type TypedArray,
  tensorWith,
} from "../../../tensor/tensor.js";
import type { PrecisionNotes } from "../../tensors.js";
import { decodeInput, type InputOptions } from "../inputs.js";
import { fileConstant } from "../parameters/initializers.js";
import { batchAxes } from "./batch-axes.js";

/** One number for every element, the elements in row-major order, or a tensor. */
export type FixedValue = number | bigint | boolean | readonly (number | bigint | boolean)[] | TypedArray | Tensor;

interface FixOptions extends InputOptions {
  readonly fix?: Readonly<Record<string, FixedValue>>;
  readonly sampleAxes?: Readonly<Record<string, number | null>>;
  readonly fileName: string;
  readonly build: Build;
}

export class FixedInputs {
  /** The inputs that are fed. */
  readonly others: readonly ValueInfoProto[];
  readonly #fixed: readonly (readonly [ValueInfoProto, FixedValue])[];

  /** Throws INVALID_ARGUMENT if there is no such input. */
  constructor(
    inputs: readonly ValueInfoProto[],
    readonly options: FixOptions,
  ) {
    const { fix = {}, fileName } = options;
    const names = inputs.map(({ name }) => name);
    const unknown = Object.keys(fix).find((name) => !names.includes(name));
    if (unknown !== undefined) {
      throw new PergradError(
        "INVALID_ARGUMENT",
        `A value is fixed for "${unknown}", but the inputs of "${fileName}" are ${names.join(", ")}; fix one of these.`,
      );
    }
    this.others = inputs.filter(({ name }) => !Object.hasOwn(fix, name));
    this.#fixed = inputs.flatMap((proto) => {
      const given = Object.hasOwn(fix, proto.name) ? fix[proto.name] : undefined;
      return given === undefined ? [] : [[proto, given] as const];
    });
  }

  /**
   * The constants that replace the inputs, by name, for a batch of `size`: an input with a sample axis holds the value
   * once for each sample. Throws SHAPE_MISMATCH, DTYPE_MISMATCH, UNKNOWN_SHAPE.
   */
  values(size: Dim, precision: PrecisionNotes): [string, Value][] {
    return this.#fixed.map(([proto, given]): [string, Value] => {
      const { axes, fixed } = batchAxes([proto], this.options.sampleAxes);
      const own = Object.hasOwn(this.options.sampleAxes ?? {}, proto.name);
      const axis = own || fixed === undefined ? (axes.get(proto.name) ?? null) : null;
      const input = decodeInput(proto, { axis, size }, this.options, precision);
      return [proto.name, constantInPlace(input, axis, given, this.options.build)];
    });
  }
}

function constantInPlace({ name, dtype, shape }: Value, axis: number | null, given: FixedValue, build: Build): Value {
  const one: Shape = axis === null ? shape : shape.with(axis, 1);
  if (one.some(isBatch)) throw refusal(name, `is ${showShape(shape)}, which holds the samples more than once`);
  const dims = one.map(Number);
  const elements = elementsOf(name, given, dims, axis);
  const constant = fileConstant(tensorWith(dtype, dims, arrayFor(name, dtype, elements)), name);
  return axis === null ? constant : build.expand(constant, shape);
}

function refusal(name: string, problem: string): PergradError {
  return new PergradError("SHAPE_MISMATCH", `The input "${name}" cannot be fixed: it ${problem}.`);
}

type Element = number | bigint | boolean;

/** As many elements as `dims` requires. */
function elementsOf(name: string, given: FixedValue, dims: readonly number[], axis: number | null): Element[] {
  if (typeof given !== "object") return Array<Element>(sizeOf(dims)).fill(given);
  const elements = Array.from<Element>("dims" in given ? given.data : given);
  const plain = dims.filter((_, k) => k !== axis);
  const fits = "dims" in given ? [dims, plain].some((wanted) => wanted.join() === given.dims.join()) : true;
  if (fits && elements.length === sizeOf(dims)) return elements;
  const found = "dims" in given ? `[${given.dims.join(", ")}]` : `${elements.length} elements`;
  const wanted = `[${plain.join(", ")}]${axis === null ? "" : " for one sample"}`;
  throw refusal(name, `is ${wanted}, but the value given for it has ${found}`);
}

/** Throws DTYPE_MISMATCH if an element does not fit the input's dtype. */
function arrayFor(name: string, dtype: DType, elements: readonly Element[]): TypedArray {
  const wide = dtype === "int64" || dtype === "uint64";
  const wrong = elements.find((element) => !isOf(dtype, element));
  if (wrong !== undefined) {
    throw new PergradError(
      "DTYPE_MISMATCH",
      `The input "${name}" is ${dtype}, but the value fixed for it holds ${String(wrong)}; give ${example(dtype)}.`,
    );
  }
  if (wide) return (arrayOf(dtype) as BigInt64ArrayConstructor).from(elements.map((element) => BigInt(element)));
  return numberArrayOf(dtype).from(elements.map(Number));
}

function isOf(dtype: DType, element: Element): boolean {
  if (dtype === "bool") return [0, 1].includes(Number(element));
  if (typeof element === "boolean") return false;
  if (isFloat(dtype)) return typeof element === "number";
  if (typeof element === "number" && !Number.isSafeInteger(element)) return false;
  if (dtype === "int64" || dtype === "uint64") {
    const wide = BigInt(element);
    return (dtype === "int64" ? BigInt.asIntN(64, wide) : BigInt.asUintN(64, wide)) === wide;
  }
  return numberArrayOf(dtype).of(Number(element))[0] === Number(element);
}

function example(dtype: DType): string {
  if (dtype === "bool") return "true or false";
  return isFloat(dtype) ? "a number" : `a whole number that ${dtype} holds`;
}
