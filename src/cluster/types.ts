/** Options and results of jobs on a cluster. */
import type { RunOptions } from "../program/options.js";
import type { Program } from "../program/program.js";
import type { ExecutionProvider } from "../target/runtime.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Wants } from "../wants/want.js";

/** How far a job has come. */
export interface ClusterProgress {
  /** Parts that are done, including those of earlier calls. */
  readonly parts: number;
  /** All parts: the row groups of the data. */
  readonly of: number;
  /** Samples that this job has computed. */
  readonly samples: number;
}

/**
 * What a program is fed beside its data, as `run` takes it. If `out` already holds results for other values, the job is
 * refused.
 */
export interface GivenToMap extends Pick<RunOptions, "parameters" | "vectors" | "maxNorms" | "others"> {
  /** The inputs that all samples share, by name; no column holds them. Default: none. */
  readonly shared?: Readonly<Record<string, Tensor>>;
}

/** How a job computes its samples, and who is told about it. */
export interface JobOptions {
  /**
   * The folder for the results, on a disk that this machine and all nodes share. If it already holds parts of the same
   * program and data, they are kept, and only the missing ones are computed.
   */
  readonly out: string;
  /** Samples that a worker computes at a time. Default: as the program's memory estimate allows, at most 256. */
  readonly microbatchSize?: number;
  /** The column of the samples' ids, numbers or texts. Default: "id" if there is one; otherwise rows are numbered. */
  readonly ids?: string;
  /**
   * How far the runtime optimises programs on the nodes: "extended" computes what Node computes; "all" is faster for
   * convolutional networks, whose samples may differ where elements of a max-pool are nearly equal. Default "extended".
   */
  readonly optimization?: "extended" | "all";
  /** Compute even where the data holds NaN or infinity. Default false. */
  readonly allowNotFinite?: boolean;
  /**
   * Execution providers on the nodes, the preferred one first: `["cuda", "cpu"]`. With "cuda" or "tensorrt" a task takes a GPU.
   * If one is not installed there, the error says what to install. Results differ in their last digits. Default: the CPU.
   */
  readonly execution?: readonly ExecutionProvider[];
  /** Stops the job, and throws the signal's reason. Parts that are done stay. Default: no signal. */
  readonly signal?: AbortSignal;
  /** Called when parts are done. Default: no call. */
  readonly onProgress?: (progress: ClusterProgress) => void;
}

/** Options of `map`. */
export interface MapOptions extends JobOptions, GivenToMap {
  /**
   * What to do about samples whose gradients are not finite: "throw" an error that names them; "leave out" of sums and
   * means; "ignore" them. Default "ignore".
   */
  readonly notFinite?: "throw" | "leave out" | "ignore";
}

/** What a job has left in its folder. */
export interface Mapped {
  /**
   * The folder. It holds `part-K.parquet`, numbered in the order of the data; `sums.safetensors` if the program has sums; and
   * `done.json`.
   */
  readonly out: string;
  /** The number of row groups in the data. */
  readonly parts: number;
  /** The number of samples in the data. */
  readonly samples: number;
  /** Says which operators ran on the CPU although `execution` prefers another provider; absent if none did. */
  readonly notes?: readonly string[];
}

/** A compiled program, or the path of a saved one. */
export type MappedProgram = Program<Wants> | string;
