/** Bytes that stand for floating-point numbers, as those of pixels do: they take a quarter of the memory. */
import { invalidArgument, kindOf } from "../arguments.js";
import { counted } from "../meant.js";
import { present } from "../present.js";
import { type Tensor, tensorWith } from "./tensor.js";

/** A uint8 tensor of numbers `byte * scale + offset`. */
export interface ScaledTensor extends Tensor<"uint8"> {
  /** One number, or one for each index of axis 1 (the channels of `[N, C, H, W]`). */
  readonly scale: number | readonly number[];
  /** One number, or one for each index of axis 1. Default 0. */
  readonly offset?: number | readonly number[];
}

export function isScaled(data: unknown): data is ScaledTensor {
  return typeof data === "object" && data !== null && "scale" in data && "dtype" in data && data.dtype === "uint8";
}

/** The scale and offset of a tensor that has them; otherwise nothing. */
export function scalingOf(data: object): Pick<ScaledTensor, "scale" | "offset"> | undefined {
  if (!isScaled(data)) return undefined;
  return { scale: data.scale, ...(data.offset === undefined ? {} : { offset: data.offset }) };
}

/**
 * The numbers that the bytes stand for.
 * @param what the input: 'The input "x"'
 * @throws PergradError INVALID_ARGUMENT.
 */
export function unscaled(what: string, tensor: ScaledTensor): Tensor<"float32"> {
  const { dims, data } = tensor;
  const channels = dims[1] ?? 1;
  const scale = byChannel(what, "scale", tensor.scale, channels);
  const offset = byChannel(what, "offset", tensor.offset ?? 0, channels);
  const numbers = new Float32Array(data.length);
  const inner = dims.slice(2).reduce((product, dim) => product * dim, 1);
  if (scale.length === 1 && offset.length === 1) {
    const [by, from] = [present(scale[0]), present(offset[0])];
    for (let i = 0; i < data.length; i++) numbers[i] = (data[i] ?? 0) * by + from;
    return { dtype: "float32", dims, data: numbers };
  }
  for (let start = 0, k = 0; start < data.length; start += inner, k++) {
    const channel = k % channels;
    const [by, from] = [scale[channel] ?? scale[0] ?? 1, offset[channel] ?? offset[0] ?? 0];
    for (let i = start; i < start + inner; i++) numbers[i] = (data[i] ?? 0) * by + from;
  }
  return { dtype: "float32", dims, data: numbers };
}

function byChannel(what: string, name: string, given: number | readonly number[], channels: number): readonly number[] {
  const list = typeof given === "number" ? [given] : given;
  const problem = problemOf(list, channels);
  if (problem === undefined) return list;
  throw invalidArgument(
    `${what} has ${article(name)} ${name} ${problem}; give a finite number, or one for each of the ${channels} channels of axis 1.`,
  );
}

function problemOf(given: unknown, channels: number): string | undefined {
  if (!Array.isArray(given)) return `that is ${kindOf(given)}`;
  if (given.length !== 1 && given.length !== channels) return `of ${counted(given.length, "number")}`;
  const odd = given.findIndex((each) => !Number.isFinite(each));
  if (odd < 0) return undefined;
  return `that is ${kindOf(given[odd])}${given.length > 1 ? ` in channel ${odd}` : ""}`;
}

const article = (name: string) => (/^[aeiou]/.test(name) ? "an" : "a");

/** The name under which a file holds the scale of a tensor, and the name for its offset. */
export const scaleName = (name: string): string => `${name}.scale`;
export const offsetName = (name: string): string => `${name}.offset`;

/** The tensor with the scale and offset that a file holds for it. Tensors of other dtypes stay as they are. */
export function withScaling(tensor: Tensor, scale: Tensor | undefined, offset: Tensor | undefined): Tensor {
  if (tensor.dtype !== "uint8" || !scale) return tensor;
  const numbers = (of: Tensor): readonly number[] => Array.from<number | bigint, number>(of.data, Number);
  const own = { ...tensor, scale: numbers(scale), ...(offset ? { offset: numbers(offset) } : {}) };
  return own;
}

/** The tensors of a file, in which bytes have their scales; the scales are no longer tensors of their own. */
export function scaledTensors(tensors: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  const found = new Map<string, Tensor>();
  const taken = new Set<string>();
  for (const [name, tensor] of tensors) {
    const scale = tensor.dtype === "uint8" ? tensors.get(scaleName(name)) : undefined;
    if (scale) for (const own of [scaleName(name), offsetName(name)]) taken.add(own);
    found.set(name, withScaling(tensor, scale, tensors.get(offsetName(name))));
  }
  for (const name of taken) found.delete(name);
  return found;
}

/** The tensors as a file holds them: scales and offsets are tensors of their own. */
export function unboundScales(tensors: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  const found = new Map<string, Tensor>();
  for (const [name, tensor] of tensors) {
    found.set(name, tensorWith(tensor.dtype, tensor.dims, tensor.data));
    const scaling = scalingOf(tensor);
    if (!scaling) continue;
    found.set(scaleName(name), numbersOf(scaling.scale));
    if (scaling.offset !== undefined) found.set(offsetName(name), numbersOf(scaling.offset));
  }
  return found;
}

function numbersOf(given: number | readonly number[]): Tensor<"float32"> {
  return typeof given === "number"
    ? { dtype: "float32", dims: [], data: Float32Array.of(given) }
    : { dtype: "float32", dims: [given.length], data: Float32Array.from(given) };
}
