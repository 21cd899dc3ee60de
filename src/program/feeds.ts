/** Checks and converts what a user feeds to a program, and finds the batch size. */

import { invalidArgument, isPromise, kindOf } from "../arguments.js";
import { advised, PergradError } from "../errors.js";
import { isBatch, type Shape, sameDim, showShape } from "../graph/dim.js";
import type { Expected, LabelLimit, RowLimit } from "../graph/model.js";
import { meant } from "../meant.js";
import { byClass } from "../nn/labels.js";
import { entryOf, nth, present } from "../present.js";
import { option, sentence, type Words } from "../sentence.js";
import { type Data, isTensor, type PlainData, plainData } from "../tensor/data.js";
import { areFinite } from "../tensor/finite.js";
import { isScaled, unscaled } from "../tensor/scaled.js";
import { arrayOf, type DType, dtypeOfArray, isFloat, sizeOf, type Tensor, type TypedArray } from "../tensor/tensor.js";

function describeInput(name: string): string {
  return name === "target" ? "The target" : `The input "${name}"`;
}

/** Whether data of one dtype may be fed where another is expected. */
function converts(from: DType, to: DType): boolean {
  if (from === to) return true;
  if (isFloat(to)) return isFloat(from);
  return to === "int64" && ["int32", "int16", "int8", "uint32", "uint16", "uint8"].includes(from);
}

/** Throws DTYPE_MISMATCH if the target holds a number for each class, but the number of the class is needed. */
function refuseByClass(name: string, { dtype, dims }: Tensor, { value }: Expected): void {
  if (name !== "target" || value.dtype !== "int64") return;
  const others = (axis: number) => dims.filter((_, k) => k > 0 && k !== axis).join();
  const axis = dims.findIndex((_, k) => k > 0 && others(k) === value.shape.slice(1).join());
  if (axis < 0 || nth(dims, axis) < 2) return;
  const target = `The target is ${dtype} [${dims.join(", ")}]`;
  throw byClass(target, `the model needs the number of each sample's class, int64 ${showShape(value.shape)}`);
}

function convert(name: string, given: Tensor, to: DType): Tensor {
  const tensor = isScaled(given) && to !== "uint8" ? unscaled(describeInput(name), given) : given;
  if (tensor.dtype === to) return tensor;
  if (!converts(tensor.dtype, to)) {
    throw new PergradError(
      "DTYPE_MISMATCH",
      `${describeInput(name)} is ${tensor.dtype}, but the model needs ${to}; ${
        tensor.dtype === "uint8" && isFloat(to)
          ? `give it a scale, as in { dtype: "uint8", dims, data, scale: 1 / 255 } ("${name}.scale" in a file), or convert it to ${to}`
          : `convert it to ${to}`
      }.`,
    );
  }
  const numbers = tensor.data as ArrayLike<number>;
  if (to === "int64") return { dtype: to, dims: tensor.dims, data: BigInt64Array.from(numbers, BigInt) };
  return { dtype: to, dims: tensor.dims, data: (arrayOf(to) as Float32ArrayConstructor).from(numbers) } as Tensor;
}

/** An array's dtype; bytes are booleans if those are expected. */
function dtypeOf(data: TypedArray, expected: DType): DType {
  const inferred = dtypeOfArray(data) ?? "uint8";
  return inferred === "uint8" && expected === "bool" ? "bool" : inferred;
}

/** A flat array as a tensor of the expected shape; N follows from its length. Throws SHAPE_MISMATCH, DTYPE_MISMATCH. */
export function shaped(name: string, data: Exclude<PlainData, Tensor>, { value }: Expected): Tensor {
  const perBatch = value.shape.reduce<number>((size, dim) => size * (isBatch(dim) ? dim.perSample : dim), 1);
  const batched = value.shape.some(isBatch);
  const samples = batched ? data.length / perBatch : 1;
  if (!Number.isInteger(samples) || (!batched && data.length !== perBatch)) {
    throw new PergradError(
      "SHAPE_MISMATCH",
      `${describeInput(name)} has ${data.length} elements, which do not fill ${showShape(value.shape)}; give as many elements as it holds.`,
    );
  }
  const dims = value.shape.map((dim) => (isBatch(dim) ? dim.perSample * samples : dim));
  if (ArrayBuffer.isView(data)) return { dtype: dtypeOf(data, value.dtype), dims, data } as Tensor;
  return fromNumbers(name, data, value.dtype, dims);
}

function fromNumbers(name: string, data: readonly (number | bigint)[], dtype: DType, dims: readonly number[]): Tensor {
  const at = data.findIndex((element) => typeof element !== "number" && typeof element !== "bigint");
  if (at >= 0)
    throw new PergradError("DTYPE_MISMATCH", `${describeInput(name)} holds ${kindOf(data[at])}; give only numbers.`);
  if (isFloat(dtype)) return { dtype: "float32", dims, data: Float32Array.from(data, Number) };
  const wrong = data.find((element) => typeof element === "number" && !Number.isSafeInteger(element));
  if (wrong !== undefined)
    throw new PergradError(
      "DTYPE_MISMATCH",
      `${describeInput(name)} needs ${dtype}, but holds ${wrong}; give whole numbers.`,
    );
  if (dtype === "int64") return { dtype, dims, data: BigInt64Array.from(data, BigInt) };
  return { dtype, dims, data: (arrayOf(dtype) as Int32ArrayConstructor).from(data, Number) } as Tensor;
}

function adviceOnShape(dims: readonly number[], shape: Shape): Words {
  const turned =
    dims.length === 2 && shape.length === 2 && shape.every((dim, k) => isBatch(dim) || dim === dims[1 - k]);
  return turned
    ? "transpose it"
    : sentence`reshape it, or correct which axis holds its samples (${option("sampleAxes")})`;
}

/** The number of samples in an input; undefined if all samples share it. Throws SHAPE_MISMATCH. */
function samplesOf(name: string, tensor: Tensor, { value, sampleAxis }: Expected): number | undefined {
  const wrong = () =>
    new PergradError(
      "SHAPE_MISMATCH",
      sentence`${describeInput(name)} is [${tensor.dims.join(", ")}], but the model needs ${showShape(value.shape)}; ${adviceOnShape(tensor.dims, value.shape)}.`,
    );
  if (tensor.dims.length !== value.shape.length) throw wrong();
  const found = value.shape.flatMap((dim, axis) => (isBatch(dim) ? [nth(tensor.dims, axis) / dim.perSample] : []));
  const samples = sampleAxis === null ? undefined : tensor.dims[sampleAxis];
  const fits = (shape: Shape) =>
    shape.every((dim, axis) =>
      isBatch(dim)
        ? dim.perSample * (samples ?? Number.NaN) === tensor.dims[axis]
        : sameDim(dim, nth(tensor.dims, axis)),
    );
  if (!fits(value.shape) || found.some((count) => !Number.isInteger(count))) throw wrong();
  return samples;
}

/** The first sample that holds NaN or infinity; -1 if there is none. A shared input counts as sample 0. */
export function firstNotFinite(tensor: Tensor, sampleAxis: number | null): number {
  if (!isFloat(tensor.dtype)) return -1;
  const data = tensor.data as Float32Array;
  if (areFinite(data)) return -1;
  const at = data.findIndex((x) => !Number.isFinite(x));
  const behind = sizeOf(tensor.dims.slice((sampleAxis ?? -1) + 1));
  return sampleAxis === null ? 0 : Math.floor(at / behind) % nth(tensor.dims, sampleAxis);
}

/** Whether any input holds NaN or infinity. */
export function holdsNotFinite(
  feeds: Readonly<Record<string, Tensor>>,
  expected: ReadonlyMap<string, Pick<Expected, "sampleAxis">>,
): boolean {
  return [...expected].some(([name, { sampleAxis }]) => firstNotFinite(entryOf(feeds, name), sampleAxis) >= 0);
}

/** The samples whose data holds NaN or infinity. */
export function samplesNotFinite(
  feeds: Readonly<Record<string, Tensor>>,
  expected: ReadonlyMap<string, Pick<Expected, "sampleAxis">>,
): ReadonlySet<number> {
  const found = new Set<number>();
  for (const [name, { sampleAxis }] of expected) {
    const { dims, data } = entryOf(feeds, name);
    if (sampleAxis === null || firstNotFinite(entryOf(feeds, name), sampleAxis) < 0) continue;
    const [inner, samples] = [sizeOf(dims.slice(sampleAxis + 1)), nth(dims, sampleAxis)];
    data.forEach((element: number | bigint, i: number) => {
      if (!Number.isFinite(Number(element))) found.add(Math.floor(i / inner) % samples);
    });
  }
  return found;
}

export interface Prepared {
  readonly feeds: Record<string, Tensor>;
  readonly samples: number;
  /**
   * Throws NOT_FINITE if an input that was left for later holds NaN or infinity. Absent if none was left.
   * @param feeds these feeds, or copies
   * @param finite names of inputs that are known to be finite
   */
  readonly checkLeft?: (feeds: Readonly<Record<string, Tensor>>, finite?: ReadonlySet<string>) => void;
}

/**
 * Checks and converts what is fed.
 * @param later the names of inputs that are left to `checkLeft`
 * @throws PergradError MISSING_TENSOR, DTYPE_MISMATCH, SHAPE_MISMATCH, BATCH_MISMATCH, INVALID_ARGUMENT (lengths beyond the
 * sequences), LABEL_OUT_OF_RANGE (labels that the model itself looks up), INDEX_OUT_OF_RANGE (rows of tables that it looks up)
 * and, unless `allowNotFinite`, NOT_FINITE.
 */
export function prepare(
  data: Readonly<Record<string, Data>>,
  expected: ReadonlyMap<string, Expected>,
  allowNotFinite: boolean,
  later: ReadonlySet<string> = new Set(),
): Prepared {
  const names = () => [...expected.keys()].map((name) => `"${name}"`).join(", ");
  requireRecord(data, [...expected.keys()]);
  const unknown = Object.keys(data).find((name) => !expected.has(name));
  if (unknown !== undefined) {
    const missing = [...expected.keys()].filter((name) => data[name] === undefined);
    const near = missing.length === 1 ? `; did you mean "${missing[0]}"?` : meant(unknown, missing);
    throw new PergradError(
      "MISSING_TENSOR",
      `There is no input "${unknown}"${near || `; the program takes ${names()}.`}`,
    );
  }
  const feeds: Record<string, Tensor> = {};
  const left: string[] = [];
  let batch: { name: string; samples: number } | undefined;
  for (const [name, each] of expected) {
    const given = data[name];
    if (given === undefined && each.optional) continue;
    if (given === undefined)
      throw new PergradError("MISSING_TENSOR", `${describeInput(name)} is missing; the program takes ${names()}.`);
    const plain = plainData(describeInput(name), given);
    const whole = isTensor(plain) ? plain : shaped(name, plain, each);
    refuseByClass(name, whole, each);
    const tensor = convert(name, whole, each.value.dtype);
    const samples = samplesOf(name, tensor, each);
    if (samples !== undefined && batch && batch.samples !== samples) {
      throw new PergradError(
        "BATCH_MISMATCH",
        `${describeInput(name)} holds ${samples} samples, but "${batch.name}" holds ${batch.samples}; give every input the same number.`,
      );
    }
    if (samples !== undefined) batch ??= { name, samples };
    if (!allowNotFinite && later.has(name) && !isLimited(each)) left.push(name);
    else if (!allowNotFinite) checkFinite(name, tensor, each);
    if (each.atMost !== undefined) checkLengths(name, tensor, each.atMost);
    for (const limit of each.labels ?? []) checkLabels(name, tensor, each.sampleAxis, limit);
    for (const limit of each.rows ?? []) checkRows(name, tensor, each.sampleAxis, limit);
    feeds[name] = tensor;
  }
  const prepared = { feeds, samples: batch?.samples ?? 0 };
  if (left.length === 0) return prepared;
  const checkLeft: Prepared["checkLeft"] = (own, finite) => {
    for (const name of left) if (!finite?.has(name)) checkFinite(name, entryOf(own, name), present(expected.get(name)));
  };
  return { ...prepared, checkLeft };
}

/** Throws INVALID_ARGUMENT. */
function requireRecord(data: Readonly<Record<string, Data>>, names: readonly string[]): void {
  const given: unknown = data;
  const several = typeof given === "object" && given !== null && !Array.isArray(given) && !ArrayBuffer.isView(given);
  if (several && !isPromise(given) && !("dims" in given && "data" in given && !names.includes("dims"))) return;
  const advice = isPromise(given) ? "await it first" : `give them by name, as { ${names.join(", ")} }`;
  throw invalidArgument(`The inputs of a run cannot be ${kindOf(given)}; ${advice}.`);
}

/** Whether its numbers are checked for more than that they are finite. */
function isLimited({ atMost, labels, rows }: Expected): boolean {
  return atMost !== undefined || labels !== undefined || rows !== undefined;
}

function checkFinite(name: string, tensor: Tensor, { sampleAxis }: Expected): void {
  const bad = firstNotFinite(tensor, sampleAxis);
  if (bad < 0) return;
  throw advised(
    "NOT_FINITE",
    `${describeInput(name)} holds NaN or infinity, first in sample ${bad}`,
    sentence`remove it, or allow it (${option("allowNotFinite")})`,
  );
}

function checkLabels(name: string, { data, dims }: Tensor, axis: number | null, limit: LabelLimit): void {
  const { classes, ignored, skipsOthers = false, by } = limit;
  const isClass = (label: number | bigint) => label >= 0 && label < classes;
  const isSkipped = (label: number | bigint) =>
    Number(label) === ignored || (skipsOthers && !(label >= -classes && label < classes));
  const at = data.findIndex((label: number | bigint) => !isClass(label) && !isSkipped(label));
  if (at < 0) return;
  const sample = sampleAt(at, dims, axis);
  const instead = skipsOthers
    ? `the node ignores labels from ${classes} up and below ${-classes}`
    : ignored === undefined
      ? "the node ignores no label"
      : `the node ignores ${ignored} alone`;
  throw new PergradError(
    "LABEL_OUT_OF_RANGE",
    `${describeInput(name)} holds the label ${data[at]} in sample ${sample}, outside 0..${classes - 1} of the ${by}; correct it, or give a label that the model ignores (${instead}).`,
  );
}

function checkRows(name: string, { data, dims }: Tensor, axis: number | null, { rows, by }: RowLimit): void {
  const at = data.findIndex((index: number | bigint) => !(index >= 0 && index < rows));
  if (at < 0) return;
  const range = rows === 0 ? "no row, since there are none" : `outside 0..${rows - 1}`;
  throw new PergradError(
    "INDEX_OUT_OF_RANGE",
    `${describeInput(name)} holds the index ${data[at]} in sample ${sampleAt(at, dims, axis)}, ${range} of the table that the ${by} reads; correct it.`,
  );
}

/** The sample to which an element belongs; 0 if all samples share it. */
function sampleAt(element: number, dims: readonly number[], axis: number | null): number {
  return axis === null ? 0 : Math.floor(element / sizeOf(dims.slice(axis + 1))) % nth(dims, axis);
}

function checkLengths(name: string, { data }: Tensor, atMost: number): void {
  const at = data.findIndex((length: number | bigint) => !(length >= 0 && length <= atMost));
  if (at < 0) return;
  const steps = Number.isFinite(atMost) ? `0 to ${atMost} steps` : "no fewer steps than 0";
  throw new PergradError(
    "INVALID_ARGUMENT",
    `${describeInput(name)} holds the length ${data[at]} at element ${at}, but sequences have ${steps}; correct it.`,
  );
}
