/** OneHot. */

import { zeros64 } from "../../float64/array64.js";
import { inputsOf } from "../../graph/operands.js";
import { constantOf, type Node, type Value } from "../../graph/value.js";
import { present } from "../../present.js";
import { sizeOf } from "../../tensor/tensor.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import { intAttribute, knownInt, normalAxis, part, requireInput, shapeMismatch, unsupported } from "../checks.js";
import type { Cotangent } from "../cotangent.js";
import { type OpDefinition, perhaps } from "../definition.js";

function oneHotAxis(node: Call | Node): number {
  const rank = requireInput(node, 0).shape.length;
  return normalAxis(node, intAttribute(node, "axis", -1), rank + 1);
}

function depthOf(node: Call | Node): number {
  const depth = constantOf(node.inputs[1])?.data[0] ?? knownInt(node, 1);
  return Number(depth);
}

/** The cotangents of the off and on values: dy summed over the elements to which each was written. */
function differentiateOneHot(node: Node, dy: Value, build: Build): (Cotangent | null)[] {
  const [indices, depth] = inputsOf(node, 2);
  const on = build.op("OneHot", [indices, depth, build.floats([0, 1], [2], dy)], node.attributes);
  const hot = build.mul(dy, on);
  const both = build.concat(
    [build.sub(dy, hot), hot].map((part) => build.unsqueeze(part, [dy.shape.length])),
    dy.shape.length,
  );
  return [null, null, { kind: "reduction", value: both, axes: dy.shape.map((_, axis) => axis), shape: [2] }];
}

const definition: OpDefinition = {
  op: "OneHot",
  settings: { 2: perhaps("the two values of OneHot") },
  infer: (call) => {
    const [indices, values] = [requireInput(call, 0), requireInput(call, 2)];
    const depth = depthOf(call);
    if (!Number.isInteger(depth) || depth < 1)
      throw shapeMismatch(part(call, "the depth"), `is ${depth}, which is negative`);
    if (values.shape.length !== 1 || values.shape[0] !== 2)
      throw shapeMismatch(part(call, "the values"), "are not two numbers");
    return [{ dtype: values.dtype, shape: indices.shape.toSpliced(oneHotAxis(call), 0, depth) }];
  },
  evaluate: ([indices, , values], node) => {
    const places = present(indices);
    const [axis, depth] = [oneHotAxis(node), depthOf(node)];
    const [off = 0, on = 1] = present(values).data;
    const result = zeros64(places.dims.toSpliced(axis, 0, depth));
    result.data.fill(off);
    const inner = sizeOf(places.dims.slice(axis));
    places.data.forEach((index, at) => {
      const hot = Math.trunc(index < 0 ? index + depth : index);
      if (hot >= 0 && hot < depth) result.data[(Math.floor(at / inner) * depth + hot) * inner + (at % inner)] = on;
    });
    return [result];
  },
  differentiate: (node, [dy], build) => differentiateOneHot(node, present(dy), build),
  batch: (node, inputs, batched, build) => {
    if (batched[1] || batched[2] || !batched[0]) throw unsupported(node, "cannot be computed for a batch of values");
    return [build.op("OneHot", inputs, { axis: oneHotAxis(node) + 1 })];
  },
  sampleAxis: (node, axes) => {
    const at = axes[0] ?? null;
    if (axes[1] || axes[2]) throw unsupported(part(node, "the depth or values"), "differ from sample to sample");
    return [at && at.axis >= oneHotAxis(node) ? { ...at, axis: at.axis + 1 } : at];
  },
};

export const oneHot: readonly OpDefinition[] = [definition];
