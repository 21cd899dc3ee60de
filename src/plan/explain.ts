/** What `explain()` tells of a plan. */

import { addCosts, type Cost, timeOf, usualBatch } from "../gradients/cost.js";
import { sizeOfGradient } from "../gradients/factored.js";
import { showShape } from "../graph/dim.js";
import { type Prices, usualPrices } from "../ops/prices.js";
import type { Choice, Demands } from "./choice.js";
import { choose, type Plan } from "./planner.js";
import { questions } from "./strategy.js";

/** What was chosen for a parameter, and what it costs beyond the forward pass and the data's backward pass. */
export interface ExplainedParameter {
  readonly parameter: string;
  readonly shape: string;
  readonly elements: number;
  readonly kind: string;
  readonly positions: number;
  readonly norm: string | null;
  readonly sum: string | null;
  readonly dot: string | null;
  readonly squares: string | null;
  readonly gram: string | null;
  /** How a convolution's data is unfolded, and whether gradients are multiplied out in blocks of positions. */
  readonly unfold: string | null;
  /** The gradients are multiplied out to `[N, ...shape]` on the way. */
  readonly dense: boolean;
  /** Multiply-adds for each sample. */
  readonly operations: number;
  /** Floats read or written for each sample. */
  readonly floats: number;
  /** The batch sizes, from and to, for which these ways are the cheapest. */
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
  /** The same results as the program's, from all gradients multiplied out. */
  readonly materialised: Total;
}

export function explainPlan(plan: Plan): ExplainedParameter[] {
  return [...plan.choices.values()].map(({ parameter, gradient, operations, floats, holds, ...ways }) => {
    const { norm, sum, dot, squares, gram } = ways;
    return {
      parameter,
      shape: showShape(gradient.shape),
      elements: sizeOfGradient(gradient),
      kind: gradient.kind,
      positions: gradient.positions,
      norm: norm?.name ?? null,
      sum: sum?.name ?? null,
      dot: dot?.name ?? null,
      squares: squares?.name ?? null,
      gram: gram?.name ?? null,
      unfold: gradient.unfolding ?? null,
      dense: [norm, sum, dot, squares, gram].some((way) => way?.dense && gradient.kind !== "dense"),
      operations,
      floats,
      holds,
    };
  });
}

export function totalsOf(plan: Plan): Totals {
  const { samples = usualBatch, prices = usualPrices } = plan.options;
  const choices = [...plan.choices.values()];
  const total = (costs: readonly Cost[]) => totalOf(addCosts(costs), samples, prices);
  const asked = (demands: Demands, how: string | undefined) =>
    choices.map(({ parameter, gradient }) => {
      const strategy = how === undefined ? {} : Object.fromEntries(questions.map((question) => [question, how]));
      return choose(parameter, gradient, demands, { samples, strategy, prices });
    });
  const plain = { ...plan.demands, gradients: false, norms: false, squares: false, gram: false, dots: 0, sums: 1 };
  return {
    samples,
    program: total(choices),
    mean: total(asked(plain, undefined)),
    materialised: total(asked(plan.demands, "materialise").map(materialised)),
  };
}

/** At least the gradients themselves. */
function materialised(choice: Choice): Cost {
  const { gradient, operations, floats, once, pairs } = choice;
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
