/**
 * The compiler's stages, in order: each is a function from one value to the next. An observer is shown the graph after
 * each stage.
 */
import type { Stages } from "../inspect/observe.js";
import { withMissing } from "../missing.js";
import { withoutUnread } from "../optimise/narrowed.js";
import type { Plan } from "../plan/planner.js";
import { leadingOf, nth } from "../present.js";
import type { Executable, Target } from "../target/target.js";
import type { Wants } from "../wants/want.js";
import { needEveryPosition } from "../wants/wanted.js";
import { withinBudget } from "./low-memory.js";
import type { Objective } from "./objective.js";
import { type PlanningOptions, planFor } from "./planning.js";
import { inputsOf, optimised, type ProgramGraph, programGraph, weightsOf } from "./program-graph.js";
import { wantedResults } from "./results.js";
import { factorsOf } from "./stage-graphs.js";

/** What is known once a program has been planned. */
export interface Planned {
  readonly objective: Objective;
  readonly plan: Plan;
  /** The other batches of wants, by their names. */
  readonly others: ReadonlyMap<string, { readonly samples: number }>;
}

export interface ScheduleSettings extends Pick<PlanningOptions, "allowNotFinite"> {
  readonly want: Wants;
  /** Runs the program outside the calling thread, if set. */
  readonly workers?: unknown;
  /** Whether batches are so large that sums over the samples are computed in parts. Default false. */
  readonly manySamples?: boolean;
  /** Bytes that a run may take beyond the weights. */
  readonly memoryBudget?: number;
}

export function isElsewhere({ workers }: Pick<ScheduleSettings, "workers">): boolean {
  return workers !== undefined && workers !== false;
}

/** Builds the graph, and has the target schedule it. */
export async function scheduled(
  { objective, plan, others }: Planned,
  settings: ScheduleSettings,
  target: Target,
  stages: Stages,
): Promise<{ readonly graph: ProgramGraph; readonly executable: Executable }> {
  const { want, allowNotFinite, manySamples } = settings;
  const wanted = await withMissing(() => wantedResults(objective, plan, want, others, allowNotFinite));
  const simplified = optimised(objective, wanted, stages);
  await stages.pause();
  const graph = programGraph(objective, want, simplified, stages, manySamples);
  await stages.pause();
  const schedule = {
    elsewhere: isElsewhere(settings),
    weights: weightsOf(objective.model),
    searched: graph.watch === undefined,
    lowMemory: settings.memoryBudget !== undefined,
    notFiniteInputs: allowNotFinite,
    onRewrite: stages.onRewrite,
  };
  // Modules loaded on the way may bring operators whose faults are worked around.
  await target.ready();
  const executable = target.schedule({ inputs: inputsOf(graph), outputs: graph.outputs }, schedule);
  stages.reached("scheduled", () => executable.program.outputs);
  await stages.pause();
  return { graph, executable };
}

/** The same objective, without what no window reads, unless a want looks at that too. */
export function objectiveFor(objective: Objective, want: Wants): Objective {
  if (needEveryPosition(want)) return objective;
  const { losses, output, outputs } = objective;
  const names = Object.keys(outputs);
  const [ownLosses, ownOutput, ...values] = leadingOf(withoutUnread([losses, output, ...Object.values(outputs)]), 2);
  return {
    ...objective,
    losses: ownLosses,
    output: ownOutput,
    outputs: Object.fromEntries(names.map((name, k) => [name, nth(values, k)])),
  };
}

/** How a program is compiled. */
export interface CompileSettings extends ScheduleSettings, PlanningOptions {}

/** A compiled program, which a target can load. */
export interface CompiledProgram {
  readonly objective: Objective;
  readonly plan: Plan;
  readonly graph: ProgramGraph;
  readonly executable: Executable;
}

/**
 * Compiles an objective: differentiates, plans, builds, optimises, lowers and schedules, and repeats this with methods
 * that hold less if a budget requires it. Throws INVALID_ARGUMENT and, between two stages, the reason of an aborted
 * signal.
 */
export async function compiled(
  objective: Objective,
  others: Planned["others"],
  settings: CompileSettings,
  target: Target,
  stages: Stages,
): Promise<CompiledProgram> {
  const own = await withMissing(() => objectiveFor(objective, settings.want));
  return withinBudget(async (lowMemory) => {
    const planning = { ...settings, prices: target.prices };
    const plan = await withMissing(() => planFor(own, settings.want, planning, lowMemory));
    stages.reached("gradient", () => factorsOf(own, plan));
    await stages.pause();
    return { objective: own, plan, ...(await scheduled({ objective: own, plan, others }, settings, target, stages)) };
  }, settings.memoryBudget);
}
