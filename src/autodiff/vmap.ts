import type { Value } from "../graph/value.js";
import { dependentsOf, nodesBefore, presentInputs } from "../graph/walk.js";
import { unsupported } from "../ops/checks.js";
import { build, definitionOf } from "../ops/registry.js";

/**
 * Rebuilds the path from some values to `outputs`, with those values replaced by ones that have one more leading axis;
 * everything that depends on them gets that axis too. An output that does not depend on them becomes null.
 */
export function batchOver(outputs: readonly Value[], replacements: ReadonlyMap<Value, Value>): (Value | null)[] {
  const nodes = nodesBefore(outputs, replacements);
  const dependent = dependentsOf(replacements.keys(), nodes);
  const batched = new Map<Value, Value>(replacements);
  for (const node of nodes) {
    if (!node.outputs.some((output) => dependent.has(output))) continue;
    const definition = definitionOf(node);
    const inputs = node.inputs.map((input) => (input ? (batched.get(input) ?? input) : null));
    const flags = node.inputs.map((input) => input !== null && batched.has(input));
    const results = definition?.body
      ? definition.body.batch(node, inputs, flags, batchOver, build)
      : definition?.batch
        ? definition.batch(node, inputs, flags, build)
        : batchDecomposition(definition?.decompose?.(node, build.inside(node)), presentInputs(node), batched);
    if (!results) throw unsupported(node, "cannot be computed for a batch of parameters");
    node.outputs.forEach((output, k) => {
      const result = results[k];
      if (result) batched.set(output, result);
    });
  }
  return outputs.map((output) => batched.get(output) ?? null);
}

function batchDecomposition(
  outputs: readonly Value[] | undefined,
  inputs: readonly Value[],
  batched: ReadonlyMap<Value, Value>,
): (Value | null)[] | undefined {
  if (!outputs) return undefined;
  const replacements = new Map(
    inputs.flatMap((input) => {
      const replacement = batched.get(input);
      return replacement ? [[input, replacement] as const] : [];
    }),
  );
  return batchOver(outputs, replacements);
}

/** The type of `batchOver`, which readers are given as an argument: they do not know of differentiation. */
export type BatchOver = (outputs: readonly Value[], replacements: ReadonlyMap<Value, Value>) => (Value | null)[];
