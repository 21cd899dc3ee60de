/**
 * Cleans up a graph before it is emitted: folds shape arithmetic and constants, merges equal nodes, and applies the
 * rules of rewrite.ts. Dead nodes need no removal, since a graph consists of what its outputs reach.
 */

import { isBody } from "../graph/body.js";
import type { OnRewrite, Rewritten } from "../graph/rewritten.js";
import { dimsValue, type Node, nodeOf, type Value } from "../graph/value.js";
import { nodesBefore } from "../graph/walk.js";
import { build, definitionOf } from "../ops/registry.js";
import { present } from "../present.js";
import { loopsOnce, unfusing } from "./loops.js";
import { Identities, Merger } from "./merger.js";
import { rewrite, rules } from "./rewrite.js";

/** Replaces a node before any other rule sees it. */
export type Lowering = (node: Node) => Replacement | null;

/** A rule's replacement for a node. */
export interface Replacement {
  readonly rule: string;
  readonly results: Value[];
}

const exactly: Lowering = (node) => replacement("lower", definitionOf(node)?.lower?.(node, build));

const inFloat32: Lowering = (node) =>
  exactly(node) ?? replacement("approximate", definitionOf(node)?.approximate?.(node, build));

function replacement(rule: string, results: Value[] | null | undefined): Replacement | null {
  return results ? { rule, results } : null;
}

/**
 * The names of all rewrites in a log of a clean-up: those of the rules, and of the rewrites that are no local rules.
 */
export const rewriteNames: readonly string[] = [
  "known-shape",
  "fold",
  "lower",
  "approximate",
  ...rules.map(({ name }) => name),
  unfusing,
];

/**
 * The same outputs, computed by fewer and cheaper nodes, in bodies of scans too.
 * @param seen is called with each rewrite
 */
export function simplify(outputs: readonly Value[], seen?: OnRewrite): Value[] {
  return simplifyWith({ lowering: exactly, seen }, outputs);
}

/**
 * The same outputs in the form that a program holds: ONNX's operators alone, equal to the precision of float32.
 * @param seen is called with each rewrite
 */
export function simplifyInFloat32(outputs: readonly Value[], seen?: OnRewrite): Value[] {
  return simplifyWith({ lowering: inFloat32, seen }, outputs);
}

/**
 * The same outputs, after a target's rules, which come before all others; unchanged if none of those applies.
 * @param first the target's rules
 * @param seen is called with each rewrite
 */
export function simplifyFor(first: Lowering, outputs: readonly Value[], seen?: OnRewrite): Value[] {
  if (!someNode(outputs, (node) => first(node) !== null)) return [...outputs];
  return simplifyWith({ lowering: (node) => first(node) ?? inFloat32(node), seen }, outputs);
}

/** Whether `holds` is true of a node that leads to the outputs, or of one in such a node's body. */
function someNode(outputs: readonly Value[], holds: (node: Node) => boolean): boolean {
  return nodesBefore(outputs).some((node) => {
    const { body } = node.attributes;
    return holds(node) || (isBody(body) && someNode(body.outputs, holds));
  });
}

interface CleanUp {
  readonly lowering: Lowering;
  readonly seen: OnRewrite | undefined;
}

function simplifyWith(how: CleanUp, outputs: readonly Value[]): Value[] {
  // Cleaning up only to look for loops changes nothing in the result, and is not reported.
  const unseen = { ...how, seen: undefined };
  return cleaned(
    how,
    loopsOnce(outputs, (values) => cleaned(unseen, values), how.seen),
  );
}

/**
 * The most passes over a graph. Usually the second or third changes nothing; this limit stops rules that undo each
 * other.
 */
const maxPasses = 6;

/** How deep rules may apply to what other rules made; the next pass does the rest. */
const maxDepth = 6;

/** State that all passes of a clean-up share. */
interface Known {
  /** Nodes that no rule applies to. Nodes never change, so no later pass need try them. */
  readonly settled: Set<Node>;
  readonly identities: Identities;
}

/** The state of one pass. */
interface Pass extends Pick<Known, "settled"> {
  readonly how: CleanUp;
  readonly merged: Merger;
  /** The nodes that are being replaced: a node of the graph, then what rules made of it. */
  readonly open: readonly Node[];
}

function cleaned(how: CleanUp, outputs: readonly Value[]): Value[] {
  const known: Known = { settled: new Set(), identities: new Identities() };
  const next = (values: readonly Value[]) => {
    const { settled, identities } = known;
    return simplified(mostOutputsFirst(nodesBefore(values)), values, {
      how,
      settled,
      merged: new Merger(identities),
      open: [],
    });
  };
  let [before, after] = [outputs, next(outputs)];
  for (let count = 1; count < maxPasses && after.some((value, k) => value !== before[k]); count++)
    [before, after] = [after, next(after)];
  return after;
}

/** The values computed by `nodes`, each node simplified over its replaced inputs. */
function simplified(nodes: readonly Node[], values: readonly Value[], pass: Pass): Value[] {
  const { how, merged } = pass;
  const replaced = new Map<Value, Value>();
  const current = (value: Value): Value => replaced.get(value) ?? merged.leaf(value);
  for (const node of nodes) {
    const inputs = node.inputs.map((input) => (input ? current(input) : null));
    const { rule, results } = simplifyNode(node, inputs, pass);
    how.seen?.({ rule, node, results });
    results.forEach((value, k) => {
      const output = node.outputs[k];
      if (output) replaced.set(output, value);
    });
  }
  return values.map(current);
}

function simplifyBody(how: CleanUp, node: Node): Node {
  const { body } = node.attributes;
  if (!isBody(body)) return node;
  const outputs = simplifyWith(how, body.outputs);
  if (outputs.every((output, k) => output === body.outputs[k])) return node;
  return { ...node, attributes: { ...node.attributes, body: { ...body, outputs } } };
}

function simplifyNode(node: Node, inputs: readonly (Value | null)[], pass: Pass): Omit<Rewritten, "node"> {
  const { how, merged, settled, open } = pass;
  // Most nodes are still as an earlier pass left them.
  if (settled.has(node) && merged.node(node, inputs) === node) return { rule: null, results: node.outputs };
  const known = foldedShapes(node);
  if (known) return { rule: "known-shape", results: known.map((value) => merged.leaf(value)) };
  const rebuilt = merged.node(simplifyBody(how, node), inputs);
  if (settled.has(rebuilt) || open.includes(rebuilt)) return { rule: null, results: rebuilt.outputs };
  const folded = merged.folded(rebuilt);
  if (folded) return { rule: "fold", results: folded.map((value) => merged.leaf(value)) };
  if (open.length === maxDepth) return { rule: null, results: rebuilt.outputs };
  const found = how.lowering(rebuilt) ?? rewrite(rebuilt, build);
  if (!found) {
    settled.add(rebuilt);
    return { rule: null, results: rebuilt.outputs };
  }
  // The values it reads are simplified already.
  const made = nodesBefore(found.results, { has: (value) => merged.keeps(nodeOf(value)) });
  const results = simplified(made, found.results, { ...pass, open: [...open, rebuilt] });
  return { rule: results.every((value, k) => value === rebuilt.outputs[k]) ? null : found.rule, results };
}

/** Integers with known elements become constants, even if they hold N; null if the node has other outputs too. */
function foldedShapes({ outputs }: Node): Value[] | null {
  const folded: Value[] = [];
  for (const { known, dtype, shape } of outputs) {
    if (!known || dtype !== "int64" || shape.length > 1) return null;
    folded.push(dimsValue(known, shape.length === 0));
  }
  return folded;
}

/**
 * Puts first, among nodes that differ only in the number of outputs (MaxPool with and without indices), the one with
 * the most, so that the others are merged into it.
 */
function mostOutputsFirst(nodes: readonly Node[]): readonly Node[] {
  const multiple = nodes.filter((node) => node.op === "MaxPool");
  if (multiple.length < 2) return nodes;
  const richest = new Map<string, Node>();
  const ids = new Map<Value, number>();
  const idOf = (value: Value) => {
    const id = ids.get(value) ?? ids.size;
    ids.set(value, id);
    return id;
  };
  const keyOf = (node: Node) =>
    `${node.op}|${JSON.stringify(node.attributes)}|${node.inputs.map((input) => (input ? idOf(input) : "")).join()}`;
  for (const node of multiple) {
    const best = richest.get(keyOf(node));
    if (!best || best.outputs.length < node.outputs.length) richest.set(keyOf(node), node);
  }
  // The nodes read the same inputs, so the one with more outputs can take an earlier place.
  const placed = new Set<Node>();
  return nodes.flatMap((node) => {
    const best = node.op === "MaxPool" ? present(richest.get(keyOf(node))) : node;
    const order = placed.has(node) ? [] : best === node || placed.has(best) ? [node] : [best, node];
    for (const each of order) placed.add(each);
    return order;
  });
}
