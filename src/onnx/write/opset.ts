/**
 * Expresses operators that are missing in the opset that pergrad writes: those of later opsets, which a model keeps as
 * its file has them, and pergrad's own, which occur in programs.
 */
import { isBody } from "../../graph/body.js";
import { currentInputs, remade } from "../../graph/remade.js";
import type { Node, Value } from "../../graph/value.js";
import { nodesBefore } from "../../graph/walk.js";
import { build, definitionOf } from "../../ops/registry.js";

/** The same outputs, computed with operators of opset 21. */
export function withinOpset(outputs: readonly Value[]): Value[] {
  const current = new Map<Value, Value>();
  for (const node of nodesBefore(outputs)) {
    const before = withParts(node, current);
    const results = inOpset(before);
    node.outputs.forEach((output, k) => {
      const result = results[k];
      if (result && result !== output) current.set(output, result);
    });
  }
  return outputs.map((output) => current.get(output) ?? output);
}

/** A node's outputs, computed with operators of opset 21. */
function inOpset(node: Node): readonly Value[] {
  const definition = definitionOf(node);
  const parts = definition?.since === undefined ? definition?.parts?.(node, build) : definition.lower?.(node, build);
  // The operators that replace the node may be newer ones themselves.
  return parts ? withinOpset(parts) : node.outputs;
}

/** The node with its inputs, and the values in its body, replaced. */
function withParts(node: Node, current: ReadonlyMap<Value, Value>): Node {
  const inputs = currentInputs(node, current);
  const { body } = node.attributes;
  const inside = isBody(body) ? withinOpset(body.outputs) : [];
  const sameBody = !isBody(body) || inside.every((value, k) => value === body.outputs[k]);
  if (sameBody && inputs.every((input, k) => input === node.inputs[k])) return node;
  const attributes = sameBody ? node.attributes : { ...node.attributes, body: { ...body, outputs: inside } };
  return remade(node, { inputs, attributes });
}
