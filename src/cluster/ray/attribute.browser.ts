/** See `notFromBrowser`. */
import type { Checkpoints } from "../../attribution/scores.js";
import type { Dataset } from "../../program/given-data.js";
import type { Attributed, AttributeOptions } from "../attribution/types.js";
import { notFromBrowser, type RayAddress } from "./address.js";

export async function attributeOnRay(
  address: RayAddress,
  _model: Checkpoints,
  _data: string,
  _queries: Dataset,
  _options: AttributeOptions,
): Promise<Attributed> {
  throw notFromBrowser(address);
}
