/**
 * NaN inside a model that its own operators hide: of elements of which one is NaN the runtime's maxima and pools give
 * neither NaN nor the largest, and everything behind them is finite and wrong. The forward pass stays the model's own;
 * where a NaN may come so far, which ordinary models' ranges rule out, its samples are counted beside it.
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

/** How many NaN each sample has that are hidden, `[N]`; undefined where finite data cannot lead to one. */
export function hiddenNotNumbers({ losses, axes }: Pick<Objective, "losses" | "axes">): Value | undefined {
  const nodes = nodesBefore([losses]).filter(hidesNaN);
  if (nodes.length === 0) return undefined;
  const ranges = Ranges.before([losses]);
  const inputs = new Set(nodes.map(({ inputs: [x] }) => present(x)));
  const open = [...inputs].filter((x) => isFloat(x.dtype) && ranges.of(x).nan && axes.of(x) !== null);
  const counts = open.map((x) => perSample(build.cast(build.op("IsNaN", [x]), losses.dtype), x, axes));
  return counts.length === 0 ? undefined : build.op("Sum", counts);
}

/** The sum of each sample's own elements of what has the sample axis of `like`. */
function perSample(value: Value, like: Value, axes: Objective["axes"]): Value {
  const at = axes.of(like);
  if (at === null) throw new RangeError(`${showShape(like.shape)} carries no samples`);
  const { axis, outer, inner } = at;
  const split = [...value.shape.slice(0, axis), outer, N, inner, ...value.shape.slice(axis + 1)];
  const others = split.flatMap((_, k) => (k === axis + 1 ? [] : [k]));
  return build.sum(build.reshape(value, split), others);
}
