/** Workers on a Ray cluster that share the parts of private steps. */
import { checkOptions, invalidArgument } from "../arguments.js";
import type { RayAddress } from "../cluster/ray/address.js";
import { StepPool } from "./step-workers.js";
import type { TrainingWorkers } from "./types.js";

/** Options of `rayWorkers`. */
export interface RayWorkersOptions {
  /**
   * A folder on a disk that this machine and all nodes share, through which weights, samples and sums go. It is as private
   * as the data. One training uses it at a time.
   */
  readonly folder: string;
  /** Parts of a step that are computed at a time, from 1 up. Default 8. */
  readonly count?: number;
}

/**
 * The CPUs of a Ray cluster, for `trainPrivately(model, data, { cluster: rayWorkers(ray(url), { folder }) })`: one long job
 * answers what the steps ask for. The training itself stays here: it draws batches, writes the ledger, adds noise and steps.
 * @throws PergradError INVALID_ARGUMENT; as the training begins CLUSTER_UNREACHABLE, CLUSTER_REFUSED, CLUSTER_VERSION,
 * CLUSTER_JOB, FILE_UNWRITABLE.
 */
export function rayWorkers(address: RayAddress, options: RayWorkersOptions): TrainingWorkers {
  checkOptions("rayWorkers(address, options)", options, { folder: true, count: true });
  const { folder, count = 8 } = options;
  if (!Number.isSafeInteger(count) || count < 1)
    throw invalidArgument(`The number of parts at a time is a whole number from 1 up, not ${count}.`);
  return {
    begin: async ({ clipper }) => {
      const { poolOnRay } = await import("../cluster/ray/training.js");
      const pool = await poolOnRay(address, folder);
      const shared = await clipper({ workers: pool }).catch(async (error: unknown) => {
        await pool.release();
        throw error;
      });
      // Ray begins again what dies there: the same program serves all parts.
      const workers = new StepPool(async () => ({ clip: shared.clip.bind(shared), release: async () => {} }), count);
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
