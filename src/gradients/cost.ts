/** The cost of methods, for a batch of any size. */
import { type Prices, usualPrices } from "../ops/prices.js";

export interface Cost {
  /** Multiply-adds per sample in matrix products. */
  readonly operations: number;
  /** Floats read or written per sample. */
  readonly floats: number;
  /** Floats read or written once, whatever the batch size: those of tensors in the parameter's shape. Default 0. */
  readonly once?: number;
  /** Multiply-adds for each pair of samples. Default 0. */
  readonly pairs?: number;
}

/** The batch size that a plan assumes unless the user states one. */
export const usualBatch = 64;

/** Nanoseconds on one thread for a batch of `samples`. */
export function timeOf(
  { operations, floats, once = 0, pairs = 0 }: Cost,
  samples: number,
  { multiplyAdd, float }: Prices = usualPrices,
): number {
  return samples * (operations * multiplyAdd + floats * float) + once * float + samples * samples * pairs * multiplyAdd;
}

export function cheapest<W extends Cost>(methods: readonly W[], samples = usualBatch, prices = usualPrices): W {
  return methods.reduce((best, method) =>
    timeOf(method, samples, prices) < timeOf(best, samples, prices) ? method : best,
  );
}

export function addCosts(costs: readonly Cost[]): Required<Cost> {
  const total = (key: keyof Cost) => costs.reduce((sum, cost) => sum + (cost[key] ?? 0), 0);
  return { operations: total("operations"), floats: total("floats"), once: total("once"), pairs: total("pairs") };
}

export function timesCost(cost: Cost, times: number): Required<Cost> {
  const { operations, floats, once = 0, pairs = 0 } = cost;
  return { operations: times * operations, floats: times * floats, once: times * once, pairs: times * pairs };
}

/**
 * How many times as long products of a gradient's cotangents with each other take. Cotangents that come through the
 * steps of a loop shrink from step to step (in an LSTM before training, to a tenth in four steps), and products of two
 * small ones are subnormal numbers. Some processors multiply these 60 times as slowly and others as fast as any, and
 * trained loops may hold cotangents up, so this is a value in between.
 */
export function slowdown({ fades, positions }: { readonly fades: boolean; readonly positions: number }): number {
  return fades && positions > 64 ? 4 : 1;
}

/** The cost of scattering a float, in floats moved. */
export const costOfScatter = usualPrices.scattered / usualPrices.float;

/** The cost of squaring and adding a float, in floats moved. */
export const costOfSquare = usualPrices.squared / usualPrices.float;
