/**
 * Operators that the opset we write does not have. A model from a file of a later opset holds them as they were, and
 * programs hold some of pergrad's own; a file holds them in parts.
 */
import { isBody } from "../../graph/body.js";
import { makeNode, type Node, type Value } from "../../graph/value.js";
import { nodesBefore } from "../../graph/walk.js";
import { build, definitionOf } from "../../ops/registry.js";

/** The same outputs, by operators of opset 21. */
export function withinOpset(outputs: readonly Value[]): Value[] {
  const current = new Map<Value, Value>();
  for (const node of nodesBefore(outputs)) {
    const before = withParts(node, current);
    const results = inParts(before);
    node.outputs.forEach((output, k) => {
      const result = results[k];
      if (result && result !== output) current.set(output, result);
    });
  }
  return outputs.map((output) => current.get(output) ?? output);
}

function inParts(node: Node): readonly Value[] {
  const definition = definitionOf(node);
  const parts = definition?.since === undefined ? definition?.parts?.(node, build) : definition.lower?.(node, build);
  // What the parts are made of may be as new.
  return parts ? withinOpset(parts) : node.outputs;
}

/** The node with what was put in its inputs' places, and in its body. */
function withParts(node: Node, current: ReadonlyMap<Value, Value>): Node {
  const inputs = node.inputs.map((input) => (input ? (current.get(input) ?? input) : null));
  const { body } = node.attributes;
  const inside = isBody(body) ? withinOpset(body.outputs) : [];
  const sameBody = !isBody(body) || inside.every((value, k) => value === body.outputs[k]);
  if (sameBody && inputs.every((input, k) => input === node.inputs[k])) return node;
  const attributes = sameBody ? node.attributes : { ...node.attributes, body: { ...body, outputs: inside } };
  const names = node.outputs.map(({ name }) => name);
  return makeNode({ ...node, inputs, attributes }, node.outputs, names);
}
