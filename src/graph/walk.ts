import { type Node, nodeOf, type Value } from "./value.js";

/** The inputs that are not absent. */
export function presentInputs(node: Node): Value[] {
  return node.inputs.filter((input): input is Value => input !== null);
}

/**
 * The nodes that `outputs` depend on, each after the nodes it reads. The search does not go beyond the
 * values in `stop`.
 */
export function nodesBefore(outputs: Iterable<Value>, stop?: { has(value: Value): boolean }): Node[] {
  const order: Node[] = [];
  const seen = new Set<Node>();
  /** The nodes on the path to the current place of the search, each with the number of inputs still to visit. */
  const way: Node[] = [];
  const left: number[] = [];
  const enter = (value: Value | null | undefined) => {
    const node = value ? nodeOf(value) : undefined;
    if (!value || !node || seen.has(node) || stop?.has(value)) return;
    seen.add(node);
    way.push(node);
    left.push(node.inputs.length);
  };
  // A list, whatever is given: the engine compiles this loop, which all stages run, for one kind of collection only.
  const roots = [...outputs];
  for (const output of roots) {
    enter(output);
    for (let node = way.at(-1); node; node = way.at(-1)) {
      const last = left.length - 1;
      const input = (left[last] ?? 0) - 1;
      if (input >= 0) {
        left[last] = input;
        enter(node.inputs[input]);
      } else {
        order.push(node);
        way.pop();
        left.pop();
      }
    }
  }
  return order;
}

/** How many times nodes and outputs read each value. */
export function readersOf(nodes: readonly Node[], outputs: readonly Value[]): Map<Value, number> {
  const readers = new Map<Value, number>();
  const read = (value: Value) => readers.set(value, (readers.get(value) ?? 0) + 1);
  outputs.forEach(read);
  for (const { inputs } of nodes) for (const input of inputs) if (input) read(input);
  return readers;
}

/** The inputs, parameters and constants that `outputs` depend on, in no particular order. */
export function leavesOf(outputs: Iterable<Value>): Value[] {
  const roots = [...outputs];
  const leaves = new Set<Value>(roots.filter((value) => value.source.kind !== "node"));
  for (const { inputs } of nodesBefore(roots)) {
    for (const input of inputs) if (input && input.source.kind !== "node") leaves.add(input);
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
