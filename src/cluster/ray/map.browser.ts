/** See `notFromBrowser`. */
import type { MapOptions, Mapped, MappedProgram } from "../types.js";
import { notFromBrowser, type RayAddress } from "./address.js";

export async function mapOnRay(
  address: RayAddress,
  _program: MappedProgram,
  _data: string,
  _options: MapOptions,
): Promise<Mapped> {
  throw notFromBrowser(address);
}
