/** Reproducible random numbers. */

import { PergradError } from "../errors.js";
import { Xoroshiro } from "./xoroshiro.js";

/** How many numbers are drawn at a time: few enough to stay in the processor's cache. */
const blockSize = 4096;

/** A source of random numbers. */
export interface Random {
  /** Uniform in [from, to). */
  uniform(from: number, to: number): number;
  /** Of mean 0 and variance 1. */
  normal(): number;
  /** `count` numbers as `uniform` draws them, much faster. */
  uniforms(count: number, from: number, to: number): Float32Array;
  /** `count` numbers as `normal` draws them, each multiplied by `deviation`. */
  normals(count: number, deviation: number): Float32Array;
}

/** A source that draws the same numbers for the same seed, a whole number below 2^32. */
export function random(seed: number): Random {
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) {
    throw new PergradError("INVALID_ARGUMENT", `A seed must be a whole number from 0 to 2^32 - 1, not ${seed}.`);
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
