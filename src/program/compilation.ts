/** Compiles and loads a program: in this thread, or in the worker that will run it. */
import { type CompiledProgram, compiled } from "../compile/compile.js";
import { type Explained, explained } from "../compile/explained.js";
import type { Objective } from "../compile/objective.js";
import { defect } from "../errors.js";
import { MemoryUse } from "../graph/bytes.js";
import type { Stages } from "../inspect/observe.js";
import type { EncodableProgram } from "../onnx/write/encode.js";
import type { Plan } from "../plan/planner.js";
import { NoWorkers } from "../target/no-workers.js";
import type { CompiledElsewhere, Executable, LoadOptions, Running, Target } from "../target/target.js";
import type { Wants } from "../wants/want.js";
import { warn } from "./environment.js";
import { parameterFeeds } from "./given.js";
import type { InternalOptions, ProgramOptions } from "./options.js";
import type { Others } from "./others.js";

/** A program that was compiled and loaded. */
export interface Compilation extends Pick<CompiledProgram, "objective" | "graph"> {
  readonly executable: Pick<Executable, "memory" | "program" | "notes" | "inSteps">;
  /** Null if another thread made the plan. */
  readonly plan: Plan | null;
  readonly running: Running;
  /** Remarks on where it was compiled, and on where its nodes run. */
  readonly notes: readonly string[];
  explained(): Explained;
}

/** What to compile, and how. */
export interface Compiling {
  readonly objective: Objective;
  readonly others: ReadonlyMap<string, Others>;
  readonly options: ProgramOptions<Wants> & InternalOptions;
  readonly target: Target;
  readonly stages: Stages;
}

/** Throws what compiling throws, and the signal's reason. */
export async function compilation(given: Compiling): Promise<Compilation> {
  const { options, target, stages } = given;
  const { workers, observe } = options;
  // An observer must see the graphs themselves, so compile in this thread.
  if (!target.elsewhere || workers === undefined || workers === false || observe) return here(given);
  const { objective, others } = given;
  const { taskOf } = await import("../compile/task.js");
  const task = taskOf(objective, options.want, others, settingsOf(options), loadingOf(options));
  if ("unsent" in task)
    return here(given, [`Compiled in the thread that asked: ${task.unsent} is a function of your own.`]);
  const count = workers === true ? 1 : workers;
  try {
    const found = await target.elsewhere(task, {
      workers: count,
      signal: options.signal,
      onStage: (stage) => stages.reachedElsewhere(stage),
    });
    return found ? await received(objective, found) : await here(given);
  } catch (error) {
    if (!(error instanceof NoWorkers)) throw error;
    const why = `No Web Worker can be started here (${error.reason}): the program compiles and runs in the page's own thread.`;
    warn(why, "NO_WORKERS");
    return here({ ...given, options: { ...options, workers: false } }, [why]);
  }
}

async function here(
  { objective: given, others, options, target, stages }: Compiling,
  notes: readonly string[] = [],
): Promise<Compilation> {
  await target.ready();
  const { objective, plan, graph, executable } = await compiled(given, others, options, target, stages);
  const { holdParameters, ...loading } = loadingOf(options);
  const { workers } = options;
  const parameters = parameterFeeds(objective.model, graph.parameters);
  const running = await executable.load({
    ...loading,
    ...(workers === undefined ? {} : { workers }),
    ...(holdParameters ? { parameters } : {}),
  });
  if (options.signal?.aborted) {
    await running.release();
    throw options.signal.reason;
  }
  const { profiler } = target;
  const asRun = profiler && (() => profiler.optimised(executable.program));
  stages.reached("loaded", () => executable.program.outputs, asRun);
  return {
    objective,
    plan,
    graph,
    executable,
    running,
    notes: [...notes, ...(await fallenBack(options, executable.program, target))],
    explained: () => explained(objective, plan, options.want, options.allowNotFinite),
  };
}

/** Which nodes run on the CPU although another device was asked for. */
async function fallenBack(
  { execution }: ProgramOptions<Wants>,
  program: EncodableProgram,
  { profiler }: Target,
): Promise<string[]> {
  const note = execution && (await profiler?.fallenBack(program, execution));
  return note ? [note] : [];
}

async function received(objective: Objective, { told, running }: CompiledElsewhere): Promise<Compilation> {
  const { graphsIn, isResult } = await import("../compile/task.js");
  if (!isResult(told)) throw defect("a worker thread tells nothing of the program that it compiled");
  const { graph, program } = graphsIn(told);
  const memory = new MemoryUse(told.memory);
  const { notes, explained } = told;
  return {
    objective,
    plan: null,
    graph,
    executable: { memory, program, notes, inSteps: () => true },
    running,
    notes: [],
    explained: () => explained,
  };
}

/** How to load it, in whichever thread. Several workers share the cores: each has one thread unless told otherwise. */
function loadingOf({ threads, workers, memoryBudget, holdParameters = true, execution }: ProgramOptions<Wants>) {
  const own = threads ?? (typeof workers === "number" ? 1 : undefined);
  return {
    holdParameters,
    ...(own === undefined ? {} : { threads: own }),
    ...(execution === undefined ? {} : { execution }),
    lowMemory: memoryBudget !== undefined,
  } satisfies LoadOptions & { readonly holdParameters: boolean };
}

/** The options that affect a compile, as plain data. */
function settingsOf(options: ProgramOptions<Wants> & InternalOptions) {
  const { plannedBatchSize, allowNotFinite, strategy, memoryBudget, manySamples } = options;
  return {
    ...(plannedBatchSize === undefined ? {} : { plannedBatchSize }),
    ...(allowNotFinite === undefined ? {} : { allowNotFinite }),
    ...(strategy === undefined ? {} : { strategy }),
    ...(memoryBudget === undefined ? {} : { memoryBudget }),
    ...(manySamples === undefined ? {} : { manySamples }),
  };
}
