/** Nodes over other inputs, for rules that go through a graph. */

import { makeNode, type Node, type Value } from "../graph/value.js";

/** The same node over what its inputs have become; itself where they are the same. */
export function withInputs(node: Node, current: ReadonlyMap<Value, Value>): Node {
  const inputs = node.inputs.map((input) => (input ? (current.get(input) ?? input) : null));
  return inputs.every((input, k) => input === node.inputs[k]) ? node : remade({ ...node, inputs });
}

/** A node like this one, whose outputs are its own. */
export function remade(node: Node): Node {
  const names = node.outputs.map(({ name }) => name);
  return makeNode(node, node.outputs, names);
}
