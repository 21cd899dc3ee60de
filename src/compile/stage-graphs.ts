/** What an observer of a compile is shown before there is a program. */
import type { Value } from "../graph/value.js";
import type { Plan } from "../plan/planner.js";
import type { Objective } from "./objective.js";

/** The axis of each input that holds the samples, the target's included. */
export function sampleAxesOf({ expected }: Objective): Record<string, number | null> {
  return Object.fromEntries([...expected].map(([name, { sampleAxis }]) => [name, sampleAxis]));
}

/** Not a name that a model can have. */
const lossesName = "/losses";

type Named = readonly { readonly name: string; readonly value: Value }[];

/** The losses, and the model's outputs. */
export function withLosses({ losses, outputs }: Objective): Named {
  return [{ name: lossesName, value: losses }, ...Object.entries(outputs).map(([name, value]) => ({ name, value }))];
}

/** The losses, and the factors of each parameter's gradient. */
export function factorsOf({ losses }: Objective, plan: Plan): Named {
  const factors = plan.parameters.flatMap((parameter) =>
    plan.factored(parameter).factors.map((value, k) => ({ name: `${parameter}/factor${k}`, value })),
  );
  return [{ name: lossesName, value: losses }, ...factors];
}
