/** Finds where the outputs of a Scan carry the samples. */

import type { SampleAxis } from "../../graph/sample-axis.js";
import type { Node } from "../../graph/value.js";
import type { BodyAxes } from "../body-rules.js";
import { interaction, sameSampleAxis } from "../checks.js";
import { scanParts } from "./scan-parts.js";

/** Where the outputs of a Scan carry the samples: on the same axis as in each step, shifted by the axis of time. */
export function scanAxes(
  node: Node,
  axes: readonly (SampleAxis | null)[],
  axesInBody: BodyAxes,
): (SampleAxis | null)[] {
  const { body, states, scans } = scanParts(node);
  const current = body.inputs.map((_, k) => {
    const at = axes[k] ?? null;
    if (k < states || k >= states + scans || !at) return at;
    if (at.axis === 0) throw interaction(node, "steps from sample to sample");
    return { ...at, axis: at.axis - 1 };
  });
  // A state may be equal for all samples at first and differ after a step.
  for (let round = 0; round <= states; round++) {
    const given = new Map(body.inputs.flatMap((input, k) => (current[k] ? [[input, current[k]] as const] : [])));
    const found = axesInBody(body.outputs, given);
    const moved = found.slice(0, states).some((at, k) => {
      const before = current[k] ?? null;
      if (at === before || (at && before && sameSampleAxis(at, before) && (at.uniform || !before.uniform)))
        return false;
      if (at && before && !sameSampleAxis(at, before))
        throw interaction(node, "moves the samples of a state from step to step");
      if (!at) return false;
      current[k] = at;
      return true;
    });
    if (moved) continue;
    const stacked = [...found.slice(states), ...current.slice(0, states)];
    return [...current.slice(0, states), ...stacked.map((at) => (at ? { ...at, axis: at.axis + 1 } : null))];
  }
  throw interaction(node, "moves the samples of its states from step to step");
}
