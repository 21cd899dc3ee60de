/** The options of programs, and lists of their names, to detect misspelt ones. */
import type { OptionNames } from "../arguments.js";
import type { CompileSettings } from "../compile/compile.js";
import type { ObjectiveOptions } from "../compile/objective.js";
import type { PlanningOptions } from "../compile/planning.js";
import type { CompileProgress, Observer } from "../inspect/observe.js";
import type { ModelOptions } from "../nn/model.js";
import type { ExecutionProvider } from "../target/runtime.js";
import type { WorkerPool } from "../target/target.js";
import type { Wants } from "../wants/want.js";
import type { GivenOptions } from "./given.js";
import type { MemoryOptions } from "./microbatches.js";
import type { NotFiniteOptions } from "./not-finite.js";
import type { Progress, StreamOptions } from "./stream.js";

/** Options of `perSample`. */
export interface ProgramOptions<W extends Wants> extends ObjectiveOptions, MemoryOptions, PlanningOptions {
  /** What to compute, under names of your own: `{ norms: want.norms(), sum: want.clippedSum({ maxNorm: 1 }) }`. */
  readonly want: W;
  /** Threads that the runtime may use. Default: all cores. */
  readonly threads?: number;
  /**
   * Run in a worker thread, so that the event loop stays free: in one of a pool, `workers()`, or, with `true`, in one
   * of the program's own, which ends when the program is released. In a browser it compiles there too. A number starts
   * that many workers of its own, so that `stream` and `runAll` compute as many chunks at once; each holds the weights,
   * and uses one thread within an operation (or `threads`). Default: the calling thread.
   */
  readonly workers?: WorkerPool | boolean | number;
  /**
   * The runtime copies the weights when the program is compiled, and packs them for its kernels: runs use the values of
   * that time. A run that is given other `parameters` is fed those, and a run after the model's own arrays were
   * overwritten, as an optimizer does, is fed the new values (changes of single elements may go unnoticed). Models with
   * 64 MB of weights or more, and programs with a `memoryBudget`, are not copied: each run is fed the weights as they
   * are. `false` asks for that, for programs whose runs mostly have other values. Default true.
   */
  readonly holdParameters?: boolean;
  /**
   * What computes, the preferred provider first: `["cuda", "cpu"]`. The runtime has, depending on the platform: "cpu",
   * "cuda" and "tensorrt" (Linux and Windows, with NVIDIA's libraries), "webgpu", "dml" (Windows), "coreml" (macOS). If
   * one is missing, the error says what to install. Nodes that it cannot compute run on the CPU, and `explain` lists
   * them; results differ in their last digits. Default: the CPU.
   */
  readonly execution?: readonly ExecutionProvider[];
  /**
   * Ends every run of the program, as the `signal` of a run does. It also ends compiling: at once if a Web Worker
   * compiles, and otherwise between two stages. Default: no signal.
   */
  readonly signal?: AbortSignal;
  /**
   * Called with the number of samples done after each chunk of `runAll` and `stream`, unless these are given a callback
   * of their own. Default: no call.
   */
  readonly onProgress?: (progress: Progress) => void;
  /**
   * Called at each stage of the compile, also if a Web Worker compiles, so that a page can show progress: the event
   * loop turns between two stages. Default: no call.
   */
  readonly onCompile?: (progress: CompileProgress) => void;
  /** Observes the compile's stages, rewrites and choices, and each node's time and bytes. Default: what PERGRAD_DEBUG sets. */
  readonly observe?: Observer;
}

/** Options that only a program passes to another one. */
export type InternalOptions = Pick<CompileSettings, "manySamples">;

/** Options of `run`. `memoryBudget` and `microbatchSize` default to those of the program. */
export interface RunOptions extends MemoryOptions, NotFiniteOptions, GivenOptions {
  /** Run even if the data holds NaN or infinity. Default false. */
  readonly allowNotFinite?: boolean;
  /**
   * Ends the run and throws the signal's reason: at once if it runs in another thread (a worker, WebAssembly),
   * otherwise between two microbatches. The runtime still finishes the microbatch that it has begun. Default: no signal.
   */
  readonly signal?: AbortSignal;
}

/** The options of a call that are passed on to each program it compiles. */
export type Running = Pick<
  ProgramOptions<Wants>,
  "threads" | "memoryBudget" | "microbatchSize" | "signal" | "onProgress"
>;

/** These options alone, as far as they are set. */
export function runningOf(
  options: {
    readonly [K in keyof Running]?: Running[K] | undefined;
  },
): Running {
  const { threads, memoryBudget, microbatchSize, signal, onProgress } = options;
  return {
    ...(threads === undefined ? {} : { threads }),
    ...(memoryBudget === undefined ? {} : { memoryBudget }),
    ...(microbatchSize === undefined ? {} : { microbatchSize }),
    ...(signal === undefined ? {} : { signal }),
    ...(onProgress === undefined ? {} : { onProgress }),
  };
}

export const objectiveOptions: OptionNames<ObjectiveOptions> = {
  loss: true,
  output: true,
  outputSampleAxis: true,
  target: true,
  parameters: true,
  frozen: true,
};

export const modelOptions: OptionNames<ModelOptions> = { input: true, seed: true };

export const programOptions: OptionNames<ProgramOptions<Wants> & ModelOptions> = {
  ...objectiveOptions,
  ...modelOptions,
  want: true,
  memoryBudget: true,
  microbatchSize: true,
  plannedBatchSize: true,
  threads: true,
  execution: true,
  workers: true,
  holdParameters: true,
  signal: true,
  onProgress: true,
  onCompile: true,
  strategy: true,
  allowNotFinite: true,
  observe: true,
};

export const runOptions: OptionNames<RunOptions> = {
  memoryBudget: true,
  microbatchSize: true,
  notFinite: true,
  onNotFinite: true,
  parameters: true,
  vectors: true,
  maxNorms: true,
  others: true,
  inPlace: true,
  allowNotFinite: true,
  signal: true,
};

export const streamOptions: OptionNames<RunOptions & StreamOptions> = {
  ...runOptions,
  chunkSize: true,
  reuse: true,
  onProgress: true,
};
