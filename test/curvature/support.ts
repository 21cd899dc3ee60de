/** Programs of second derivatives, run as they are and in float64. */
import { expect } from "vitest";
import { type ObjectiveOptions, objectiveOf, parameterFeeds } from "../../src/compile/objective.js";
import { planFor } from "../../src/compile/planning.js";
import { wantedResults } from "../../src/compile/results.js";
import type { Array64 } from "../../src/float64/array64.js";
import type { Model } from "../../src/graph/model.js";
import { evaluateGraph, toArray64 } from "../../src/interpret/evaluate.js";
import { simplify } from "../../src/optimise/simplify.js";
import { prepare } from "../../src/program/feeds.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import type { Wants } from "../../src/wants/want.js";

/** What wants build, evaluated op by op in float64: nothing is lowered. By `<want>/<tensor>`. */
export function inFloat64(
  model: Model,
  options: ObjectiveOptions,
  want: Wants,
  data: Readonly<Record<string, Tensor>>,
): Map<string, Array64> {
  const objective = objectiveOf(model, options);
  const { results, vectors } = wantedResults(objective, planFor(objective, want, {}), want, new Map());
  const { feeds, samples } = prepare(data, objective.expected, true);
  const given = new Map([...parameterFeeds(objective)].map(([value, tensor]) => [value, toArray64(tensor)]));
  for (const [name, { value }] of objective.expected) {
    const tensor = feeds[name];
    if (tensor) given.set(value, toArray64(tensor));
  }
  for (const { want: name, parameter, value } of vectors)
    given.set(value, toArray64(want[name]?.vectors?.[parameter] as Tensor));
  const values = results.filter(({ want: name }) => name !== "");
  // Equal nodes are merged: wants have much in common.
  const found = evaluateGraph(simplify(values.map(({ value }) => value)), given, samples);
  return new Map(values.map(({ name }, k) => [name, found[k] as Array64]));
}

/** Equal to `tolerance` of the largest expected number, or of `scale` where that is larger. */
export function expectNear(
  found: ArrayLike<number> | undefined,
  expected: ArrayLike<number>,
  tolerance: number,
  what: string,
  scale = 0,
): void {
  expect(found?.length, what).toBe(expected.length);
  let [most, worst] = [scale, 0];
  for (let k = 0; k < expected.length; k++) {
    most = Math.max(most, Math.abs(expected[k] as number));
    const difference = Math.abs((found?.[k] as number) - (expected[k] as number));
    worst = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(worst, difference);
  }
  expect(worst, what).toBeLessThanOrEqual(tolerance * most);
}

/** The tensors under a prefix, without it. */
export function below(tensors: ReadonlyMap<string, Tensor>, prefix: string): Map<string, Tensor> {
  const own = [...tensors].filter(([name]) => name.startsWith(prefix));
  return new Map(own.map(([name, tensor]) => [name.slice(prefix.length), tensor]));
}

/** In float32, as programs take vectors. */
export function asVectors(tensors: ReadonlyMap<string, Tensor>): Record<string, Tensor<"float32">> {
  return Object.fromEntries(
    [...tensors].map(([name, { dims, data }]) => [
      name,
      { dtype: "float32" as const, dims, data: Float32Array.from(data as Float64Array) },
    ]),
  );
}

/** A tensor's numbers, whatever its dtype; none where there is no tensor. */
export const numbers = (tensor: Tensor | undefined) => Array.from<number | bigint, number>(tensor?.data ?? [], Number);
