/** TopK. */

import type { Array64 } from "../../float64/array64.js";
import { zeros64 } from "../../float64/array64.js";
import { type Dim, isBatch, sameDim, showDim } from "../../graph/dim.js";
import { inputOf, outputOf } from "../../graph/operands.js";
import type { Node } from "../../graph/value.js";
import { nth, present } from "../../present.js";
import type { Call } from "../call.js";
import { intAttribute, interaction, knownDims, requireInput, shapeMismatch, unsupported } from "../checks.js";
import type { OpDefinition } from "../definition.js";
import { alongAxis } from "./lines.js";
import { sortsSamples, topAxis } from "./sorted-samples.js";

/** How many elements are kept: a number, or all of them along the sample axis. */
function keptCount(call: Call | Node): Dim {
  const [count, ...rest] = knownDims(call, 1) ?? [];
  const size = requireInput(call, 0).shape[topAxis(call)] ?? 0;
  if (isBatch(size)) {
    if (count !== undefined && rest.length === 0 && sameDim(count, size)) return count;
    throw interaction(call, "picks some of the samples by their rank");
  }
  if (isBatch(count))
    throw unsupported(call, "keeps a number of elements of each sample that depends on the batch size");
  if (count === undefined || rest.length > 0 || count < 0 || count > size)
    throw shapeMismatch(call, `cannot keep ${count ?? "an unknown number"} of ${showDim(size)} elements`);
  return count;
}

function topCount(call: Call | Node): number {
  const count = keptCount(call);
  if (isBatch(count)) throw sortsSamples(call);
  return count;
}

/** Among equal elements, the one with the lowest index comes first. */
function evaluateTopK([x]: readonly (Array64 | null)[], node: Node): Array64[] {
  const { dims, data } = present(x);
  const axis = topAxis(node);
  const stated = keptCount(node);
  const count = isBatch(stated) ? nth(dims, axis) : stated;
  const sign = intAttribute(node, "largest", 1) !== 0 ? 1 : -1;
  const kept = dims.map((dim, at) => (at === axis ? count : dim));
  const [values, indices] = [zeros64(kept), zeros64(kept)];
  const starts: number[] = [];
  alongAxis(kept, axis, (start) => starts.push(start));
  let line = 0;
  alongAxis(dims, axis, (from, stride, size) => {
    const at = (k: number) => data[from + k * stride] as number;
    const order = Array.from({ length: size }, (_, k) => k).sort((a, b) => sign * (at(b) - at(a)) || a - b);
    const to = starts[line++] ?? 0;
    order.slice(0, count).forEach((k, place) => {
      values.data[to + place * stride] = at(k);
      indices.data[to + place * stride] = k;
    });
  });
  return [values, indices];
}

const topK: OpDefinition = {
  op: "TopK",
  stepSlope: true,
  hidesNaN: true,
  shapeInputs: [1],
  infer: (call) => {
    const { dtype, shape } = requireInput(call, 0);
    const [axis, count] = [topAxis(call), keptCount(call)];
    const kept = shape.map((dim, at) => (at === axis ? count : dim));
    return [
      { dtype, shape: kept },
      { dtype: "int64", shape: kept },
    ];
  },
  evaluate: evaluateTopK,
  differentiate: (node, [dy], build) => {
    if (!dy) return [null, null];
    const x = inputOf(node, 0);
    const attributes = { axis: topAxis(node), reduction: "add" };
    const indices = outputOf(node, 1);
    return [build.op("ScatterElements", [build.zeros(x.shape, dy.dtype), indices, dy], attributes), null];
  },
  batch: (node, [x], _batched, build) => {
    const attributes = { ...node.attributes, axis: topAxis(node) + 1 };
    return [...build.node("TopK", [present(x), build.ints([topCount(node)])], attributes, 2).outputs];
  },
  sampleAxis: (node, [at]) => {
    if (at?.axis === topAxis(node)) throw sortsSamples(node);
    return [at ?? null, at ?? null];
  },
};

export const ordering: readonly OpDefinition[] = [topK];
