/** Moves numbers in their last bits: the results then change by about as much as rounding changes them. */
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import type { RandomGenerator } from "pure-rand/types/RandomGenerator";
import type { Tensor } from "../tensor/tensor.js";

/** Moves one tensor after another. */
export type MoveLastBits = <T extends Tensor>(tensor: T) => T;

/**
 * @param draw 0 leaves tensors unchanged. Any other number selects about half of their elements and moves them by one
 *   unit in the last place, or, from 8 on, by up to 4, about as much as a deep model's own rounding. One computation
 *   may happen to round well; several show the truth.
 */
export function lastBitsOf(draw: number): MoveLastBits {
  if (draw === 0) return (tensor) => tensor;
  const random = xoroshiro128plus(draw);
  const units = draw < 8 ? 1 : 4;
  return (tensor) =>
    tensor.data instanceof Float32Array ? { ...tensor, data: moved(tensor.data, random, units) } : tensor;
}

/**
 * Towards zero, so that nothing leaves its range. Whole numbers stay: they may be labels, masks or indices, and one
 * step would change their meaning.
 */
function moved(data: Float32Array, random: RandomGenerator, units: number): Float32Array {
  return data.map((x) => (Number.isInteger(x) || random.next() < 0 ? x : x * (1 - units * 2 ** -24)));
}
