/** Takes samples out of a batch. */

import type { Expected } from "../graph/model.js";
import { pickSamples, takeSamples } from "../tensor/take-samples.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Prepared } from "./feeds.js";

/** Samples `from` (included) to `to` (not included). */
export function samplesBetween(
  { feeds }: Pick<Prepared, "feeds">,
  expected: ReadonlyMap<string, Expected>,
  from: number,
  to: number,
): Prepared {
  const taken = Object.entries(feeds).map(([name, tensor]) => {
    const axis = expected.get(name)?.sampleAxis ?? null;
    return [name, axis === null ? tensor : takeSamples(tensor, axis, from, to)] as const;
  });
  return { feeds: Object.fromEntries(taken), samples: to - from };
}

/** The samples with these numbers, in this order. */
export function samplesAt(
  feeds: Readonly<Record<string, Tensor>>,
  expected: ReadonlyMap<string, Expected>,
  places: ArrayLike<number>,
): Record<string, Tensor> {
  const picked = Object.entries(feeds).map(([name, tensor]) => {
    const axis = expected.get(name)?.sampleAxis ?? null;
    return [name, axis === null ? tensor : pickSamples(tensor, axis, places)] as const;
  });
  return Object.fromEntries(picked);
}
