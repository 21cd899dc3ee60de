/** What `explain()` shows of a plan. */

import { addCosts, type Cost, timeOf, usualBatch } from "../gradients/cost.js";
import { sizeOfGradient } from "../gradients/factored.js";
import { showShape } from "../graph/dim.js";
import { type Prices, usualPrices } from "../ops/prices.js";
import type { Choice } from "./choice.js";
import { choose, type Plan } from "./planner.js";
import { eachQuestion, type MethodNames, type Question, questionNames, type Requirements } from "./questions.js";

/** The name of the method chosen for each question; null if the question is not asked. */
export type ExplainedMethods = { readonly [Q in Question]: string | null };

/** The choice for a parameter, and its cost beyond the forward pass and the data's backward pass. */
export interface ExplainedParameter extends ExplainedMethods {
  readonly parameter: string;
  readonly shape: string;
  readonly elements: number;
  readonly kind: string;
  readonly positions: number;
  /** How a convolution's data is unfolded, and whether gradients are materialised in blocks of positions. */
  readonly unfold: string | null;
  /** Whether the gradients are materialised, `[N, ...shape]`, on the way. */
  readonly dense: boolean;
  /** Multiply-adds for each sample. */
  readonly operations: number;
  /** Floats read or written per sample. */
  readonly floats: number;
  /** The smallest and the largest batch size for which these methods are the cheapest. */
  readonly holds: readonly [number, number];
}

/** For a whole batch: multiply-adds, bytes moved, and milliseconds on one thread by the calibrated costs. */
export interface Total {
  readonly operations: number;
  readonly bytes: number;
  readonly milliseconds: number;
}

export interface Totals {
  /** The number of samples that the program was planned for. */
  readonly samples: number;
  readonly program: Total;
  /** The plain mean gradient of the same parameters. */
  readonly mean: Total;
  /** The program's results, computed from materialised gradients of all parameters. */
  readonly materialised: Total;
}

export function explainPlan(plan: Plan): ExplainedParameter[] {
  return [...plan.choices.values()].map(({ parameter, gradient, methods, holds }) => ({
    parameter,
    shape: showShape(gradient.shape),
    elements: sizeOfGradient(gradient),
    kind: gradient.kind,
    positions: gradient.positions,
    ...eachQuestion((name) => methods[name]?.name ?? null),
    unfold: gradient.unfolding ?? null,
    dense: gradient.kind !== "dense" && questionNames.some((name) => methods[name]?.dense),
    operations: methods.operations,
    floats: methods.floats,
    holds,
  }));
}

export function totalsOf(plan: Plan): Totals {
  const { samples = usualBatch, prices = usualPrices } = plan.options;
  const choices = [...plan.choices.values()];
  const total = (costs: readonly Cost[]) => totalOf(addCosts(costs), samples, prices);
  const all = (required: Requirements, strategy: MethodNames = {}) =>
    choices.map(({ parameter, gradient }) => choose(parameter, gradient, required, { samples, strategy, prices }));
  const plain = { ...plan.requirements, ...eachQuestion(() => 0), sum: 1, gradients: false };
  return {
    samples,
    program: total(choices.map(({ methods }) => methods)),
    mean: total(all(plain).map(({ methods }) => methods)),
    materialised: total(
      all(
        plan.requirements,
        eachQuestion(() => "materialise"),
      ).map(materialised),
    ),
  };
}

/** At least the cost of the gradients themselves. */
function materialised({ gradient, methods }: Choice): Cost {
  const { operations, floats, once, pairs } = methods;
  const least = gradient.materialisation;
  return { operations: Math.max(operations, least.operations), floats: Math.max(floats, least.floats), once, pairs };
}

function totalOf(cost: Required<Cost>, samples: number, prices: Prices): Total {
  const { operations, floats, once, pairs } = cost;
  return {
    operations: samples * operations + samples ** 2 * pairs,
    bytes: 4 * (samples * floats + once),
    milliseconds: timeOf(cost, samples, prices) / 1e6,
  };
}
