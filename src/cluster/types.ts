/** What a cluster is asked for, and what it tells. */
import type { RunOptions } from "../program/options.js";
import type { RunnableProgram } from "../program/runnable.js";
import type { ExecutionProvider } from "../target/runtime.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Wants } from "../wants/want.js";

/** How far a job is. */
export interface ClusterProgress {
  /** Parts that are done, those of earlier calls included. */
  readonly parts: number;
  /** Parts in all: the row groups of the data. */
  readonly of: number;
  /** Samples that this job has computed. */
  readonly samples: number;
}

/** What a program is fed beside its data, as by `run`. Results of other values in `out` are refused. */
export interface GivenToMap extends Pick<RunOptions, "parameters" | "vectors" | "maxNorms" | "others"> {
  /** The inputs that all samples share, which no column holds. Default: none. */
  readonly shared?: Readonly<Record<string, Tensor>>;
}

/** How a job's samples are computed, and who hears of it. */
export interface JobOptions {
  /**
   * The folder of the results, on a disk that this machine and all nodes share. Parts that it holds already, of the same
   * program and data, are kept, and only missing ones are computed.
   */
  readonly out: string;
  /** Samples that a worker computes at a time. Default: as the program's memory estimate allows, at most 256. */
  readonly microbatchSize?: number;
  /** The column of the samples' ids, numbers or texts. Default: "id" where there is one, else rows are numbered. */
  readonly ids?: string;
  /**
   * How far the runtime optimises programs on the nodes: "extended" computes what Node computes; "all" is faster for
   * convolutional networks, whose samples may differ where elements of a max-pool are nearly equal. Default "extended".
   */
  readonly optimization?: "extended" | "all";
  /** Compute even where the data holds NaN or infinity. Default false. */
  readonly allowNotFinite?: boolean;
  /**
   * What computes on the nodes, the preferred first: `["cuda", "cpu"]`; with "cuda" or "tensorrt" a task takes a GPU. One that is
   * not installed there is an error that says what to install. Results differ in their last digits. Default: the CPU.
   */
  readonly execution?: readonly ExecutionProvider[];
  /** Stops the job, and throws the signal's reason. Parts that are done stay. Default: no signal. */
  readonly signal?: AbortSignal;
  /** Called as parts are done. Default: nothing is. */
  readonly onProgress?: (progress: ClusterProgress) => void;
}

/** Options of `map`. */
export interface MapOptions extends JobOptions, GivenToMap {
  /**
   * What becomes of samples whose gradients are not finite: an error that names them, or they are left out of sums and
   * means. Default: nothing is done about them.
   */
  readonly notFinite?: "throw" | "leave out" | "ignore";
}

/** What a job has left in its folder. */
export interface Mapped {
  /** The folder: `part-K.parquet`, in the order of the data; `sums.safetensors`, where the program adds up; `done.json`. */
  readonly out: string;
  /** Row groups of the data. */
  readonly parts: number;
  /** Samples of the data. */
  readonly samples: number;
  /** Which operators ran on the CPU though something else was asked for (`execution`); left out where none did. */
  readonly notes?: readonly string[];
}

/** A program that was compiled or opened, or the file of a saved one. */
export type MappedProgram = RunnableProgram<Wants> | string;
