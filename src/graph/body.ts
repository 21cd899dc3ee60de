/** Graphs inside nodes: made from values that may read values outside, and taken apart again. */
import { outputOf } from "./operands.js";
import { currentInputs, remade } from "./remade.js";
import { type Attribute, type Body, leaf, type Value } from "./value.js";
import { dependentsOf, nodesBefore, presentInputs } from "./walk.js";

export function isBody(attribute: Attribute | undefined): attribute is Body {
  return typeof attribute === "object" && "outputs" in attribute;
}

/**
 * The same outputs, with some values replaced by others of the same type, and everything that depends on them rebuilt.
 */
export function substitute(outputs: readonly Value[], replacements: ReadonlyMap<Value, Value>): Value[] {
  const current = new Map(replacements);
  const nodes = nodesBefore(outputs, replacements);
  const affected = dependentsOf(replacements.keys(), nodes);
  for (const node of nodes) {
    if (!node.outputs.some((output) => affected.has(output))) continue;
    const made = remade(node, { inputs: currentInputs(node, current) });
    node.outputs.forEach((output, k) => {
      current.set(output, outputOf(made, k));
    });
  }
  return outputs.map((output) => current.get(output) ?? output);
}

/** A body, and the outside values that it reads: its last inputs stand for them, in this order. */
export interface Closed {
  readonly body: Body;
  readonly captured: readonly Value[];
}

/**
 * Makes a body of everything that depends on `leaves`. Other values that `outputs` read are computed once, outside, and
 * captured; constants are part of the body. An output that does not depend on the leaves is captured too.
 */
export function closeOver(leaves: readonly Value[], outputs: readonly Value[]): Closed {
  const nodes = nodesBefore(outputs, new Set(leaves));
  const inside = dependentsOf(leaves, nodes);
  const captured = new Map<Value, Value>();
  const own = new Set(leaves);
  const take = (value: Value) => {
    if (inside.has(value) || own.has(value) || isConstant(value) || captured.has(value)) return;
    const { name, dtype, shape } = value;
    captured.set(value, leaf(name, { dtype, shape }, { kind: "input" }));
  };
  for (const node of nodes) if (node.outputs.some((output) => inside.has(output))) presentInputs(node).forEach(take);
  outputs.forEach(take);
  const body: Body = { inputs: [...leaves, ...captured.values()], outputs: substitute(outputs, captured) };
  return { body, captured: [...captured.keys()] };
}

function isConstant({ source }: Value): boolean {
  return source.kind === "constant" || source.kind === "dims";
}
