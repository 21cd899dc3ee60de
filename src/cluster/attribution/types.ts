/** What is asked of a cluster about training samples, and what it leaves. */

import type { GivenMethod } from "../../attribution/index.js";
import type { ObjectiveOptions } from "../../compile/objective.js";
import type { Job } from "../job.js";
import type { JobOptions, Mapped } from "../types.js";

/** Options of `attribute`. */
export interface AttributeOptions extends ObjectiveOptions, JobOptions {
  /**
   * How: `gradDot`, `gradCos`, `tracIn` (without Adam), `trak` (without a given projection), `loGra`, or `influence` with the
   * inverse "ekfac", "kfac" or "diagonal" of the ggn or the fisher.
   */
  readonly method: GivenMethod;
}

/** What `attribute` has left in its folder. */
export interface Attributed extends Mapped {
  /** Queries that the training samples are scored for. */
  readonly queries: number;
  /** The damping at each checkpoint, where the method has one. */
  readonly dampings?: readonly number[];
}

/** Runs a job to its end. */
export type RunJob = (job: Job, options: JobOptions) => Promise<Mapped>;
