/**
 * Finds NaN that a model's own operators hide. If one of the elements is NaN, the runtime's maxima and pools return
 * neither NaN nor the largest element, and everything after them is finite and wrong. The forward pass stays the
 * model's own. If a NaN can get that far, which the ranges of values in ordinary models rule out, each sample's NaN are
 * counted beside the forward pass.
 */

import { hidesNaN } from "../analysis/hidden-nan.js";
import { Ranges } from "../analysis/ranges.js";
import { N, showShape } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import { nodesBefore } from "../graph/walk.js";
import { build } from "../ops/registry.js";
import { present } from "../present.js";
import { isFloat } from "../tensor/tensor.js";
import type { Objective } from "./objective.js";

/** The number of hidden NaN in each sample, `[N]`; undefined if finite data cannot lead to one. */
export function hiddenNotNumbers({ losses, axes }: Pick<Objective, "losses" | "axes">): Value | undefined {
  const nodes = nodesBefore([losses]).filter(hidesNaN);
  if (nodes.length === 0) return undefined;
  const ranges = Ranges.before([losses]);
  const inputs = new Set(nodes.map(({ inputs: [x] }) => present(x)));
  const open = [...inputs].filter((x) => isFloat(x.dtype) && ranges.of(x).nan && axes.of(x) !== null);
  const counts = open.map((x) => perSample(build.cast(build.op("IsNaN", [x]), losses.dtype), x, axes));
  return counts.length === 0 ? undefined : build.op("Sum", counts);
}

/** Sums each sample's elements of a value that has the sample axis of `like`. */
function perSample(value: Value, like: Value, axes: Objective["axes"]): Value {
  const at = axes.of(like);
  if (at === null) throw new RangeError(`${showShape(like.shape)} carries no samples`);
  const { axis, outer, inner } = at;
  const split = [...value.shape.slice(0, axis), outer, N, inner, ...value.shape.slice(axis + 1)];
  const others = split.flatMap((_, k) => (k === axis + 1 ? [] : [k]));
  return build.sum(build.reshape(value, split), others);
}
