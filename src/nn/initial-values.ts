/** Initial values of parameters, drawn from reproducible random numbers. */
import type { Random } from "../tensor/random.js";
import { sizeOf, type Tensor } from "../tensor/tensor.js";
import { checkedTensor } from "../trace/constant.js";
import { invalid } from "../trace/shape.js";

/**
 * A weight to train: its shape, and its initial values. Specifications are compared by identity: an object that is used
 * in two places is one shared parameter.
 */
export interface ParameterSpec {
  /** The parameter's shape. */
  readonly shape: readonly number[];
  /** Draws the elements, in row-major order. */
  readonly initial: (random: Random) => Float32Array;
}

function specification(shape: readonly number[], draw: (random: Random, count: number) => Float32Array): ParameterSpec {
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
    throw invalid(`A parameter's sizes must be whole numbers, not [${shape}].`);
  }
  return { shape: [...shape], initial: (source) => draw(source, sizeOf(shape)) };
}

/**
 * All elements equal.
 * @throws PergradError INVALID_ARGUMENT: a size is no whole number from 0 up.
 */
export function filled(shape: readonly number[], value: number): ParameterSpec {
  return specification(shape, (_, count) => {
    const data = new Float32Array(count);
    return value === 0 ? data : data.fill(value);
  });
}

/** A parameter that starts as zeros. */
export const zeros = (shape: readonly number[]): ParameterSpec => filled(shape, 0);
/** A parameter that starts as ones. */
export const ones = (shape: readonly number[]): ParameterSpec => filled(shape, 1);

/**
 * Uniform in [-bound, bound).
 * @throws PergradError INVALID_ARGUMENT: a size is no whole number from 0 up.
 */
export function uniform(shape: readonly number[], bound: number): ParameterSpec {
  return specification(shape, (source, count) => source.uniforms(count, -bound, bound));
}

/**
 * Normal, of mean 0.
 * @throws PergradError INVALID_ARGUMENT: a size is no whole number from 0 up.
 */
export function normal(shape: readonly number[], deviation = 1): ParameterSpec {
  return specification(shape, (source, count) => source.normals(count, deviation));
}

/** PyTorch's default for linear layers and convolutions: uniform, bounded by 1 / sqrt(inputs of one output element). */
export function fanIn(shape: readonly number[], inputs: number): ParameterSpec {
  return uniform(shape, inputs > 0 ? 1 / Math.sqrt(inputs) : 0);
}

/**
 * Glorot's: uniform, of variance 2 / (inputs + outputs), for a matrix [outputs, inputs].
 * @throws PergradError INVALID_ARGUMENT: a size is no whole number from 0 up.
 */
export function xavierUniform(shape: readonly [outputs: number, inputs: number]): ParameterSpec {
  const fan = shape[0] + shape[1];
  return uniform(shape, fan > 0 ? Math.sqrt(6 / fan) : 0);
}

/** Starts from given values. */
export function startingAt(tensor: Tensor<"float32">): ParameterSpec {
  const { dims, data } = checkedTensor(tensor, "A parameter's initial value");
  return { shape: dims, initial: () => data.slice() };
}
