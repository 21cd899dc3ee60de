/** A compile as plain data, to send to another thread, and that thread's answer. */
import type { Bytes } from "../graph/bytes.js";
import { type Made, makingOf } from "../graph/making.js";
import { Received, Sending, type Sent, type SentGraph } from "../graph/sent.js";
import { type SentModel, sentModel } from "../graph/sent-model.js";
import type { LossName } from "../nn/as-loss.js";
import type { Executable, LoadOptions, Schedulable } from "../target/target.js";
import type { Wants } from "../wants/wanted.js";
import type { CompiledProgram, CompileSettings } from "./compile.js";
import type { Explained } from "./explained.js";
import type { Output } from "./joining.js";
import type { Objective, ObjectiveOptions } from "./objective.js";
import type { ProgramGraph } from "./program-graph.js";
import type { Factor, Scalar, Vector } from "./results.js";

/** How the program is loaded, apart from its weights and its thread. */
export type TaskLoading = Omit<LoadOptions, "workers" | "parameters"> & {
  /** Whether the runtime takes copies of the weights. */
  readonly holdParameters: boolean;
};

export interface CompileTask {
  readonly model: SentModel;
  readonly loss: Made | LossName;
  readonly objective: Omit<ObjectiveOptions, "loss">;
  /**
   * The parameters to differentiate with respect to, by name: the objective may have been narrowed since it was made.
   */
  readonly parameters: readonly string[];
  /** How each want was made. */
  readonly want: Readonly<Record<string, Made>>;
  /** The other batches that wants read: their names and numbers of samples. */
  readonly others: readonly (readonly [string, number])[];
  readonly settings: Omit<CompileSettings, "want" | "workers">;
  readonly load: TaskLoading;
}

/**
 * The task; or, if a part of it is a function of the caller's own, which cannot be sent to another thread, that part's
 * name.
 */
export function taskOf(
  { model, options, parameters }: Objective,
  wants: Wants,
  others: ReadonlyMap<string, { readonly samples: number }>,
  settings: CompileTask["settings"],
  load: TaskLoading,
): CompileTask | { readonly unsent: string } {
  const { loss: given, output, outputSampleAxis, target, parameters: globs, frozen } = options;
  const loss = typeof given === "string" ? given : makingOf(given);
  if (!loss) return { unsent: "the loss" };
  const want: Record<string, Made> = {};
  for (const [name, each] of Object.entries(wants)) {
    const making = makingOf(each);
    if (!making) return { unsent: `the want "${name}"` };
    want[name] = making;
  }
  return {
    model: sentModel(model),
    loss,
    objective: {
      ...(output === undefined ? {} : { output }),
      ...(outputSampleAxis === undefined ? {} : { outputSampleAxis }),
      ...(target === undefined ? {} : { target }),
      ...(globs === undefined ? {} : { parameters: globs }),
      ...(frozen === undefined ? {} : { frozen }),
    },
    parameters: [...parameters.keys()],
    want,
    others: [...others].map(([name, { samples }]) => [name, samples] as const),
    settings,
    load,
  };
}

/** Whether a received object is a task. The same package made it on the other side. */
export function isTask(sent: object): sent is CompileTask {
  return "model" in sent && "loss" in sent && "want" in sent && "load" in sent;
}

type SentValued<T extends { readonly value: unknown }> = Omit<T, "value"> & { readonly value: Sent };

/** What the asking thread learns about a program. */
export interface TaskResult {
  readonly graph: SentGraph;
  readonly inputs: readonly Sent[];
  readonly parameters: readonly Sent[];
  readonly vectors: readonly SentValued<Vector>[];
  readonly factors: readonly SentValued<Factor>[];
  readonly scalars: readonly SentValued<Scalar>[];
  readonly outputs: readonly SentValued<Output>[];
  readonly watch: ProgramGraph["watch"];
  readonly summedTerms: number;
  /** The graph that was given to the runtime. */
  readonly scheduled: {
    readonly inputs: readonly Sent[];
    readonly outputs: readonly SentValued<Schedulable["outputs"][number]>[];
  };
  readonly memory: readonly Bytes[];
  readonly notes: readonly string[];
  readonly explained: Explained;
}

export function isResult(told: unknown): told is TaskResult {
  return typeof told === "object" && told !== null && "graph" in told && "scheduled" in told && "explained" in told;
}

export function resultOf(
  { graph, executable }: Pick<CompiledProgram, "graph" | "executable">,
  explained: Explained,
): TaskResult {
  const sending = new Sending();
  const valued = <T extends { readonly value: Output["value"] }>(all: readonly T[]) =>
    all.map((each) => ({ ...each, value: sending.value(each.value) }));
  const { program, memory, notes } = executable;
  return {
    inputs: sending.values(graph.inputs),
    parameters: sending.values(graph.parameters),
    vectors: valued(graph.vectors),
    factors: valued(graph.factors),
    scalars: valued(graph.scalars),
    outputs: valued(graph.outputs),
    watch: graph.watch,
    summedTerms: graph.summedTerms,
    scheduled: { inputs: sending.values(program.inputs), outputs: valued(program.outputs) },
    memory: memory.moments,
    notes,
    explained,
    graph: sending.graph,
  };
}

/** The program's graph, and the one that was given to the runtime. */
export function graphsIn(result: TaskResult): {
  readonly graph: ProgramGraph;
  readonly program: Executable["program"];
} {
  const received = new Received(result.graph);
  const valued = <T extends { readonly value: Sent }>(all: readonly T[]) =>
    all.map((each) => ({ ...each, value: received.value(each.value) }));
  const { scheduled } = result;
  return {
    graph: {
      inputs: received.values(result.inputs),
      parameters: received.values(result.parameters),
      vectors: valued(result.vectors),
      factors: valued(result.factors),
      scalars: valued(result.scalars),
      outputs: valued(result.outputs),
      watch: result.watch,
      summedTerms: result.summedTerms,
    },
    program: { inputs: received.values(scheduled.inputs), outputs: valued(scheduled.outputs) },
  };
}
