/** What programs are compiled for: one interface to a runtime and to all that is known of it. */
import type { MemoryUse } from "../graph/bytes.js";
import type { OnRewrite } from "../graph/rewritten.js";
import type { Value } from "../graph/value.js";
import type { EncodableProgram } from "../onnx/write/encode.js";
import type { Prices } from "../ops/prices.js";
import type { Tensor } from "../tensor/tensor.js";
import type { ExecutionProvider, Runtime, RuntimeOptions, Session } from "./runtime.js";

export interface Target {
  /** The runtime's name, for which a program may be saved: "onnxruntime". */
  readonly name: string;
  /** The runtime's name and version: "onnxruntime-node 1.30.0". Programs that are saved say what they were checked with. */
  readonly version: string;
  /** See `Runtime`: whether a program that was opened has its results before a run returns its promise. */
  readonly atOnce: boolean;
  /** See `Runtime`: what a run keeps to where no memory budget is given. */
  readonly mostMemory?: number | undefined;
  /** What its kernels take. */
  readonly prices: Prices;
  /** Results in the order in which their nodes are best listed in a file. */
  order(results: readonly Value[]): readonly Value[];
  /**
   * Loads what programs of the operators that are loaded may need; it comes before `adapt` and `schedule`. In a page alone
   * there is something to load.
   */
  ready(): Promise<void>;
  /** The same program without what the runtime lacks, refuses or gets wrong. Programs are saved without that. */
  adapt<T extends Schedulable>(program: T, options?: AdaptOptions): T;
  /** Adapts and schedules a program: in which order it is computed, how results are handed over, and how much memory it takes. */
  schedule(program: Schedulable, options: ScheduleOptions): Executable;
  /** Loads a program from its file as it is: a path, or bytes. Throws RUNTIME. */
  open(file: string | Uint8Array, options?: RuntimeOptions): Promise<Session>;
  /** Adapts a graph, and loads it. Throws RUNTIME. */
  load(program: EncodableProgram, options?: RuntimeOptions): Promise<Session>;
  /** Looks inside the runtime. Absent where it has no profiler. */
  readonly profiler?: Profiler | undefined;
  /** Has worker threads compile, not only run. Absent where they do not. */
  readonly elsewhere?: Elsewhere | undefined;
  /** Has a worker thread read a model. Absent where none does. */
  readonly readElsewhere?: ReadElsewhere | undefined;
}

/**
 * Gives the model as data. Null where the threads of a pool only run programs. Throws what reading throws, and the
 * signal's reason.
 * @param task is sent as it is: plain data
 */
export type ReadElsewhere = (task: object, options: ElsewhereOptions) => Promise<object | null>;

/**
 * Has worker threads compile and load a program. Null where they only run programs. Throws what compiling throws, and the
 * signal's reason, which ends threads of the program's own at once.
 * @param task is sent as it is: plain data
 */
export type Elsewhere = (task: object, options: ElsewhereOptions) => Promise<CompiledElsewhere | null>;

export interface ElsewhereOptions {
  /** A pool, or so many threads of the program's own, which end when it is released. */
  readonly workers: WorkerPool | number;
  readonly signal?: AbortSignal | undefined;
  /** Called with each stage that a compile has come to. */
  readonly onStage?: ((stage: string) => void) | undefined;
}

export interface CompiledElsewhere {
  /** What the thread says of the program: plain data. */
  readonly told: unknown;
  readonly running: Running;
}

/** A runtime, and what looks inside it where it can be looked into. */
export interface ProfiledRuntime extends Runtime {
  /** Absent where it has none. */
  readonly profiler?: Profiler | undefined;
}

/** What a runtime reports about a graph that it runs. */
export interface Profiler {
  /** Time and bytes by node. Throws RUNTIME. */
  profile(program: EncodableProgram, feeds: Tensors, options: ProfileOptions): Promise<RuntimeProfile>;
  /** The graph as the runtime runs it, rewritten by its own optimizer: an ONNX file. Throws RUNTIME. */
  optimised(program: EncodableProgram): Promise<Uint8Array>;
  /** A remark on nodes that do not run on what was asked for first, found by running one sample of zeros. Throws RUNTIME. */
  fallenBack(program: EncodableProgram, execution: readonly ExecutionProvider[]): Promise<string | null>;
}

export interface ProfileOptions {
  /** Runs to take the mean of, after one that does not count. */
  readonly runs: number;
  /** What computes, the preferred first. Default: the CPU. */
  readonly execution?: readonly ExecutionProvider[];
  /** Threads within an operation. Default: as many as there are cores. */
  readonly threads?: number;
}

export interface RuntimeProfile {
  /** Each node that ran, in the order of the runtime. */
  readonly nodes: readonly TimedNode[];
  /** What a run took, in milliseconds: the mean. */
  readonly milliseconds: number;
  /** The most bytes that were in use at once; undefined where the runtime does not tell. */
  readonly peak: number | undefined;
}

/** A node as the runtime ran it, perhaps made of several. */
export interface TimedNode {
  /** What computed it, in the runtime's own word, where it tells. */
  readonly provider?: string | undefined;
  readonly op: string;
  /** The mean of a run, over all its executions where it lies in a loop. */
  readonly milliseconds: number;
  /** Bytes of its outputs, at one execution. */
  readonly bytes: number;
  /** What it computes of the graph that was given; empty where the runtime, or the file's writer, put it in. */
  readonly outputs: readonly Value[];
  /** The same, or else the next values of that graph that come of it. */
  readonly toward: readonly Value[];
  /** The outputs of the loop in whose body it lies, and whose own time holds this; null where it lies in none. */
  readonly loop: readonly Value[] | null;
}

/** A graph that is to be run. */
export interface Schedulable {
  /** All leaves that are fed. */
  readonly inputs: readonly Value[];
  readonly outputs: readonly { readonly name: string; readonly value: Value }[];
}

/** Bytes of all weights from which on a model is large: what a run takes beside them is then kept small, at a little time. */
export const largeWeights = 2 ** 28;

export interface AdaptOptions {
  /** Inputs may hold NaN and infinity. Default false. */
  readonly notFiniteInputs?: boolean | undefined;
  /** Is called with what becomes of each node. */
  readonly onRewrite?: OnRewrite | undefined;
}

export interface ScheduleOptions extends AdaptOptions {
  /** It runs in a worker thread, so that nothing that takes long is left to the thread that asks. */
  readonly elsewhere: boolean;
  /** Bytes of the model's weights. */
  readonly weights: number;
}

/** A scheduled program, which can be loaded. */
export interface Executable {
  /** Bytes of a run beyond data, weights and the loaded program; `moments` are those of a run in one step. */
  readonly memory: Pick<MemoryUse, "at" | "moments">;
  /** The graph that the runtime is given. */
  readonly program: EncodableProgram;
  /** Remarks for `explain`. */
  readonly notes: readonly string[];
  /** Whether a batch of so many samples is computed in several steps: its results come after `run` has returned. */
  inSteps(samples: number): boolean;
  load(options: LoadOptions): Promise<Running>;
}

export interface LoadOptions {
  /** What computes, the preferred first. Default: the CPU. */
  readonly execution?: readonly ExecutionProvider[];
  /** Threads within an operation. Default: as many as there are cores. */
  readonly threads?: number;
  /** Memory is short, so that none is kept from run to run. Default false. */
  readonly lowMemory?: boolean;
  /** Worker threads to run in; `true`: one of the program's own; a number: so many. Default: the thread that asks. */
  readonly workers?: WorkerPool | boolean | number;
  /** Values of inputs, by name, of which the target may take copies that are ready for its kernels. Default: none. */
  readonly parameters?: Tensors;
}

/** Worker threads that run programs. */
export interface WorkerPool extends Runtime {
  release(): Promise<void>;
}

/** A loaded program. */
export interface Running {
  /** The names of those parameters that it took in as it was loaded: runs are fed all others. */
  readonly held: ReadonlySet<string>;
  /** Runs that it computes at the same time, each by a thread of its own. Default 1. */
  readonly lanes?: number;
  /** Whether what they are run by is loaded: then `run` reads its feeds before it returns its promise. */
  isReady(feeds: Tensors, samples: number): boolean;
  /**
   * All results by name. Throws RUNTIME, INVALID_ARGUMENT.
   * @param feeds all inputs; or all but those that are held, whose values are then those that it was loaded with
   * @param seen is called with them before this returns its promise, where the program runs in this thread at once
   */
  run(feeds: Tensors, samples: number, seen?: (results: Tensors) => void): Promise<Tensors>;
  release(): Promise<void>;
}

export type Tensors = Readonly<Record<string, Tensor>>;
