/** Numbers moved in their last bits: what comes out then differs by about as much as rounding makes it differ. */
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import type { RandomGenerator } from "pure-rand/types/RandomGenerator";
import type { Tensor } from "../tensor/tensor.js";

/** Moves one tensor after another. */
export type MoveLastBits = <T extends Tensor>(tensor: T) => T;

/**
 * @param draw 0 for tensors as they are; for any other number about half of their elements, chosen by it, are moved
 * by one unit in the last place, from 8 on by up to 4: what a deep model's own rounding amounts to. One computation
 * may happen to round well; several tell.
 */
export function lastBitsOf(draw: number): MoveLastBits {
  if (draw === 0) return (tensor) => tensor;
  const random = xoroshiro128plus(draw);
  const units = draw < 8 ? 1 : 4;
  return (tensor) =>
    tensor.data instanceof Float32Array ? { ...tensor, data: moved(tensor.data, random, units) } : tensor;
}

/**
 * Towards zero, so that nothing leaves the range it is in. Whole numbers stay: they may be labels, masks or
 * indices, which mean something else one step away.
 */
function moved(data: Float32Array, random: RandomGenerator, units: number): Float32Array {
  return data.map((x) => (Number.isInteger(x) || random.next() < 0 ? x : x * (1 - units * 2 ** -24)));
}
