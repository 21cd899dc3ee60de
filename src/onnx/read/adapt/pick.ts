/** Finds one part of a tensor along an axis behind the operators that joined the parts: a column of indices. */

import { type Dim, elementsOf, factorOf, isBatch, type Shape } from "../../../graph/dim.js";
import { allInputsOf, inputOf } from "../../../graph/operands.js";
import { dimsValue, type Node, nodeOf, type Value } from "../../../graph/value.js";
import { foldNode } from "../../../interpret/fold.js";
import { alike } from "../../../ops/alike.js";
import { intAttribute, normalAxis } from "../../../ops/checks.js";
import { build, definitionOf } from "../../../ops/registry.js";
import { nth } from "../../../present.js";

/** Element `k` of `value` along `axis`, which is dropped. */
export function pick(value: Value, axis: number, k: number): Value {
  if (value.shape[axis] === 1) return dropped(value, axis);
  const node = nodeOf(value);
  const found = node && node.domain === "" ? pickThrough(node, value, axis, k) : null;
  return found ?? folded(build.node("Gather", [value, build.ints([k], [])], { axis }));
}

function folded(node: Node): Value {
  return nth(foldNode(node) ?? node.outputs, 0);
}

/** Null if the search cannot go through the operator. */
function pickThrough(node: Node, value: Value, axis: number, k: number): Value | null {
  const [first] = node.inputs;
  if (!first) return null;
  switch (node.op) {
    case "Identity":
      return pick(first, axis, k);
    case "Concat":
      return pickPart(node, axis, k);
    case "Transpose":
      return pickTransposed(node, first, axis, k);
    case "Expand":
      return pickExpanded(first, value.shape, axis, k);
    case "NonZero":
      return axis === 0 && alike(first) ? placesAlong(first.shape, k, nth(value.shape, 1)) : null;
    case "Reshape":
    case "Unsqueeze":
    case "Squeeze":
      return pickReshaped(first, value.shape, axis, k);
    default:
      return definitionOf(node)?.elementwise ? pickElementwise(node, value, axis, k) : null;
  }
}

/** For parts along the picked axis, the one that holds it; for parts along another axis, all. */
function pickPart(node: Node, axis: number, k: number): Value | null {
  const parts = allInputsOf(node);
  const along = normalAxis(node, intAttribute(node, "axis", 0), parts[0]?.shape.length ?? 0);
  if (along !== axis) {
    const picked = parts.map((part) => pick(part, axis, k));
    return build.concat(picked, along < axis ? along : along - 1);
  }
  let start = 0;
  for (const part of parts) {
    const size = nth(part.shape, axis);
    if (isBatch(size)) return null;
    if (k < start + size) return size === 1 ? dropped(part, axis) : pick(part, axis, k - start);
    start += size;
  }
  return null;
}

function dropped(part: Value, axis: number): Value {
  return build.reshape(part, part.shape.toSpliced(axis, 1));
}

function pickTransposed(node: Node, first: Value, axis: number, k: number): Value | null {
  const { perm } = node.attributes;
  const order = Array.isArray(perm) ? perm.map(Number) : first.shape.map((_, at) => first.shape.length - 1 - at);
  const from = nth(order, axis);
  const left = order.toSpliced(axis, 1).map((at) => (at > from ? at - 1 : at));
  return build.transpose(pick(first, from, k), left);
}

function pickExpanded(first: Value, shape: Shape, axis: number, k: number): Value {
  const own = axis - shape.length + first.shape.length;
  const part = own < 0 ? first : first.shape[own] === 1 ? dropped(first, own) : pick(first, own, k);
  return build.expand(part, shape.toSpliced(axis, 1));
}

/** If the axis also exists before the reshape, with as many elements before it. */
function pickReshaped(first: Value, shape: Shape, axis: number, k: number): Value | null {
  const before = (from: Shape, at: number) => elementsOf(from.slice(0, at));
  const left = before(shape, axis);
  const size = nth(shape, axis);
  if (left === undefined || isBatch(size)) return null;
  const own = first.shape.findIndex((dim, at) => {
    const same = before(first.shape, at);
    return dim === size && same !== undefined && isBatch(same) === isBatch(left) && factorOf(same) === factorOf(left);
  });
  return own < 0 ? null : build.reshape(pick(first, own, k), shape.toSpliced(axis, 1));
}

function pickElementwise(node: Node, { shape }: Value, axis: number, k: number): Value {
  const inputs = node.inputs.map((input) => {
    if (!input) return null;
    const own = axis - shape.length + input.shape.length;
    if (own < 0) return input;
    // Without the axis, operands still align at the right.
    return input.shape[own] === 1 ? dropped(input, own) : pick(input, own, k);
  });
  const picked = build.node(node.op, inputs, node.attributes, 1, { domain: node.domain, name: node.name });
  return build.expand(folded(picked), shape.toSpliced(axis, 1));
}

/**
 * The places along one axis of all elements of a tensor, in row-major order: the result of NonZero if no element is 0.
 */
function placesAlong(shape: Shape, axis: number, count: Dim): Value | null {
  const size = shape[axis];
  if (size === undefined) return null;
  const numbers = build.op("Range", [build.ints([0], []), dimsValue([size], true), build.ints([1], [])]);
  const aligned = build.reshape(
    numbers,
    shape.map((dim, at) => (at === axis ? dim : 1)),
  );
  return build.reshape(build.expand(aligned, shape), [count]);
}

/**
 * The result of an operator that takes one element along an axis, found behind the operators that joined it; null for
 * any other operator.
 */
export function pickedBy(node: Node, value: Value): Value | null {
  const [first] = node.inputs;
  if (!first) return null;
  const place = placeTaken(node, value, first.shape);
  if (!place || isBatch(first.shape[place.axis])) return null;
  if (first.shape[place.axis] === 1) return build.reshape(first, value.shape);
  const behind = nodeOf(first);
  const found = behind && behind.domain === "" ? pickThrough(behind, first, place.axis, place.k) : null;
  return found && build.reshape(found, value.shape);
}

interface Taken {
  readonly axis: number;
  readonly k: number;
}

/** For Gather, Slice and Split with one element left along an axis: which one. */
function placeTaken(node: Node, value: Value, from: Shape): Taken | null {
  const counted = (axis: number, k: number | undefined): Taken | null => {
    const size = from[axis];
    if (k === undefined || size === undefined || isBatch(size)) return null;
    return { axis, k: k < 0 ? k + size : k };
  };
  if (node.op === "Gather") {
    const indices = inputOf(node, 1);
    const one = (indices.shape[0] ?? 1) === 1 && indices.shape.length <= 1;
    return one ? counted(normalAxis(node, intAttribute(node, "axis", 0), from.length), alike(indices)) : null;
  }
  const cut = value.shape.flatMap((dim, axis) => (dim === 1 && from[axis] !== 1 ? [axis] : []))[0];
  if (cut === undefined) return null;
  if (node.op === "Split") {
    const before = node.outputs.slice(0, node.outputs.indexOf(value));
    return counted(
      cut,
      before.reduce((sum, { shape }) => sum + factorOf(nth(shape, cut)), 0),
    );
  }
  if (node.op !== "Slice") return null;
  const [, starts, , axes] = node.inputs;
  const listed =
    axes?.known?.map((axis) => (factorOf(axis) + from.length) % from.length) ?? starts?.known?.map((_, at) => at);
  const others = value.shape.every((dim, axis) => axis === cut || factorOf(dim) === factorOf(nth(from, axis)));
  const start = starts?.known?.[listed?.indexOf(cut) ?? -1];
  return others && start !== undefined && !isBatch(start) ? counted(cut, start) : null;
}
