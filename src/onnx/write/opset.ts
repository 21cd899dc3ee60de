/**
 * Expresses operators that are missing in the opset that pergrad writes: those of later opsets, which a model keeps as
 * its file has them, and pergrad's own, which occur in programs.
 */
import { isBody } from "../../graph/body.js";
import { currentInputs, remade, withInputs } from "../../graph/remade.js";
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
  const { body } = node.attributes;
  if (!isBody(body)) return withInputs(node, current);
  const outputs = withinOpset(body.outputs);
  if (outputs.every((value, k) => value === body.outputs[k])) return withInputs(node, current);
  const attributes = { ...node.attributes, body: { ...body, outputs } };
  return remade(node, { inputs: currentInputs(node, current), attributes });
}
