/** A browser shares no disk with a cluster. */
import type { Checkpoints } from "../../attribution/scores.js";
import { PergradError } from "../../errors.js";
import type { Dataset } from "../../program/dataset.js";
import type { Attributed, AttributeOptions } from "../attribution/types.js";
import type { RayAddress } from "./address.js";

export async function attributeOnRay(
  { url }: RayAddress,
  _model: Checkpoints,
  _data: string,
  _queries: Dataset,
  _options: AttributeOptions,
): Promise<Attributed> {
  throw new PergradError("CLUSTER_UNREACHABLE", `A browser cannot hand in jobs to ${url}; do so from Node.`);
}
