/** Worker threads that share the parts of private steps. */
import { invalidArgument, kindOf } from "../arguments.js";
import { StepPool } from "./step-workers.js";
import type { TrainingWorkers } from "./types.js";

/** Options of `localWorkers`. */
export interface LocalWorkersOptions {
  /** The number of worker threads, from 1 up; each runs programs on one thread. Default 2. */
  readonly count?: number;
}

/**
 * Worker threads on this machine, for `trainPrivately(model, data, { cluster: localWorkers({ count: 4 }) })`. A step's batch is
 * computed in parts of at most 256 samples, as many at a time as there are workers. Each worker holds the program, and is given
 * the weights and the samples of its part.
 * @throws PergradError INVALID_ARGUMENT.
 */
export function localWorkers({ count = 2 }: LocalWorkersOptions = {}): TrainingWorkers {
  if (!Number.isSafeInteger(count) || count < 1)
    throw invalidArgument(`count is ${kindOf(count)}; it must be a whole number from 1 up.`);
  return {
    begin: async ({ clipper }) => new StepPool(() => clipper({ workers: true, threads: 1 }), count),
  };
}
