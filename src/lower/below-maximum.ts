/** Exponentials that do not overflow. */

import type { Value } from "../graph/value.js";
import { build } from "../ops/registry.js";

/**
 * A tensor minus its largest element along some axes, and that element; rows that are all minus infinity stay as they
 * are.
 */
export function belowMaximum(x: Value, axes: readonly number[]): [shifted: Value, shift: Value] {
  const most = build.reduce("ReduceMax", x, axes, true);
  const finite = build.where(build.op("IsInf", [most]), build.scalar(0, most), most);
  return [build.sub(x, finite), finite];
}
