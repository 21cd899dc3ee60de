/** The last steps of a compile: the graph of what is wanted, and how the target runs it. */
import type { Stages } from "../inspect/observe.js";
import type { Plan } from "../plan/planner.js";
import type { Executable, Target } from "../target/target.js";
import type { Wants } from "../wants/want.js";
import type { Objective } from "./objective.js";
import { type Emitted, emit, inputsOf, weightsOf } from "./program-graph.js";

/** What is known once a program is planned. */
export interface Planned {
  readonly objective: Objective;
  readonly plan: Plan;
  /** The other batches of wants, by their names. */
  readonly others: ReadonlyMap<string, { readonly samples: number }>;
}

export interface ScheduleSettings {
  readonly want: Wants;
  /** What runs the program elsewhere than in the thread that asks, if anything does. */
  readonly workers?: unknown;
}

export function isElsewhere({ workers }: Pick<ScheduleSettings, "workers">): boolean {
  return workers !== undefined && workers !== false;
}

/** Builds the graph, and has the target schedule it. */
export function scheduled(
  { objective, plan, others }: Planned,
  settings: ScheduleSettings,
  target: Target,
  stages: Stages,
): { readonly emitted: Emitted; readonly executable: Executable } {
  const emitted = emit(objective, plan, settings.want, others, stages);
  const graph = { inputs: inputsOf(emitted), outputs: emitted.outputs };
  const schedule = { elsewhere: isElsewhere(settings), weights: weightsOf(objective.model) };
  const executable = target.schedule(graph, schedule);
  stages.reached("scheduled", () => executable.program.outputs);
  return { emitted, executable };
}
