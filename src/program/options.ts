/** The options of programs, and their names, by which misspelt ones are recognised. */
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
   * of the program's own, which ends when the program is released. In a browser it compiles there too. A number: in so many threads of its own, of one thread
   * within an operation each (or `threads`), so that `stream` and `runAll` compute as many chunks at the same time; each
   * holds the weights. Default: in the thread that asks.
   */
  readonly workers?: WorkerPool | boolean | number;
  /**
   * The runtime takes copies of the weights when the program is compiled, and packs them for its kernels: runs compute
   * with the values of that time. A run that is given other `parameters` is fed them, and so is one before which the
   * model's own arrays were written anew, as an optimizer does (single elements may go unnoticed). Of models with 64 MB
   * of weights or more, and with a `memoryBudget`, it takes none: each run is fed them as they are. `false` asks for
   * that, where most runs have other values. Default true.
   */
  readonly holdParameters?: boolean;
  /**
   * What computes, the preferred first: `["cuda", "cpu"]`. Those that the runtime has on this platform: "cpu", "cuda" and
   * "tensorrt" (Linux and Windows, with NVIDIA's libraries), "webgpu", "dml" (Windows), "coreml" (macOS). One that is not
   * there is an error that says what to install. Nodes that it cannot compute run on the CPU, and `explain` lists them;
   * results differ in their last digits. Default: the CPU.
   */
  readonly execution?: readonly ExecutionProvider[];
  /**
   * Ends every run of the program, as the `signal` of a run does; and compiling: at once where a Web Worker compiles, and
   * otherwise between two of its stages. Default: no signal.
   */
  readonly signal?: AbortSignal;
  /**
   * Called with the samples done so far after each chunk of `runAll` and `stream`, unless these are given a callback of their own.
   * Default: no call.
   */
  readonly onProgress?: (progress: Progress) => void;
  /**
   * Called as the compile comes from stage to stage, also where a Web Worker compiles, so that a page can show how far it is:
   * between two stages the event loop turns. Default: no call.
   */
  readonly onCompile?: (progress: CompileProgress) => void;
  /** Observes the compile's stages, rewrites and choices, and each node's time and bytes. Default: what PERGRAD_DEBUG sets. */
  readonly observe?: Observer;
}

/** What only a program asks of another one. */
export type InternalOptions = Pick<CompileSettings, "manySamples">;

/** Options of `run`. `memoryBudget` and `microbatchSize` default to those of the program. */
export interface RunOptions extends MemoryOptions, NotFiniteOptions, GivenOptions {
  /** Run even if the data holds NaN or infinity. Default false. */
  readonly allowNotFinite?: boolean;
  /**
   * Ends the run and throws the signal's reason: at once where it runs in another thread (a worker, WebAssembly),
   * otherwise between two microbatches. The runtime still finishes the microbatch that it has begun. Default: no signal.
   */
  readonly signal?: AbortSignal;
}

/** Options of a call that it hands on to each of the programs it compiles. */
export type Running = Pick<
  ProgramOptions<Wants>,
  "threads" | "memoryBudget" | "microbatchSize" | "signal" | "onProgress"
>;

/** These options alone, as far as they are given. */
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
