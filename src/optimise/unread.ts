/**
 * Removes what windows leave unread: a window that moves in steps may not reach the end of its input, so neither that
 * end nor what it is computed from is needed. It also moves activations behind a maximum, where they apply to fewer
 * elements.
 */

import { fixedSize, isBatch } from "../graph/dim.js";
import { inputOf, outputOf } from "../graph/operands.js";
import { currentInputs } from "../graph/remade.js";
import { type Attributes, makeNode, type Node, nodeOf, type Value } from "../graph/value.js";
import { nodesBefore, presentInputs, readersOf } from "../graph/walk.js";
import { extentOf, positionsOf, type Window } from "../graph/window.js";
import { build, definitionOf } from "../ops/registry.js";
import { windowAttributes } from "../ops/subgraphs/window.js";
import { nth } from "../present.js";

/**
 * The same outputs, for a model that is not differentiated yet. Outputs that cannot be reduced are returned as they
 * are.
 */
export function withoutUnread(outputs: readonly Value[]): Value[] {
  return cropped(maximaFirst(outputs));
}

/** Moves activations that never decrease behind a maximum that is their only reader. */
function maximaFirst(outputs: readonly Value[]): Value[] {
  const nodes = nodesBefore(outputs);
  const readers = readersOf(nodes, outputs);
  return rebuilt(nodes, outputs, (node, inputs) => {
    const [x] = inputs;
    const before = x ? nodeOf(x) : undefined;
    if (!before || !definitionOf(node)?.largest || node.outputs.length > 1) return null;
    const alone = readers.get(inputOf(node, 0)) === 1;
    if (!alone || !definitionOf(before)?.increasing) return null;
    const largest = outputOf(again(node, [inputOf(before, 0)], node.attributes), 0);
    return outputOf(again(before, [largest], before.attributes), 0);
  });
}

function again(node: Node, inputs: readonly (Value | null)[], attributes: Attributes): Node {
  const made = build.node(node.op, inputs, attributes, node.outputs.length, { domain: node.domain });
  const names = node.outputs.map(({ name }) => name);
  return makeNode({ ...node, inputs, attributes }, made.outputs, names);
}

/** The outputs, with another value in place of a node's only output wherever `replace` returns one. */
function rebuilt(
  nodes: readonly Node[],
  outputs: readonly Value[],
  replace: (node: Node, inputs: readonly (Value | null)[]) => Value | null,
): Value[] {
  const current = new Map<Value, Value>();
  for (const node of nodes) {
    const inputs = currentInputs(node, current);
    const other = replace(node, inputs);
    if (other) current.set(outputOf(node, 0), other);
    else if (inputs.some((input, k) => input !== node.inputs[k])) {
      const made = again(node, inputs, node.attributes);
      node.outputs.forEach((output, k) => {
        current.set(output, outputOf(made, k));
      });
    }
  }
  return outputs.map((output) => current.get(output) ?? output);
}

/** Sizes of the spatial axes, 2 and up. */
type Sizes = readonly number[];

function spatialSizes({ shape }: Value): Sizes | null {
  if (shape.length < 3 || shape.slice(2).some(isBatch)) return null;
  return shape.slice(2).map((_, k) => fixedSize(shape, k + 2));
}

/** The window of a node that can be computed at fewer positions, from a part of its input; null for any other node. */
function windowOf(node: Node): Window | null {
  return node.outputs.length === 1 ? (definitionOf(node)?.slides?.(node) ?? null) : null;
}

function isUnary(node: Node): boolean {
  const { elementwise, random } = definitionOf(node) ?? {};
  return elementwise === true && !random && node.inputs.length === 1;
}

/** The number of elements along each axis that the first `positions` positions read. */
function reachOf(window: Window, positions: Sizes): number[] {
  return positions.map(
    (count, axis) => (count - 1) * nth(window.strides, axis) + extentOf(window, axis) - nth(window.before, axis),
  );
}

/** How much of each value is read, from the start of each axis; values that are not listed are read whole. */
function readSizes(nodes: readonly Node[], outputs: readonly Value[]): Map<Value, Sizes> {
  const read = new Map<Value, Sizes>();
  const require = (value: Value, sizes: Sizes) => {
    const before = read.get(value);
    read.set(value, before ? before.map((size, axis) => Math.max(size, nth(sizes, axis))) : sizes);
  };
  const requireAll = (value: Value) => {
    const sizes = spatialSizes(value);
    if (sizes) require(value, sizes);
  };
  outputs.forEach(requireAll);
  for (const node of [...nodes].reverse()) {
    const wanted = read.get(outputOf(node, 0));
    const [data, ...others] = presentInputs(node);
    const own = data && wanted ? readBy(node, data, wanted) : null;
    if (data && own) require(data, own);
    else if (data) requireAll(data);
    others.forEach(requireAll);
  }
  return read;
}

/** How much of its data a node reads if `wanted` is needed of its output; null for all. */
function readBy(node: Node, data: Value, wanted: Sizes): Sizes | null {
  if (isUnary(node)) return wanted;
  const [window, sizes] = [windowOf(node), spatialSizes(data)];
  if (!window || !sizes) return null;
  const reach = reachOf(window, wanted);
  return sizes.map((size, axis) => Math.max(1, Math.min(size, nth(reach, axis))));
}

/** Windows stop at the last position that something reads. */
function cropped(outputs: readonly Value[]): Value[] {
  const nodes = nodesBefore(outputs);
  const read = readSizes(nodes, outputs);
  return rebuilt(nodes, outputs, (node, inputs) => {
    const [window, wanted, data] = [windowOf(node), read.get(outputOf(node, 0)), inputs[0]];
    if (!window || !wanted || !data) return null;
    const sizes = spatialSizes(data);
    const isSame = data === node.inputs[0] && spatialSizes(outputOf(node, 0))?.every((size, k) => size === wanted[k]);
    return sizes && !isSame ? stopped(node, inputs, { window, wanted, sizes }) : null;
  });
}

/** The node at the first `positions` positions only: with less padding at the end, or on a part of its data. */
function stopped(
  node: Node,
  inputs: readonly (Value | null)[],
  { window, wanted, sizes }: { readonly window: Window; readonly wanted: Sizes; readonly sizes: Sizes },
): Value {
  const reach = reachOf(window, wanted);
  const shorter = { ...window, after: reach.map((end, axis) => Math.max(0, end - nth(sizes, axis))) };
  const positions = positionsOf(sizes, shorter);
  const [data, ...others] = inputs;
  const part = reach.reduce<Value>((value, end, axis) => {
    const tooMany = nth(positions, axis) > nth(wanted, axis);
    return tooMany ? build.slice(value, axis + 2, 0, end) : value;
  }, data ?? inputOf(node, 0));
  const { auto_pad: _, ...attributes } = node.attributes;
  return outputOf(again(node, [part, ...others], { ...attributes, ...windowAttributes(shorter) }), 0);
}
