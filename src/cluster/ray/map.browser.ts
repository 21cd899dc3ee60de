/** A browser shares no disk with a cluster. */
import { PergradError } from "../../errors.js";
import type { MapOptions, Mapped, MappedProgram } from "../types.js";
import type { RayAddress } from "./address.js";

export async function mapOnRay(
  { url }: RayAddress,
  _program: MappedProgram,
  _data: string,
  _options: MapOptions,
): Promise<Mapped> {
  throw new PergradError("CLUSTER_UNREACHABLE", `A browser cannot hand in jobs to ${url}; do so from Node.`);
}
