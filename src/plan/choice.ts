/** The methods that a plan chooses for each parameter, and what it chooses by. */

import type { Cost } from "../gradients/cost.js";
import type { Factored } from "../gradients/factored.js";
import type { Prices } from "../ops/prices.js";
import type { Methods } from "./questions.js";
import type { LowMemoryStrategy, Strategy } from "./strategy.js";

/** Methods for all questions, and what they cost together. */
export type Combination = Methods & Required<Cost>;

/** The methods chosen for one parameter. */
export interface Choice {
  readonly parameter: string;
  readonly gradient: Factored;
  readonly methods: Combination;
  /** The numbers of samples, from and to, for which these are the cheapest methods. */
  readonly holds: readonly [number, number];
}

export interface PlanOptions {
  /** The number of samples to plan for. Default 64. */
  readonly samples?: number;
  /** What kernels take. Default: those of a usual processor. */
  readonly prices?: Prices;
  /** Methods to be taken whatever they cost. */
  readonly strategy?: Strategy;
  /** Methods to be taken where the strategy names none, and where there are some that hold less. */
  readonly lowMemory?: LowMemoryStrategy;
}
