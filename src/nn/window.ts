/** Sizes of kernels, strides, paddings and dilations. */
import { invalid } from "../trace/shape.js";

/** One size for every axis, or one per axis. */
export type AxisSizes = number | readonly number[];

/** Throws INVALID_ARGUMENT where `value` is no whole number from `least`. */
export function count(layer: string, what: string, value: number, least = 1): void {
  if (!Number.isSafeInteger(value) || value < least) {
    throw invalid(`${layer}: ${what} must be a whole number of at least ${least}, not ${value}.`);
  }
}

/** One size per axis. */
export function perAxis(layer: string, what: string, sizes: AxisSizes, rank: number, least = 1): number[] {
  if (typeof sizes !== "number" && !Array.isArray(sizes))
    throw invalid(
      `${layer}: ${what} must be a number or ${rank} numbers, one per axis: convolutions and pools take it before their options.`,
    );
  const all = typeof sizes === "number" ? Array<number>(rank).fill(sizes) : [...sizes];
  if (all.length !== rank) throw invalid(`${layer}: ${what} [${all}] must have ${rank} sizes, one per axis.`);
  for (const size of all) count(layer, what, size, least);
  return all;
}
