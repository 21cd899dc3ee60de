/** Attribution whose passes over the training data are jobs on a Ray cluster. */
import { asMethod, type Checkpoints } from "../../attribution/scores.js";
import type { Dataset } from "../../program/given-data.js";
import { attributedBy } from "../attribution/attribute.js";
import { requireComputable } from "../attribution/methods.js";
import type { Attributed, AttributeOptions } from "../attribution/types.js";
import type { RayAddress } from "./address.js";
import { RayJobs } from "./jobs.js";
import { runJob } from "./map.js";

/** Throws what `mapOnRay` and `attributedBy` throw. */
export async function attributeOnRay(
  address: RayAddress,
  model: Checkpoints,
  data: string,
  queries: Dataset,
  options: AttributeOptions,
): Promise<Attributed> {
  options.signal?.throwIfAborted();
  requireComputable(asMethod(options.method));
  const jobs = new RayJobs(address);
  await jobs.version();
  return attributedBy((job, own) => runJob(jobs, job, own), model, data, queries, options);
}
