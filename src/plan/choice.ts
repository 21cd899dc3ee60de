/** What wants ask of each parameter, and the ways that a plan chooses for it. */

import type { Cost } from "../gradients/cost.js";
import type { DotWay, Factored, GramWay, NormWay, SquaresWay, SumWay } from "../gradients/factored.js";
import type { Prices } from "../ops/prices.js";
import type { Preferred, Strategy } from "./strategy.js";

/** The ways chosen for one parameter (null where nothing of that sort is wanted), and what they cost together. */
export interface Choice extends Ways, Required<Cost> {
  readonly parameter: string;
  readonly gradient: Factored;
  /** The numbers of samples, from and to, for which these are the cheapest ways. */
  readonly holds: readonly [number, number];
}

/** What the wants of a program ask of every parameter. */
export interface Demands {
  readonly gradients: boolean;
  readonly norms: boolean;
  /** The number of sums over the batch: mean, clipped sums. */
  readonly sums: number;
  /** Whether one of them is without weights. */
  readonly plainSum: boolean;
  /** The number of vectors that inner products are taken with. */
  readonly dots: number;
  /** Sums over the batch of squared deviations from its mean, element by element. */
  readonly squares: boolean;
  /** Inner products of all pairs. */
  readonly gram: boolean;
  /** Rounding must not make a weighted sum's part longer than its norm says; see `Plan.cancelling`. */
  readonly strict: boolean;
  /** The factored gradients themselves, for ways of a want's own. */
  readonly factors: boolean;
}

/** What several wants ask together. */
export function allDemands(demands: readonly Partial<Demands>[]): Demands {
  const some = (key: "gradients" | "norms" | "plainSum" | "squares" | "gram" | "strict" | "factors") =>
    demands.some((each) => each[key]);
  const count = (key: "sums" | "dots") => demands.reduce((total, each) => total + (each[key] ?? 0), 0);
  return {
    gradients: some("gradients"),
    norms: some("norms"),
    plainSum: some("plainSum"),
    squares: some("squares"),
    gram: some("gram"),
    strict: some("strict"),
    factors: some("factors"),
    sums: count("sums"),
    dots: count("dots"),
  };
}

/** Whether gradients have to do with it at all. */
export function asksOfGradients({ sums, dots, ...others }: Demands): boolean {
  return sums > 0 || dots > 0 || Object.values(others).includes(true);
}

export interface Ways {
  readonly norm: NormWay | null;
  readonly sum: SumWay | null;
  readonly dot: DotWay | null;
  readonly squares: SquaresWay | null;
  readonly gram: GramWay | null;
}

export type Priced = Ways & Required<Cost>;

export interface PlanOptions {
  /** The number of samples to plan for. Default 64. */
  readonly samples?: number;
  /** What kernels take. Default: those of a usual processor. */
  readonly prices?: Prices;
  /** Ways to be taken whatever they cost. */
  readonly strategy?: Strategy;
  /** Ways to be taken where the strategy asks for none. */
  readonly preferred?: Preferred;
}
