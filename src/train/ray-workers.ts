/** Workers on a Ray cluster that share the parts of private steps. */
import { checkOptions, invalidArgument, kindOf } from "../arguments.js";
import type { RayAddress } from "../cluster/ray/address.js";
import { releasedOnFailure } from "./setup.js";
import { type PartWorker, StepPool } from "./step-workers.js";
import type { TrainingWorkers } from "./types.js";

/** Options of `rayWorkers`. */
export interface RayWorkersOptions {
  /**
   * A folder on a disk that this machine and all nodes share. Weights, samples and sums pass through it, so it is as private
   * as the data. Only one training may use it at a time.
   */
  readonly folder: string;
  /** How many parts of a step are computed at a time, from 1 up. Default 8. */
  readonly count?: number;
}

/**
 * The CPUs of a Ray cluster, for `trainPrivately(model, data, { cluster: rayWorkers(ray(url), { folder }) })`. One long job
 * computes the clipped sums. The training itself stays here: it draws batches, writes the ledger, adds noise and steps.
 * @throws PergradError INVALID_ARGUMENT; when the training begins, CLUSTER_UNREACHABLE, CLUSTER_REFUSED, CLUSTER_VERSION,
 * CLUSTER_JOB, FILE_UNWRITABLE.
 */
export function rayWorkers(address: RayAddress, options: RayWorkersOptions): TrainingWorkers {
  checkOptions("rayWorkers(address, options)", options, { folder: true, count: true });
  const { folder, count = 8 } = options;
  if (!Number.isSafeInteger(count) || count < 1)
    throw invalidArgument(`count is ${kindOf(count)}; it must be a whole number from 1 up.`);
  return {
    begin: async ({ clipper }) => {
      const { poolOnRay } = await import("../cluster/ray/training.js");
      const pool = await poolOnRay(address, folder);
      const shared = await releasedOnFailure(pool, () => clipper({ workers: pool }));
      // Ray restarts what dies there, so one program serves all parts, and no part releases it.
      const worker: PartWorker = { clip: (samples, run) => shared.clip(samples, run), release: async () => {} };
      const workers = new StepPool(async () => worker, count);
      return {
        clip: (parts, run) => workers.clip(parts, run),
        release: async () => {
          await shared.release();
          await pool.release();
        },
      };
    },
  };
}
