/** Nodes made again over other inputs. */
import { makeNode, type Node, type Value } from "./value.js";

/** A node like this one but for what is changed, with outputs of its own of the same types and names. */
export function remade(node: Node, changed: Partial<Pick<Node, "inputs" | "attributes">>): Node {
  const names = node.outputs.map(({ name }) => name);
  return makeNode({ ...node, ...changed }, node.outputs, names);
}

/** What a node's inputs have become. */
export function currentInputs({ inputs }: Node, current: ReadonlyMap<Value, Value>): (Value | null)[] {
  return inputs.map((input) => (input ? (current.get(input) ?? input) : null));
}

/** The same node over what its inputs have become; itself where they are the same. */
export function withInputs(node: Node, current: ReadonlyMap<Value, Value>): Node {
  const inputs = currentInputs(node, current);
  return inputs.every((input, k) => input === node.inputs[k]) ? node : remade(node, { inputs });
}
