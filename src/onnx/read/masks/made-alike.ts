import { constantOf, type Node, nodeOf, type Value } from "../../../graph/value.js";
import { definitionOf } from "../../../ops/registry.js";

/** Whether two values are the same, or are made from the same values by equal nodes, none of which draws numbers. */
export function madeAlike(a: Value, b: Value): boolean {
  // A pair is compared once, however many ways lead to it.
  const compared = new Map<Value, Set<Value>>();
  const alike = (x: Value | null | undefined, y: Value | null | undefined): boolean => {
    if (!x || !y || x === y) return x === y;
    const before = compared.get(x);
    if (before?.has(y)) return true;
    compared.set(x, (before ?? new Set()).add(y));
    if (x.dtype !== y.dtype) return false;
    if (x.known && y.known) return JSON.stringify(x.known) === JSON.stringify(y.known);
    const [left, right] = [nodeOf(x), nodeOf(y)];
    if (!left || !right) return alikeConstants(x, y);
    const sameOutput = left.outputs.indexOf(x) === right.outputs.indexOf(y);
    return sameOutput && sameOperation(left, right) && left.inputs.every((input, k) => alike(input, right.inputs[k]));
  };
  return alike(a, b);
}

function sameOperation(a: Node, b: Node): boolean {
  if (a === b) return true;
  if (a.op !== b.op || a.domain !== b.domain || a.inputs.length !== b.inputs.length) return false;
  if (definitionOf(a)?.random) return false;
  const simple = (node: Node) =>
    Object.values(node.attributes).every((each) => typeof each !== "object" || Array.isArray(each));
  const settings = (node: Node) => JSON.stringify(Object.entries(node.attributes).sort());
  return simple(a) && simple(b) && settings(a) === settings(b);
}

function alikeConstants(a: Value, b: Value): boolean {
  const [left, right] = [constantOf(a), constantOf(b)];
  if (!left || !right || left.data.length !== right.data.length) return false;
  return left.dims.join() === right.dims.join() && left.data.every((each, k) => Object.is(each, right.data[k]));
}
