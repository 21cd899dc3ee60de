/** Samples that are not finite, told of once a data set has been read. */

import { describeNotFinite } from "./describe-not-finite.js";
import { warn } from "./environment.js";
import type { NotFinite, NotFiniteOptions, NotFiniteSample } from "./not-finite.js";

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

/** Collects the samples that are not finite while a data set is read, once or several times, to tell of them once. */
export class Gathered {
  readonly #found: NotFiniteSample[] = [];

  /** For the option `onNotFinite` of runs. */
  readonly take = ({ samples }: NotFinite): void => {
    this.#found.push(...samples);
  };

  /** Tells of the samples, if there are any, which are part of all results. */
  tell(onNotFinite: NotFiniteOptions["onNotFinite"]): void {
    const samples = mergedNotFinite(this.#found);
    if (samples.length > 0) onNotFinite?.({ samples, leftOut: false, message: describeNotFinite(samples, false) });
  }
}

/** Tells by a process warning. */
export function warnNotFinite({ message }: NotFinite): void {
  warn(message, "NOT_FINITE");
}
