/** See `notFromBrowser`. */
import type { WorkerPool } from "../../target/target.js";
import { notFromBrowser, type RayAddress } from "./address.js";

export async function poolOnRay(address: RayAddress, _folder: string): Promise<WorkerPool> {
  throw notFromBrowser(address);
}
