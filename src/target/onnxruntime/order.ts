/** The order in which a program's results are computed, of which ONNX Runtime takes the last first. */

import type { Bytes, MemoryUse } from "../../graph/bytes.js";
import { type Node, nodeOf, type Value } from "../../graph/value.js";
import { nodesBefore, presentInputs } from "../../graph/walk.js";
import { ProgramMemory } from "./memory.js";

export interface Ordered {
  /** The results, computed from the last to the first. */
  readonly order: readonly Value[];
  readonly memory: MemoryUse;
}

/** A batch for which orders are compared. */
export const typicalSamples = 64;

/** The results with the most operators on the longest way to them first. */
function deepestFirst(outputs: readonly Value[]): Value[] {
  const depths = new Map<Node | undefined, number>();
  const depthOf = (value: Value) => depths.get(nodeOf(value)) ?? 0;
  for (const node of nodesBefore(outputs)) {
    depths.set(node, 1 + presentInputs(node).reduce((most, input) => Math.max(most, depthOf(input)), 0));
  }
  return [...outputs].sort((a, b) => depthOf(b) - depthOf(a));
}

/**
 * The results in the order of those that takes the least memory: as they are listed, the other way round, or the
 * deepest first, so that what the backward pass comes to first is computed first and frees what only it reads.
 * (Gradients' sums of eight linear layers take 19 MB in the one order and 36 MB in the other.)
 * @param allocated bytes that JavaScript allocates for results beside copies of these
 */
export function lowMemoryOrder(outputs: readonly Value[], allocated?: Bytes): Ordered {
  const memory = new ProgramMemory(outputs);
  const ordered = (order: readonly Value[]): Ordered => ({ order, memory: memory.of(order, allocated) });
  if (outputs.length <= 1) return ordered(outputs);
  const orders = different([outputs, [...outputs].reverse(), deepestFirst(outputs)]).map(ordered);
  const used = (each: Ordered) => each.memory.at(typicalSamples);
  return orders.reduce((best, order) => (used(order) < used(best) ? order : best));
}

/** Each of the lists once. */
function different(lists: readonly (readonly Value[])[]): (readonly Value[])[] {
  const same = (a: readonly Value[], b: readonly Value[]) => a.every((value, k) => value === b[k]);
  return lists.filter((list, k) => !lists.slice(0, k).some((other) => same(list, other)));
}
