/** Whether two values are the same function of their inputs: found out by computing both. */

import { PergradError } from "../../../errors.js";
import type { Array64 } from "../../../float64/array64.js";
import { bindShape } from "../../../graph/dim.js";
import type { Value } from "../../../graph/value.js";
import { leavesOf } from "../../../graph/walk.js";
import { evaluateGraph } from "../../../interpret/evaluate.js";
import { leadingOf } from "../../../present.js";
import { isFloat } from "../../../tensor/tensor.js";

/** Different functions agree at three random points only by a miracle. */
const points = 3;

/** More than rounding in float64 causes, and less than any difference that matters. */
const tolerance = 1e-9;

/** Values that cannot be computed from random numbers count as different. */
export function sameFunction(a: Value, b: Value): boolean {
  if (a === b) return true;
  const leaves = leavesOf([a, b]).filter(({ source }) => source.kind === "input" || source.kind === "parameter");
  try {
    return Array.from({ length: points }, (_, point) => point).every((point) => {
      const feeds = new Map(leaves.map((leaf, k) => [leaf, drawn(leaf, 101 * point + k)]));
      const [first, second] = leadingOf(evaluateGraph([a, b], feeds, 2), 2);
      return first.dims.join() === second.dims.join() && first.data.every((x, i) => near(x, second.data[i] as number));
    });
  } catch (error) {
    if (error instanceof PergradError) return false;
    throw error;
  }
}

function near(a: number, b: number): boolean {
  return Object.is(a, b) || Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(a), Math.abs(b));
}

/** Numbers for a batch of two. */
function drawn({ dtype, shape }: Value, seed: number): Array64 {
  const dims = bindShape(shape, 2);
  const size = dims.reduce((product, dim) => product * dim, 1);
  const wave = (i: number) => Math.sin(12.9898 * (i + 1) + 78.233 * (seed + 1));
  return {
    dims,
    data: Float64Array.from({ length: size }, (_, i) => (isFloat(dtype) ? wave(i) : Number(wave(i) > 0))),
  };
}
