/**
 * A recurrent op runs faster than the loop that it stands for. But the backward pass reads the steps of that loop, and
 * then the graph would hold both; the loop alone is enough.
 */

import { withInputs } from "../graph/remade.js";
import type { OnRewrite } from "../graph/rewritten.js";
import type { Node, Value } from "../graph/value.js";
import { nodesBefore } from "../graph/walk.js";
import { build, definitionOf } from "../ops/registry.js";
import { nth } from "../present.js";

/** The name, in a log of rewrites, for a loop that replaces a recurrent op. */
export const unfusing = "loop-for-recurrent";

/**
 * The same outputs, without recurrent ops whose loops the graph has anyway, once `clean` merges equal nodes.
 * @param seen is called with each rewrite
 */
export function loopsOnce(
  outputs: readonly Value[],
  clean: (outputs: readonly Value[]) => readonly Value[],
  seen?: OnRewrite,
): readonly Value[] {
  const nodes = nodesBefore(outputs);
  const fused = nodes.filter(recurs);
  if (fused.length === 0 || !nodes.some(hasBody)) return outputs;
  const loops = fused.map(loopOf);
  const merged = clean([...outputs, ...loops.flat()]);
  const present = new Set(nodesBefore(merged.slice(0, outputs.length)));
  let from = outputs.length;
  const twins = fused.filter((_, k) => {
    const start = from;
    from += loops[k]?.length ?? 0;
    return nodesBefore(merged.slice(start, from)).every((node) => !hasBody(node) || present.has(node));
  });
  return twins.length === 0 ? outputs : unfused(outputs, new Set(twins), seen);
}

/** The same outputs with loops for all recurrent ops; the outputs themselves if there are none. */
export function asLoops(outputs: readonly Value[]): readonly Value[] {
  const fused = nodesBefore(outputs).filter(recurs);
  return fused.length === 0 ? outputs : unfused(outputs, new Set(fused));
}

function recurs(node: Node): boolean {
  return definitionOf(node)?.recurrent === true;
}

function hasBody(node: Node): boolean {
  return definitionOf(node)?.body !== undefined;
}

function loopOf(node: Node): readonly Value[] {
  return definitionOf(node)?.decompose?.(node, build.inside(node)) ?? node.outputs;
}

function unfused(outputs: readonly Value[], fused: ReadonlySet<Node>, seen?: OnRewrite): Value[] {
  const current = new Map<Value, Value>();
  for (const node of nodesBefore(outputs)) {
    const moved = withInputs(node, current);
    if (!fused.has(node) && moved === node) continue;
    const results = fused.has(node) ? loopOf(moved) : moved.outputs;
    seen?.({ rule: fused.has(node) ? unfusing : null, node, results });
    node.outputs.forEach((output, k) => {
      current.set(output, nth(results, k));
    });
  }
  return outputs.map((output) => current.get(output) ?? output);
}
