import type { Value } from "../graph/value.js";
import type { Build } from "./build.js";

/**
 * A scalar that the float64 reference sees in full precision although the graph computes in float32: the
 * sum of two float32 constants. In float32 the second is lost to rounding, and the sum is folded away.
 */
export function precise(build: Build, value: number, like: Value): Value {
  const high = Math.fround(value);
  const low = value - high;
  if (like.dtype === "float64" || low === 0 || !Number.isFinite(low)) return build.scalar(value, like);
  return build.add(build.scalar(high, like), build.scalar(low, like));
}
