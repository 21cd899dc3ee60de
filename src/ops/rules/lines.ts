/** CumSum, and the helpers shared by ops that work along the lines of one axis. */

import { type Array64, stridesOf, zeros64 } from "../../float64/array64.js";
import { inputOf } from "../../graph/operands.js";
import type { Node } from "../../graph/value.js";
import { nth, present } from "../../present.js";
import { sizeOf } from "../../tensor/tensor.js";
import type { Call } from "../call.js";
import { apartFrom, intAttribute, knownInt, normalAxis, part, requireInput, shapeMismatch } from "../checks.js";
import type { OpDefinition } from "../definition.js";

/** The axis of an op that works along one axis of its first input. */
export function lineAxis(node: Call | Node, axis: number): number {
  const rank = requireInput(node, 0).shape.length;
  if (rank === 0) throw shapeMismatch(part(node, "the input"), "is a scalar, which has no axis");
  return normalAxis(node, axis, rank);
}

/** Calls `visit(start, stride, count)` for each line of elements along an axis. */
export function alongAxis(
  dims: readonly number[],
  axis: number,
  visit: (start: number, stride: number, count: number) => void,
): void {
  const count = nth(dims, axis);
  const stride = nth(stridesOf(dims), axis);
  const size = sizeOf(dims);
  for (let start = 0; start < size; start++) {
    if (Math.floor(start / stride) % count === 0) visit(start, stride, count);
  }
}

function cumulativeAxis(node: Call | Node): number {
  const axis = knownInt(node, 1);
  if (axis === undefined) throw shapeMismatch(part(node, "the axis"), "is missing");
  return lineAxis(node, axis);
}

function cumulate64(x: Array64, axis: number, exclusive: boolean, reverse: boolean): Array64 {
  const result = zeros64(x.dims);
  alongAxis(x.dims, axis, (start, stride, count) => {
    let sum = 0;
    for (let k = 0; k < count; k++) {
      const at = start + stride * (reverse ? count - 1 - k : k);
      const next = sum + (x.data[at] as number);
      result.data[at] = exclusive ? sum : next;
      sum = next;
    }
  });
  return result;
}

export const cumSum: OpDefinition = {
  op: "CumSum",
  infer: (call) => {
    const { dtype, shape } = requireInput(call, 0);
    cumulativeAxis(call);
    return [{ dtype, shape }];
  },
  evaluate: ([x], node) => {
    const flag = (name: string) => intAttribute(node, name, 0) !== 0;
    return [cumulate64(present(x), cumulativeAxis(node), flag("exclusive"), flag("reverse"))];
  },
  differentiate: (node, [dy], build) => {
    const reverse = intAttribute(node, "reverse", 0) === 0 ? 1 : 0;
    return [build.op("CumSum", [present(dy), inputOf(node, 1)], { ...node.attributes, reverse }), null];
  },
  batch: (node, [x], _batched, build) => {
    return [build.op("CumSum", [present(x), build.ints([cumulativeAxis(node) + 1], [])], node.attributes)];
  },
  sampleAxis: (node, [at]) => [apartFrom(node, at ?? null, [cumulativeAxis(node)], "sums along the sample axis")],
};
