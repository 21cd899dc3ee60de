/** Turns a model into the graph of a file. */
import { substitute } from "../../graph/body.js";
import type { Model } from "../../graph/model.js";
import { outputOf } from "../../graph/operands.js";
import { remade } from "../../graph/remade.js";
import { leaf, type Value } from "../../graph/value.js";
import { leavesOf } from "../../graph/walk.js";
import { nth, present } from "../../present.js";
import type { EncodableProgram } from "./encode.js";

/**
 * The graph of a file, in which constants that were folded when the model was read are again computed from the tensors
 * that the file holds.
 */
export function programOf({ graph, parameters, stored = [] }: Model): EncodableProgram {
  const results = graph.outputs.map(({ value }) => value);
  const leaves = new Map(
    stored.map(({ name, value }) => [
      value,
      leaf(name, { dtype: "float32", shape: value.shape }, { kind: "parameter" }),
    ]),
  );
  const unfolded = substitute(results, unfolding(results, leaves));
  const outputs = graph.outputs.map(({ name }, k) => ({ name, value: nth(unfolded, k) }));
  const reached = new Set(leavesOf(unfolded));
  const kept = stored.filter(({ value }) => reached.has(present(leaves.get(value))));
  const roles = [
    ...graph.parameters.map(({ name }) => [name, "parameter"] as const),
    ...kept.map(({ name, role }) => [name, role] as const),
  ];
  return {
    inputs: graph.inputs,
    outputs,
    parameters: { ...parameters, ...Object.fromEntries(kept.map((each) => [each.name, each.tensorOf(parameters)])) },
    roles: new Map(roles),
  };
}

/**
 * Creates leaves for the tensors that the file holds, and computes from them again what was folded when the file was
 * read.
 */
function unfolding(results: readonly Value[], leaves: ReadonlyMap<Value, Value>): Map<Value, Value> {
  const replaced = new Map(leaves);
  const unfold = (value: Value): Value | null => {
    const known = replaced.get(value);
    if (known) return known;
    const from = value.source.kind === "constant" ? value.source.from : undefined;
    if (from?.source.kind !== "node") return null;
    const { node, index } = from.source;
    const inputs = node.inputs.map((input) => (input ? (unfold(input) ?? input) : null));
    if (inputs.every((input, k) => input === node.inputs[k])) return null;
    const made = outputOf(remade(node, { inputs }), index);
    replaced.set(value, made);
    return made;
  };
  for (const value of leavesOf(results)) unfold(value);
  return replaced;
}
