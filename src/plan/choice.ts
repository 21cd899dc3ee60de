/** The methods that a plan chooses for each parameter, and the conditions of the choice. */

import type { Cost } from "../gradients/cost.js";
import type { Factored } from "../gradients/factored.js";
import type { Prices } from "../ops/prices.js";
import type { Methods } from "./questions.js";
import type { LowMemoryStrategy, Strategy } from "./strategy.js";

/** A method for each question, and their joint cost. */
export type Combination = Methods & Required<Cost>;

/** The methods chosen for one parameter. */
export interface Choice {
  readonly parameter: string;
  readonly gradient: Factored;
  readonly methods: Combination;
  /** The smallest and the largest number of samples for which these methods are the cheapest. */
  readonly holds: readonly [number, number];
}

export interface PlanOptions {
  /** The number of samples to plan for. Default 64. */
  readonly samples?: number;
  /** The time that kernels take. Default: that of a common processor. */
  readonly prices?: Prices;
  /** Methods to use whatever they cost. */
  readonly strategy?: Strategy;
  /** Methods to use where the strategy names none, if they need less memory. */
  readonly lowMemory?: LowMemoryStrategy;
}
