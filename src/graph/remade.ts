/** Copies of nodes with other inputs. */
import { makeNode, type Node, type Value } from "./value.js";

/** A copy of a node with some fields changed. Its outputs are new values of the same types and names. */
export function remade(node: Node, changed: Partial<Pick<Node, "inputs" | "attributes">>): Node {
  const names = node.outputs.map(({ name }) => name);
  return makeNode({ ...node, ...changed }, node.outputs, names);
}

/** The inputs of a node, as `current` replaces them. */
export function currentInputs({ inputs }: Node, current: ReadonlyMap<Value, Value>): (Value | null)[] {
  return inputs.map((input) => (input ? (current.get(input) ?? input) : null));
}

/** The same node over its replaced inputs; the node itself if none was replaced. */
export function withInputs(node: Node, current: ReadonlyMap<Value, Value>): Node {
  const inputs = currentInputs(node, current);
  return inputs.every((input, k) => input === node.inputs[k]) ? node : remade(node, { inputs });
}
