/** GatherND and ScatterND: composites, on data whose indexed axes are flattened into one. */

import { stridesOf } from "../../float64/array64.js";
import { type Dim, elementsOf, factorOf, isBatch, type Shape, sameDim, sameShape, showShape } from "../../graph/dim.js";
import { inputOf, inputsOf } from "../../graph/operands.js";
import type { Node, Value } from "../../graph/value.js";
import { nth } from "../../present.js";
import type { Build } from "../build.js";
import type { Call } from "../call.js";
import { intAttribute, interaction, part, requireInput, shapeMismatch, stringAttribute } from "../checks.js";
import type { OpDefinition } from "../definition.js";
import { moved } from "../range.js";

/** Data `[...batch, ...indexed, ...rest]`, indices `[...batch, ...points, K]`. */
interface IndexedShapes {
  readonly batch: Shape;
  readonly indexed: Shape;
  readonly rest: Shape;
  readonly points: Shape;
}

function partsOf(node: Call | Node): IndexedShapes {
  const [data, indices] = [requireInput(node, 0).shape, requireInput(node, 1).shape];
  const axes = intAttribute(node, "batch_dims", 0);
  const depth = indices[indices.length - 1];
  if (
    depth === undefined ||
    isBatch(depth) ||
    depth < 1 ||
    axes < 0 ||
    axes + depth > data.length ||
    axes >= indices.length
  ) {
    throw shapeMismatch(node, `has indices ${showShape(indices)}, which do not fit its data ${showShape(data)}`);
  }
  const batch = data.slice(0, axes);
  if (!batch.every((dim, axis) => sameDim(dim, nth(indices, axis)))) {
    throw shapeMismatch(
      node,
      `has data ${showShape(data)} and indices ${showShape(indices)}, which differ in the first ${axes} axes`,
    );
  }
  const indexed = data.slice(axes, axes + depth);
  return { batch, indexed, rest: data.slice(axes + depth), points: indices.slice(axes, -1) };
}

function product(node: Node, dims: Shape): Dim {
  const size = elementsOf(dims);
  if (size === undefined) throw interaction(node, "pairs the samples with each other");
  return size;
}

/** Indices into the flattened axes: `[...batch, ...points]`. */
function flatIndices(node: Node, parts: IndexedShapes, build: Build): Value {
  const indices = build.cast(inputOf(node, 1), "int64");
  if (parts.indexed.some(isBatch)) {
    const [does, data] = node.op === "GatherND" ? ["reads", "from"] : ["writes", "into"];
    throw interaction(
      node,
      `${does} by an index ${data} the axis of the samples, and pergrad could not show that each sample's index is its own number`,
      "count the samples by a Range from 0 up to the batch size, or say which axis holds the samples",
    );
  }
  const sizes = parts.indexed.map(factorOf);
  const counted = build.where(build.less(indices, build.ints([0], [])), build.add(indices, build.ints(sizes)), indices);
  return build.sum(build.mul(counted, build.ints(stridesOf(sizes))), [indices.shape.length - 1]);
}

export const gatherND: OpDefinition = {
  op: "GatherND",
  indexes: "points",
  range: moved,
  infer: (call) => {
    const { batch, points, rest } = partsOf(call);
    return [{ dtype: requireInput(call, 0).dtype, shape: [...batch, ...points, ...rest] }];
  },
  decompose: (node, build) => {
    const parts = partsOf(node);
    const { batch, indexed, rest, points } = parts;
    const flat = build.reshape(inputOf(node, 0), [...batch, product(node, indexed), ...rest]);
    const index = flatIndices(node, parts, build);
    if (batch.length === 0) return [build.gather(flat, index, 0)];
    const shape = [...batch, product(node, points), ...rest];
    const places = build.expand(
      build.reshape(index, [...shape.slice(0, batch.length + 1), ...rest.map(() => 1)]),
      shape,
    );
    const picked = build.op("GatherElements", [flat, places], { axis: batch.length });
    return [build.reshape(picked, [...batch, ...points, ...rest])];
  },
};

const reductionOf = (node: Node) => stringAttribute(node, "reduction", "none");

export const scatterND: OpDefinition = {
  op: "ScatterND",
  sameSamples: [2],
  indexes: "points",
  infer: (call) => {
    const { points, rest } = partsOf(call);
    const [data, updates] = [requireInput(call, 0), requireInput(call, 2)];
    if (!sameShape(updates.shape, [...points, ...rest])) {
      throw shapeMismatch(
        part(call, `the updates ${showShape(updates.shape)}`),
        `are not ${showShape([...points, ...rest])}`,
      );
    }
    return [{ dtype: data.dtype, shape: data.shape }];
  },
  decompose: (node, build) => {
    const parts = partsOf(node);
    const [data, , updates] = inputsOf(node, 3);
    const count = product(node, parts.points);
    const flat = build.reshape(data, [product(node, parts.indexed), ...parts.rest]);
    const places = build.reshape(flatIndices(node, parts, build), [count, ...parts.rest.map(() => 1)]);
    const shape = [count, ...parts.rest];
    const attributes = { axis: 0, reduction: reductionOf(node) };
    const result = build.op(
      "ScatterElements",
      [flat, build.expand(places, shape), build.reshape(updates, shape)],
      attributes,
    );
    return [build.reshape(result, data.shape)];
  },
};
