/** The contents of `explain()` for a compile, as data. */
import { type ExplainedParameter, explainPlan, type Totals, totalsOf } from "../plan/explain.js";
import type { Plan } from "../plan/planner.js";
import type { Wants } from "../wants/wanted.js";
import type { Objective } from "./objective.js";
import { differentiableOf } from "./results.js";

export interface Explained {
  readonly rows: readonly ExplainedParameter[];
  readonly totals: Totals;
  /** Remarks of the wants on what was chosen. */
  readonly chosen: readonly string[];
}

export function explained(objective: Objective, plan: Plan, wants: Wants, allowNotFinite = false): Explained {
  const differentiable = () => differentiableOf(objective, plan, allowNotFinite);
  const chosen = Object.values(wants).flatMap((want) => want.notes?.({ differentiable: differentiable() }) ?? []);
  return { rows: explainPlan(plan), totals: totalsOf(plan), chosen };
}
