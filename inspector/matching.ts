/** Decides which tensor of the data belongs to which input of the model, and converts its elements to the input's form. */
import { type Dim, isBatch } from "../src/graph/dim.js";
import type { Model } from "../src/graph/model.js";
import type { Value } from "../src/graph/value.js";
import { type DType, sizeOf, type Tensor } from "../src/tensor/tensor.js";
import { classesOf, oneHotClasses } from "./classes.js";

export interface Choices {
  /** By input. */
  readonly inputs: Readonly<Record<string, string>>;
  readonly target: string | null;
  readonly loss: string;
}

const targetNames = ["target", "targets", "labels", "label", "y", "class"];

/** The assignment that names and shapes suggest. */
export function suggested(model: Model, tensors: ReadonlyMap<string, Tensor>): Choices {
  const names = [...tensors.keys()];
  const named = (wanted: string) => names.find((name) => name.toLowerCase() === wanted);
  const target = targetNames.map(named).find((name) => name !== undefined) ?? null;
  const inputs: Record<string, string> = {};
  const free = names.filter((name) => name !== target);
  for (const { name, shape } of model.graph.inputs) {
    const fitting = free.filter((each) => fits(tensors.get(each), shape));
    const chosen = free.includes(name) ? name : (fitting[0] ?? free[0]);
    if (chosen === undefined) continue;
    inputs[name] = chosen;
    free.splice(free.indexOf(chosen), 1);
  }
  return { inputs, target, loss: suggestedLoss(model, target === null ? undefined : tensors.get(target)) };
}

function suggestedLoss(model: Model, target: Tensor | undefined): string {
  const [output] = model.graph.outputs;
  if (!target) return "output";
  if (oneHotClasses(target, classesOf(model))) return "cross_entropy";
  const classes = classesOf(model);
  if (/int/.test(target.dtype) && classes !== 1) return "cross_entropy";
  // One output for each sample: the odds of a class, or a quantity.
  if (/int/.test(target.dtype))
    return numbersIn(target).every((each) => each === 0 || each === 1) ? "bce_with_logits" : "mse";
  return target.dims.length <= (output?.value.shape.length ?? 1) ? "mse" : "cross_entropy";
}

function fits(tensor: Tensor | undefined, shape: readonly Dim[]): boolean {
  if (!tensor) return false;
  const [samples = 0] = tensor.dims;
  return samples > 0 && sizeOf(tensor.dims) === samples * elementsPerSample(shape);
}

/** The number of elements of one sample of an input; NaN if its shape does not say. */
function elementsPerSample(shape: readonly Dim[]): number {
  return shape.reduce<number>((product, dim) => product * (isBatch(dim) ? dim.perSample : dim), 1);
}

/** Converts to the input's dtype and shape; the number of elements per sample must match. Pixels 0..255 become 0..1. */
export function asInput(
  tensor: Tensor,
  { name, dtype, shape }: Pick<Value, "name" | "dtype" | "shape">,
  sampleAxis: number | null,
): Tensor {
  const typed = cast(name, tensor, dtype);
  if (sampleAxis !== 0 || !fits(tensor, shape)) return typed;
  const [samples = 0] = tensor.dims;
  const wanted = shape.map((dim) => (isBatch(dim) ? dim.perSample * samples : dim));
  const [, first, second, channels = 0] = tensor.dims;
  const isChannelsLast = tensor.dims.length === 4 && wanted[1] === channels && channels > 1 && wanted[1] !== first;
  if (!isChannelsLast || first === undefined || second === undefined) return { ...typed, dims: wanted };
  const data = typed.data.slice();
  const plane = first * second;
  for (let n = 0; n < samples; n++)
    for (let k = 0; k < plane; k++)
      for (let c = 0; c < channels; c++) {
        const value = typed.data[(n * plane + k) * channels + c];
        if (value !== undefined) data[(n * channels + c) * plane + k] = value;
      }
  return { ...typed, dims: wanted, data } as Tensor;
}

const ofClasses = new Set(["cross_entropy", "nll"]);

/**
 * Class labels may be stored in any integer type, or as one-hot rows if the loss is one over classes. A number for each
 * sample is the target of an output `[N, 1]`.
 */
export function asTarget(tensor: Tensor, loss: string, model: Model): Tensor {
  if (!ofClasses.has(loss)) {
    const dims = tensor.dims.length === 1 && classesOf(model) === 1 ? [...tensor.dims, 1] : tensor.dims;
    return { dtype: "float32", dims, data: Float32Array.from(numbersIn(tensor)) };
  }
  const classes = oneHotClasses(tensor, classesOf(model));
  if (classes) return { dtype: "int64", dims: [classes.length], data: classes };
  const numbers = numbersIn(tensor);
  // If it is not a class, pergrad's own message says so.
  if (!numbers.every(Number.isInteger)) return tensor;
  return { dtype: "int64", dims: flat(tensor.dims), data: BigInt64Array.from(numbers, BigInt) };
}

const numbersIn = ({ data }: Tensor): number[] => Array.from(data, Number);

/** Treats `[N, 1]` as `[N]`. */
const flat = (dims: readonly number[]) => (dims.length === 2 && dims[1] === 1 ? dims.slice(0, 1) : dims);

function cast(input: string, { dtype, dims, data }: Tensor, wanted: DType): Tensor {
  if (dtype === wanted) return { dtype, dims, data } as Tensor;
  if (wanted === "int64") {
    const numbers = Array.from<number | bigint, number>(data, Number);
    const broken = numbers.find((each) => !Number.isSafeInteger(each));
    if (broken === undefined) return { dtype: "int64", dims, data: BigInt64Array.from(numbers, BigInt) };
    throw new Error(`The input "${input}" takes whole numbers, but the tensor holds ${broken}; choose another tensor.`);
  }
  if (wanted !== "float32") return { dtype, dims, data } as Tensor;
  const scale = dtype === "uint8" ? 1 / 255 : 1;
  return { dtype: "float32", dims, data: Float32Array.from(data as ArrayLike<number>, (each) => Number(each) * scale) };
}
