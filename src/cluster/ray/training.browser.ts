/** A browser shares no disk with a cluster. */
import { PergradError } from "../../errors.js";
import type { WorkerPool } from "../../target/target.js";
import type { RayAddress } from "./address.js";

export async function poolOnRay({ url }: RayAddress, _folder: string): Promise<WorkerPool> {
  throw new PergradError("CLUSTER_UNREACHABLE", `A browser cannot hand in jobs to ${url}; do so from Node.`);
}
