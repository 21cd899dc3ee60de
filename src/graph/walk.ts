import { nth } from "../present.js";
import type { Node, Value } from "./value.js";

/** The inputs that are there. */
export function presentInputs(node: Node): Value[] {
  return node.inputs.filter((input): input is Value => input !== null);
}

/**
 * The nodes that `outputs` depend on, each after the nodes it reads. The search does not go beyond the
 * values in `stop`.
 */
export function nodesBefore(outputs: Iterable<Value>, stop: { has(value: Value): boolean } = new Set()): Node[] {
  const order: Node[] = [];
  const state = new Map<Node, "open" | "done">();
  const stack: Node[] = [];
  const push = (value: Value) => {
    if (value.source.kind !== "node" || stop.has(value)) return;
    if (!state.has(value.source.node)) stack.push(value.source.node);
  };
  for (const output of [...outputs].reverse()) push(output);
  while (stack.length > 0) {
    const node = nth(stack, stack.length - 1);
    if (!state.has(node)) {
      state.set(node, "open");
      for (const input of node.inputs) if (input) push(input);
      continue;
    }
    stack.pop();
    if (state.get(node) === "open") {
      state.set(node, "done");
      order.push(node);
    }
  }
  return order;
}

/** The inputs, parameters and constants that `outputs` depend on, in no particular order. */
export function leavesOf(outputs: Iterable<Value>): Value[] {
  const roots = [...outputs];
  const leaves = new Set<Value>(roots.filter((value) => value.source.kind !== "node"));
  for (const node of nodesBefore(roots)) {
    for (const input of presentInputs(node)) if (input.source.kind !== "node") leaves.add(input);
  }
  return [...leaves];
}

/** The values computed by `nodes` (in order) that depend on a source, and the sources themselves. */
export function dependentsOf(sources: Iterable<Value>, nodes: Iterable<Node>): Set<Value> {
  const dependent = new Set<Value>(sources);
  for (const node of nodes) {
    if (node.inputs.some((input) => input !== null && dependent.has(input))) {
      for (const output of node.outputs) dependent.add(output);
    }
  }
  return dependent;
}
