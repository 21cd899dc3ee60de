/** What methods cost, for a batch of any size. */
import { type Prices, usualPrices } from "../ops/prices.js";

export interface Cost {
  /** Multiply-adds per sample in matrix products. */
  readonly operations: number;
  /** Floats per sample written or read. */
  readonly floats: number;
  /** Floats written or read once for a batch of any size: what has the parameter's shape. Default 0. */
  readonly once?: number;
  /** Multiply-adds for each pair of samples. Default 0. */
  readonly pairs?: number;
}

/** The batch size that a plan is made for where the user does not say. */
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

/** What a float scattered costs, in floats moved. */
export const costOfScatter = usualPrices.scattered / usualPrices.float;

/** What a float squared and summed costs, in floats moved. */
export const costOfSquare = usualPrices.squared / usualPrices.float;
