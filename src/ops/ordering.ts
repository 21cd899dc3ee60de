/** TopK. */
import { isBatch, showDim } from "../graph/dim.js";
import type { Node, Value } from "../graph/value.js";
import { zeros64 } from "./array64.js";
import { apartFrom, intAttribute, interaction, knownInts, requireInput, shapeMismatch } from "./checks.js";
import type { Array64, Call, OpDefinition } from "./definition.js";
import { alongAxis, lineAxis } from "./reductions.js";

const topAxis = (node: Call | Node) => lineAxis(node, intAttribute(node, "axis", -1));

/** How many elements are kept. */
function topCount(call: Call | Node): number {
  const [count, ...rest] = knownInts(call, 1) ?? [];
  const size = requireInput(call, 0).shape[topAxis(call)] ?? 0;
  if (isBatch(size)) throw interaction(call, "ranks along the sample axis");
  if (count === undefined || rest.length > 0 || count < 0 || count > size)
    throw shapeMismatch(call, `cannot keep ${count ?? "an unknown number"} of ${showDim(size)} elements`);
  return count;
}

/** Of equal elements the first comes first. */
function evaluateTopK([x]: readonly (Array64 | null)[], node: Node): Array64[] {
  const { dims, data } = x as Array64;
  const [axis, count] = [topAxis(node), topCount(node)];
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
  infer: (call) => {
    const { dtype, shape } = requireInput(call, 0);
    const [axis, count] = [topAxis(call), topCount(call)];
    const kept = shape.map((dim, at) => (at === axis ? count : dim));
    return [
      { dtype, shape: kept },
      { dtype: "int64", shape: kept },
    ];
  },
  evaluate: evaluateTopK,
  differentiate: (node, [dy], build) => {
    if (!dy) return [null, null];
    const x = node.inputs[0] as Value;
    const attributes = { axis: topAxis(node), reduction: "add" };
    const indices = node.outputs[1] as Value;
    return [build.op("ScatterElements", [build.zeros(x.shape, dy.dtype), indices, dy], attributes), null];
  },
  batch: (node, [x], _batched, build) => {
    const attributes = { ...node.attributes, axis: topAxis(node) + 1 };
    return [...build.node("TopK", [x as Value, build.ints([topCount(node)])], attributes, 2).outputs];
  },
  sampleAxis: (node, [at]) => {
    const apart = apartFrom(node, at ?? null, [topAxis(node)], "ranks along the sample axis");
    return [apart, apart];
  },
};

export const ordering: readonly OpDefinition[] = [topK];
