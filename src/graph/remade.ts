/** Copies of nodes with other inputs. */
import { makeNode, type Node, type Value } from "./value.js";

/** A copy of a node with some fields changed. Its outputs are new values of the same types and names. */
export function remade(node: Node, changed: Partial<Pick<Node, "inputs" | "attributes">>): Node {
  const { op, domain, name, outputs } = node;
  const { inputs = node.inputs, attributes = node.attributes } = changed;
  const names = outputs.map((output) => output.name);
  return makeNode({ op, domain, name, inputs, attributes }, outputs, names);
}

/** The inputs of a node, as `current` replaces them. */
export function currentInputs({ inputs }: Node, current: ReadonlyMap<Value, Value>): (Value | null)[] {
  return inputs.map((input) => (input ? (current.get(input) ?? input) : null));
}

/** The same node over its replaced inputs; the node itself if none was replaced. */
export function withInputs(node: Node, current: ReadonlyMap<Value, Value>): Node {
  const isReplaced = (input: Value | null) => input !== null && (current.get(input) ?? input) !== input;
  return node.inputs.some(isReplaced) ? remade(node, { inputs: currentInputs(node, current) }) : node;
}
