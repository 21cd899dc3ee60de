/** Private training whose steps' parts are computed on a Ray cluster. */
import { resolve } from "node:path";
import { FolderRuntime } from "../../target/onnxruntime/folder-runtime.js";
import type { WorkerPool } from "../../target/target.js";
import type { RayAddress } from "./address.js";
import { answersOnRay } from "./answers.js";

/** Programs that are loaded into it run on the cluster, fed with all that they take. */
export async function poolOnRay(address: RayAddress, folder: string): Promise<WorkerPool> {
  const own = resolve(folder);
  return new FolderRuntime(own, await answersOnRay(address, own));
}
