/** What programs are compiled for: one interface to a runtime and to everything known about it. */
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
  /**
   * The runtime's name and version: "onnxruntime-node 1.30.0". Saved programs record it as the one they were checked
   * with.
   */
  readonly version: string;
  /** See `Runtime`: whether an opened program has its results before a run returns its promise. */
  readonly atOnce: boolean;
  /** See `Runtime`: the limit of a run without a memory budget. */
  readonly mostMemory?: number | undefined;
  /** The time that its kernels take. */
  readonly prices: Prices;
  /** The results in the order in which a file should list their nodes. */
  order(results: readonly Value[]): readonly Value[];
  /**
   * Loads what programs made of the loaded operators may need; call it before `adapt` and `schedule`. Only a page has
   * anything to load.
   */
  ready(): Promise<void>;
  /**
   * The same program without anything that the runtime lacks, refuses or gets wrong. Saved programs are not adapted.
   */
  adapt<T extends Schedulable>(program: T, options?: AdaptOptions): T;
  /**
   * Adapts and schedules a program: the order in which it is computed, how results are returned, and how much memory it
   * takes.
   */
  schedule(program: Schedulable, options: ScheduleOptions): Executable;
  /** Loads a program from its file, unchanged: a path, or bytes. Throws RUNTIME. */
  open(file: string | Uint8Array, options?: RuntimeOptions): Promise<Session>;
  /** Adapts a graph, and loads it. Throws RUNTIME. */
  load(program: EncodableProgram, options?: RuntimeOptions): Promise<Session>;
  /** The runtime's profiler, if it has one. */
  readonly profiler?: Profiler | undefined;
  /** Compiles in worker threads; absent if they only run programs. */
  readonly elsewhere?: Elsewhere | undefined;
  /** Reads a model in a worker thread; absent if no thread does. */
  readonly readElsewhere?: ReadElsewhere | undefined;
}

/**
 * Returns the model as data; null if the threads of a pool only run programs. Throws what reading throws, and the
 * signal's reason.
 * @param task plain data, sent as it is
 */
export type ReadElsewhere = (task: object, options: ElsewhereOptions) => Promise<object | null>;

/**
 * Compiles and loads a program in worker threads; null if they only run programs. Throws what compiling throws, and the
 * signal's reason; an abort ends threads of the program's own at once.
 * @param task plain data, sent as it is
 */
export type Elsewhere = (task: object, options: ElsewhereOptions) => Promise<CompiledElsewhere | null>;

export interface ElsewhereOptions {
  /** A pool, or the number of threads of the program's own, which end when it is released. */
  readonly workers: WorkerPool | number;
  readonly signal?: AbortSignal | undefined;
  /** Called at each stage of the compile. */
  readonly onStage?: ((stage: string) => void) | undefined;
}

export interface CompiledElsewhere {
  /** What the thread reports about the program: plain data. */
  readonly told: unknown;
  readonly running: Running;
}

/** A runtime, with its profiler if it has one. */
export interface ProfiledRuntime extends Runtime {
  /** Absent if the runtime has none. */
  readonly profiler?: Profiler | undefined;
}

/** What a runtime reports about a graph that it runs. */
export interface Profiler {
  /** Time and bytes by node. Throws RUNTIME. */
  profile(program: EncodableProgram, feeds: Tensors, options: ProfileOptions): Promise<RuntimeProfile>;
  /** The graph as the runtime runs it, rewritten by its own optimizer: an ONNX file. Throws RUNTIME. */
  optimised(program: EncodableProgram): Promise<Uint8Array>;
  /**
   * A remark on nodes that do not run on the first requested device, found by running one sample of zeros. Throws
   * RUNTIME.
   */
  fallenBack(program: EncodableProgram, execution: readonly ExecutionProvider[]): Promise<string | null>;
}

export interface ProfileOptions {
  /** The number of runs to average over, after one that does not count. */
  readonly runs: number;
  /** What computes, the preferred provider first. Default: the CPU. */
  readonly execution?: readonly ExecutionProvider[];
  /** The number of threads within an operation. Default: the number of cores. */
  readonly threads?: number;
}

export interface RuntimeProfile {
  /** Each node that ran, in the runtime's order. */
  readonly nodes: readonly TimedNode[];
  /** The mean time of a run, in milliseconds. */
  readonly milliseconds: number;
  /** The most bytes in use at once; undefined if the runtime does not report it. */
  readonly peak: number | undefined;
}

/** A node as the runtime ran it; it may combine several nodes of the graph. */
export interface TimedNode {
  /** What computed it, by the runtime's own name, if it reports that. */
  readonly provider?: string | undefined;
  readonly op: string;
  /** The mean per run, over all executions if it is in a loop. */
  readonly milliseconds: number;
  /** Bytes of its outputs, in one execution. */
  readonly bytes: number;
  /** The values of the given graph that it computes; empty if the runtime or the encoder added the node. */
  readonly outputs: readonly Value[];
  /** The same, or if there are none, the next values of that graph computed from it. */
  readonly toward: readonly Value[];
  /** The outputs of the loop in whose body it lies, and whose own time includes this; null if it is in none. */
  readonly loop: readonly Value[] | null;
}

/** A graph that is to run. */
export interface Schedulable {
  /** All leaves that are fed. */
  readonly inputs: readonly Value[];
  readonly outputs: readonly { readonly name: string; readonly value: Value }[];
}

/**
 * From this many bytes of weights on, a model is large: the memory of a run beyond the weights is then kept small, at a
 * little cost in time.
 */
export const largeWeights = 2 ** 28;

export interface AdaptOptions {
  /** Whether inputs may hold NaN and infinity. Default false. */
  readonly notFiniteInputs?: boolean | undefined;
  /** Called with each rewrite. */
  readonly onRewrite?: OnRewrite | undefined;
}

export interface ScheduleOptions extends AdaptOptions {
  /** Whether it runs in a worker thread, so that no lengthy work is left to the calling thread. */
  readonly elsewhere: boolean;
  /** Bytes of the model's weights. */
  readonly weights: number;
  /**
   * Whether all results are searched for numbers that are not finite, so that a target should rule these out where that
   * takes less time (`Seen`). Default false.
   */
  readonly searched?: boolean;
  /** Whether memory matters more than time. Default false. */
  readonly lowMemory?: boolean;
}

/** A scheduled program, which can be loaded. */
export interface Executable {
  /** Bytes of a run beyond data, weights and the loaded program; `moments` are those of a run in one step. */
  readonly memory: Pick<MemoryUse, "at" | "moments">;
  /** The graph that the runtime is given. */
  readonly program: EncodableProgram;
  /** Remarks for `explain`. */
  readonly notes: readonly string[];
  /** Whether a batch of this size is computed in several steps: its results then come after `run` has returned. */
  inSteps(samples: number): boolean;
  load(options: LoadOptions): Promise<Running>;
}

export interface LoadOptions {
  /** What computes, the preferred provider first. Default: the CPU. */
  readonly execution?: readonly ExecutionProvider[];
  /** The number of threads within an operation. Default: the number of cores. */
  readonly threads?: number;
  /** Whether memory is short, so that none is kept from run to run. Default false. */
  readonly lowMemory?: boolean;
  /** Worker threads to run in. `true`: one of the program's own; a number: that many. Default: the calling thread. */
  readonly workers?: WorkerPool | boolean | number;
  /** Values of inputs, by name, that the target may copy and prepare for its kernels. Default: none. */
  readonly parameters?: Tensors;
}

/** Worker threads that run programs. */
export interface WorkerPool extends Runtime {
  release(): Promise<void>;
}

/** A loaded program. */
export interface Running {
  /** The names of the parameters that it copied when it was loaded: runs are fed all others. */
  readonly held: ReadonlySet<string>;
  /** The number of runs that it computes at once, each in a thread of its own. Default 1. */
  readonly lanes?: number;
  /** The names of inputs of which `seen` learns that they are finite, if they are. Default: none. */
  readonly looksAt?: ReadonlySet<string>;
  /** Whether everything that these feeds need is loaded: then `run` reads them before it returns its promise. */
  isReady(feeds: Tensors, samples: number): boolean;
  /**
   * All results by name. Throws RUNTIME, INVALID_ARGUMENT.
   * @param feeds all inputs; held parameters may be left out, and then keep the values they were loaded with
   * @param seen is called with the results before this returns its promise, if the program runs in this thread at once
   */
  run(feeds: Tensors, samples: number, seen?: Seen): Promise<Tensors>;
  release(): Promise<void>;
}

/** @param finite names of results, and of inputs, whose elements are known to be finite; others may be, too */
export type Seen = (results: Tensors, finite?: ReadonlySet<string>) => void;

export type Tensors = Readonly<Record<string, Tensor>>;
