/** Loops that all samples share: over a learned prompt, say, or a table that is read in order. */

import type { Node, Value } from "../graph/value.js";
import { dependentsOf, nodesBefore, presentInputs } from "../graph/walk.js";
import { build, definitionOf } from "../ops/registry.js";
import type { Differentiable } from "./differentiable.js";

/** Whether there is such a loop between the parameters and the losses. */
export function hasSharedLoop(of: Differentiable): boolean {
  const { nodes, dependent } = betweenParametersAndLosses(of);
  return nodes.some(
    (node) => isShared(of, node) && presentInputs(node).some((input) => dependent.has(input)) && isLoop(node),
  );
}

/** The values that depend on parameters, are the same for all samples, and meet samples. */
export function joinedValues(of: Differentiable): Value[] {
  const { nodes, dependent } = betweenParametersAndLosses(of);
  const joined = nodes
    .filter((node) => !isShared(of, node))
    .flatMap(presentInputs)
    .filter((value) => dependent.has(value) && of.axes.along(value) === null);
  return [...new Set(joined)];
}

function betweenParametersAndLosses({ losses, parameters }: Differentiable) {
  const nodes = nodesBefore([losses], { has: ({ known }) => known !== undefined });
  return { nodes, dependent: dependentsOf(parameters.values(), nodes) };
}

/** Also of a node that numbers the samples: where only their own rows are picked by that, the losses do not depend on it. */
function isShared({ axes }: Differentiable, node: Node): boolean {
  return node.outputs.every((output) => axes.along(output) === null);
}

/** Whether a node has a body, or decomposes into nodes that include one with a body. */
function isLoop(node: Node): boolean {
  const definition = definitionOf(node);
  if (definition?.body) return true;
  if (!definition?.decompose) return false;
  const boundary = new Set<Value>(presentInputs(node));
  return nodesBefore(definition.decompose(node, build), boundary).some(isLoop);
}
