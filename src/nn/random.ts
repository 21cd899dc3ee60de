/** Reproducible random numbers, and the initial values drawn from them. */
import { sizeOf, type Tensor } from "../tensor/tensor.js";
import { checkedTensor } from "../trace/constant.js";
import { invalid } from "../trace/shape.js";
import { Xoroshiro } from "./xoroshiro.js";

/** A source of random numbers. */
export interface Random {
  /** Uniform in [from, to). */
  uniform(from: number, to: number): number;
  /** Of mean 0 and variance 1. */
  normal(): number;
  /** The same as `uniform`, so many times: much faster. */
  uniforms(count: number, from: number, to: number): Float32Array;
  /** The same as `normal`, so many times, each times `deviation`. */
  normals(count: number, deviation: number): Float32Array;
}

/** Numbers drawn at a time: they stay in the processor's cache. */
const blockSize = 4096;

/** The same numbers for the same seed, a whole number below 2^32. */
export function random(seed: number): Random {
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) {
    throw invalid(`A seed is a whole number from 0 to 2^32 - 1, not ${seed}.`);
  }
  const generator = new Xoroshiro(seed);
  const block = new Float64Array(blockSize);
  const unit = (): number => {
    generator.fill(block, 0, 1);
    return block[0] as number;
  };
  // Box-Muller; 1 - unit is never 0.
  const normalOf = (first: number, second: number) =>
    Math.sqrt(-2 * Math.log(1 - first)) * Math.cos(2 * Math.PI * second);
  return {
    uniform: (from, to) => from + (to - from) * unit(),
    normal: () => normalOf(unit(), unit()),
    uniforms: (count, from, to) => {
      const data = new Float32Array(count);
      const width = to - from;
      for (let start = 0; start < count; start += blockSize) {
        const size = Math.min(blockSize, count - start);
        generator.fill(block, 0, size);
        for (let k = 0; k < size; k++) data[start + k] = from + width * (block[k] as number);
      }
      return data;
    },
    normals: (count, deviation) => {
      const data = new Float32Array(count);
      for (let start = 0; start < count; start += blockSize / 2) {
        const size = Math.min(blockSize / 2, count - start);
        generator.fill(block, 0, 2 * size);
        for (let k = 0; k < size; k++)
          data[start + k] = deviation * normalOf(block[2 * k] as number, block[2 * k + 1] as number);
      }
      return data;
    },
  };
}

/**
 * A weight to be trained: its shape, and how it starts. A specification is compared by identity: the same
 * object used in two places is one parameter, shared.
 */
export interface ParameterSpec {
  readonly shape: readonly number[];
  readonly initial: (random: Random) => Float32Array;
}

function specification(shape: readonly number[], draw: (random: Random, count: number) => Float32Array): ParameterSpec {
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
    throw invalid(`A parameter's sizes must be whole numbers, not [${shape}].`);
  }
  return { shape: [...shape], initial: (source) => draw(source, sizeOf(shape)) };
}

/** All elements equal. */
export function filled(shape: readonly number[], value: number): ParameterSpec {
  return specification(shape, (_, count) => {
    const data = new Float32Array(count);
    return value === 0 ? data : data.fill(value);
  });
}

export const zeros = (shape: readonly number[]): ParameterSpec => filled(shape, 0);
export const ones = (shape: readonly number[]): ParameterSpec => filled(shape, 1);

/** Uniform in [-bound, bound). */
export function uniform(shape: readonly number[], bound: number): ParameterSpec {
  return specification(shape, (source, count) => source.uniforms(count, -bound, bound));
}

/** Normal, of mean 0. */
export function normal(shape: readonly number[], deviation = 1): ParameterSpec {
  return specification(shape, (source, count) => source.normals(count, deviation));
}

/** PyTorch's default for linear layers and convolutions: uniform within 1 / sqrt(inputs of one output element). */
export function fanIn(shape: readonly number[], inputs: number): ParameterSpec {
  return uniform(shape, inputs > 0 ? 1 / Math.sqrt(inputs) : 0);
}

/** Glorot's: uniform, of variance 2 / (inputs + outputs), for a matrix [outputs, inputs]. */
export function xavierUniform(shape: readonly [outputs: number, inputs: number]): ParameterSpec {
  const fan = shape[0] + shape[1];
  return uniform(shape, fan > 0 ? Math.sqrt(6 / fan) : 0);
}

/** Starts from given values. */
export function startingAt(tensor: Tensor<"float32">): ParameterSpec {
  const { dims, data } = checkedTensor(tensor, "A parameter's initial value");
  return { shape: dims, initial: () => data.slice() };
}
