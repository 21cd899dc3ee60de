/** Reproducible random numbers, and the initial values drawn from them. */
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { sizeOf, type Tensor } from "../tensor.js";
import { checkedTensor } from "../trace/constant.js";
import { invalid } from "../trace/shape.js";

/** A source of random numbers. */
export interface Random {
  /** Uniform in [from, to). */
  uniform(from: number, to: number): number;
  /** Of mean 0 and variance 1. */
  normal(): number;
}

/** The same numbers for the same seed, a whole number below 2^32. */
export function random(seed: number): Random {
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) {
    throw invalid(`A seed is a whole number from 0 to 2^32 - 1, not ${seed}.`);
  }
  const generator = xoroshiro128plus(seed);
  // Neighbouring seeds start out alike; far along their sequences they no longer do.
  generator.jump();
  const unit = () => uniformFloat64(generator);
  return {
    uniform: (from, to) => from + (to - from) * unit(),
    // Box-Muller; 1 - unit() is never 0.
    normal: () => Math.sqrt(-2 * Math.log(1 - unit())) * Math.cos(2 * Math.PI * unit()),
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

function specification(shape: readonly number[], element: (random: Random) => number): ParameterSpec {
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
    throw invalid(`A parameter's sizes are whole numbers, not [${shape}].`);
  }
  return { shape: [...shape], initial: (source) => new Float32Array(sizeOf(shape)).map(() => element(source)) };
}

/** All elements equal. */
export function filled(shape: readonly number[], value: number): ParameterSpec {
  return specification(shape, () => value);
}

export const zeros = (shape: readonly number[]): ParameterSpec => filled(shape, 0);
export const ones = (shape: readonly number[]): ParameterSpec => filled(shape, 1);

/** Uniform in [-bound, bound). */
export function uniform(shape: readonly number[], bound: number): ParameterSpec {
  return specification(shape, (source) => source.uniform(-bound, bound));
}

/** Normal, of mean 0. */
export function normal(shape: readonly number[], deviation = 1): ParameterSpec {
  return specification(shape, (source) => deviation * source.normal());
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
