/** Batches of the data, small enough for their results and intermediate tensors to fit into memory. */

import { elementsOf, factorOf, isBatch } from "../graph/dim.js";
import { nodesBefore } from "../graph/walk.js";
import type { Explanation } from "../program/explanation.js";
import type { Objective } from "../program/objective.js";
import { takeSamples } from "../samples.js";
import type { Tensor } from "../tensor.js";
import type { DataTask } from "./task.js";

const largestBatch = 256;
const resultBytes = 64 * 2 ** 20;
const liveBytes = 2 ** 30;

/** Samples of one batch, where the user does not say. `results` counts floats of results per sample. */
export function batchSizeFor(objective: Objective, explanation: Explanation, results: number): number {
  const perSample = nodesBefore([objective.losses])
    .flatMap((node) => node.outputs)
    .filter(({ shape }) => shape.some(isBatch))
    .reduce((sum, { shape }) => sum + factorOf(elementsOf(shape) ?? 0), 0);
  const multiplied = explanation.rows.filter(({ dense }) => dense).reduce((sum, { elements }) => sum + elements, 0);
  // Each intermediate tensor has a cotangent.
  const live = 4 * (2 * perSample + multiplied);
  const fitting = [largestBatch, resultBytes / Math.max(1, 4 * results), liveBytes / Math.max(1, live)];
  return Math.max(1, Math.floor(Math.min(...fitting)));
}

/** Samples `from` to `to` of what is fed. */
export function feedsBetween({ objective, feeds }: DataTask, from: number, to: number): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(feeds).map(([name, tensor]) => {
      const axis = objective.expected.get(name)?.sampleAxis ?? null;
      return [name, axis === null ? tensor : takeSamples(tensor, axis, from, to)];
    }),
  );
}

/** Starts and ends of batches; one empty batch where there are no samples. */
export function* batches(samples: number, size: number): Generator<readonly [number, number]> {
  for (let from = 0; from < Math.max(samples, 1); from += size) yield [from, Math.min(from + size, samples)];
}
