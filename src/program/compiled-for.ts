/** A worker thread's side of a task: it compiles the program, and loads it. */

import { compiled } from "../compile/compile.js";
import { explained } from "../compile/explained.js";
import { type Objective, objectiveOf } from "../compile/objective.js";
import { type CompileTask, isTask, resultOf } from "../compile/task.js";
import { defect } from "../errors.js";
import type { Made } from "../graph/making.js";
import { operatorsSent, receivedModel } from "../graph/sent-model.js";
import { type StageName, Stages } from "../inspect/observe.js";
import { withMissing } from "../missing.js";
import { type Loss, losses } from "../nn/losses.js";
import { loadOperators } from "../ops/registry.js";
import { defaultTarget } from "../target/default.js";
import type { Session } from "../target/runtime.js";
import { samplesIn } from "../target/samples-in.js";
import type { Target } from "../target/target.js";
import { factors } from "../wants/cross.js";
import { type Want, type Wants, want } from "../wants/want.js";
import { loadedWants } from "../wants/wanted.js";
import { parameterFeeds } from "./given.js";

/** The loaded program, and what the asking thread must know about it. */
export interface CompiledFor {
  readonly session: Session;
  /** The names of the parameters that it holds. */
  readonly held: readonly string[];
  readonly told: object;
}

/**
 * Throws what compiling throws.
 * @param onStage is called at the start of each stage
 */
export async function compiledFor(
  task: object,
  onStage?: (stage: StageName) => void,
  target: Target = defaultTarget,
): Promise<CompiledFor> {
  if (!isTask(task)) throw defect("a worker thread is asked to compile what is no task");
  await loadOperators(operatorsSent(task.model));
  const objective = objectiveIn(
    task,
    await withMissing(() => objectiveOf(receivedModel(task.model), { ...task.objective, loss: lossIn(task) })),
  );
  const wants = await loadedWants(wantsIn(task));
  const others = new Map(task.others.map(([name, samples]) => [name, { samples }]));
  await target.ready();
  const settings = { ...task.settings, want: wants, workers: true };
  const stages = new Stages({}, {}, { onCompile: ({ stage }) => onStage?.(stage) });
  const program = await compiled(objective, others, settings, target, stages);
  const { holdParameters, ...load } = task.load;
  const parameters = parameterFeeds(objective.model, program.graph.parameters);
  const running = await program.executable.load({ ...load, ...(holdParameters ? { parameters } : {}) });
  onStage?.("loaded");
  const { inputs } = program.executable.program;
  return {
    session: {
      run: async (feeds) => ({ ...(await running.run(feeds, samplesIn(inputs, feeds) ?? 0)) }),
      release: () => running.release(),
    },
    held: [...running.held],
    told: resultOf(program, explained(program.objective, program.plan, wants, settings.allowNotFinite)),
  };
}

function objectiveIn({ parameters }: CompileTask, objective: Objective): Objective {
  const own = new Set(parameters);
  return { ...objective, parameters: new Map([...objective.parameters].filter(([name]) => own.has(name))) };
}

function lossIn({ loss }: CompileTask): Loss | Exclude<CompileTask["loss"], Made> {
  return typeof loss === "object" ? madeBy<Loss>(losses, loss) : loss;
}

function wantsIn(task: CompileTask): Wants {
  const makers = { ...want, factors };
  return Object.fromEntries(
    Object.entries(task.want).map(([name, made]) => [name, madeBy<Want<unknown>>(makers, made)]),
  );
}

/** Makes again what a maker made in the asking thread. */
function madeBy<T>(makers: Readonly<Record<string, unknown>>, { by, given }: Made): T {
  const maker = Object.hasOwn(makers, by) ? makers[by] : undefined;
  if (typeof maker !== "function") throw defect(`a worker thread knows no maker ${by}`);
  return maker(...given);
}
