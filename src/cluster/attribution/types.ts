/** Options and results of attribution on a cluster. */
import type { GivenMethod } from "../../attribution/index.js";
import type { ObjectiveOptions } from "../../compile/objective.js";
import type { Job } from "../job.js";
import type { JobOptions, Mapped } from "../types.js";

/** Options of `attribute`. */
export interface AttributeOptions extends ObjectiveOptions, JobOptions {
  /**
   * `gradDot`, `gradCos`, `tracIn` (without Adam), `trak` (without a given projection), `loGra`, or `influence` with the
   * inverse "ekfac", "kfac" or "diagonal", of the GGN or the Fisher matrix.
   */
  readonly method: GivenMethod;
}

/** What `attribute` has left in its folder. */
export interface Attributed extends Mapped {
  /** The number of queries for which training samples are scored. */
  readonly queries: number;
  /** The damping at each checkpoint; absent if the method has none. */
  readonly dampings?: readonly number[];
}

/** Runs a job to its end. */
export type RunJob = (job: Job, options: JobOptions) => Promise<Mapped>;
