/** Samples that are not finite, told of once a data set has been read. */

import { describeNotFinite } from "./describe-not-finite.js";
import { warn } from "./environment.js";
import type { NotFinite, NotFiniteSample } from "./not-finite.js";

/** Each sample once, with all that was found of it, in order. */
export function mergedNotFinite(found: readonly NotFiniteSample[]): NotFiniteSample[] {
  const merged = new Map<NotFiniteSample["sample"], NotFiniteSample>();
  for (const each of found) {
    const { loss = false, parameters = [], ...before } = merged.get(each.sample) ?? {};
    const all = [...new Set([...parameters, ...each.parameters])];
    merged.set(each.sample, { ...before, ...each, loss: loss || each.loss, parameters: all });
  }
  return [...merged.values()];
}

/** What is told of samples that are part of all results. */
export function foundNotFinite(samples: readonly NotFiniteSample[]): NotFinite {
  return { samples, leftOut: false, message: describeNotFinite(samples, false) };
}

/** Tells by a process warning. */
export function warnNotFinite({ message }: NotFinite): void {
  warn(message, "NOT_FINITE");
}
