/** From an objective and the requirements of its wants to a plan: differentiates, and chooses the methods. */
import { perSampleGradients } from "../autodiff/per-sample.js";
import { PergradError } from "../errors.js";
import { Dense } from "../gradients/dense.js";
import { N } from "../graph/dim.js";
import { type Prices, usualPrices } from "../ops/prices.js";
import { build } from "../ops/registry.js";
import { Plan } from "../plan/planner.js";
import { allRequirements, needsGradients } from "../plan/questions.js";
import type { LowMemoryStrategy, Strategy } from "../plan/strategy.js";
import type { Wants } from "../wants/wanted.js";
import type { Objective } from "./objective.js";

/** How the methods are chosen. */
export interface PlanningOptions {
  /** The number of samples that the program is planned for: it runs with any. Default 64. */
  readonly plannedBatchSize?: number;
  /**
   * The data may hold NaN and infinity: values that the model selects away contribute nothing to the gradients, in a
   * saved program too. If false, `run` compiles such a program the first time that data allowed to hold them does.
   * Default false.
   */
  readonly allowNotFinite?: boolean;
  /** Methods to use whatever they cost, for experiments. Default: the cheapest for the shapes. */
  readonly strategy?: Strategy;
}

/** What is known about where the program will run. */
interface Conditions {
  readonly prices?: Prices;
}

/**
 * Differentiates, and chooses the methods. Throws INVALID_ARGUMENT.
 * @param lowMemory methods to use where no strategy asks for others
 */
export function planFor(
  objective: Objective,
  want: Wants,
  { plannedBatchSize, strategy = {}, allowNotFinite = false, prices = usualPrices }: PlanningOptions & Conditions,
  lowMemory: LowMemoryStrategy = {},
): Plan {
  if (Object.keys(want).length === 0)
    throw new PergradError(
      "INVALID_ARGUMENT",
      "There are no wants; say what to compute, such as { norms: want.norms() }.",
    );
  if (plannedBatchSize !== undefined && !(Number.isSafeInteger(plannedBatchSize) && plannedBatchSize >= 1)) {
    throw new PergradError(
      "INVALID_ARGUMENT",
      `plannedBatchSize must be a whole number from 1 up, not ${plannedBatchSize}.`,
    );
  }
  const total = allRequirements(Object.values(want).map((each) => each.requirements));
  const planOptions = {
    strategy,
    lowMemory,
    prices,
    ...(plannedBatchSize === undefined ? {} : { samples: plannedBatchSize }),
  };
  if (!needsGradients(total)) return new Plan(new Map(), total, planOptions);
  const choices = { ...lowMemory, ...strategy, prices };
  const { losses, parameters, axes } = objective;
  const data = { notFiniteInputs: allowNotFinite };
  const found = perSampleGradients(losses, [...parameters.values()], axes, choices, data);
  // A parameter may reach the loss only through comparisons and integers, and then not change it: its gradient is
  // zeros.
  const gradients = [...objective.parameters].map(([name, parameter]) => {
    const zeros = () => new Dense(build.zeros([N, ...parameter.shape], parameter.dtype));
    return [name, found.get(parameter) ?? zeros()] as const;
  });
  return new Plan(new Map(gradients), total, planOptions);
}
