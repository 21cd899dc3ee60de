/**
 * Cleans up a graph before it is emitted: shape arithmetic and constants are folded, equal nodes merged,
 * and the rules of rewrite.ts applied. Dead nodes fall away by themselves, since a graph is what its
 * outputs reach.
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

/** What is put in a node's place, whatever else becomes of it. */
export type Lowering = (node: Node) => Replacement | null;

/** What a rule puts in a node's place. */
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

/** The names of all that a clean-up does, for a log of it: the rules', and what is no local rule. */
export const rewriteNames: readonly string[] = [
  "known-shape",
  "fold",
  "lower",
  "approximate",
  ...rules.map(({ name }) => name),
  unfusing,
];

/**
 * The same outputs, computed by fewer and cheaper nodes; bodies of scans too.
 * @param seen is called with what becomes of each node
 */
export function simplify(outputs: readonly Value[], seen?: OnRewrite): Value[] {
  return simplifyWith({ lowering: exactly, seen }, outputs);
}

/**
 * As a program holds it: the same to the precision of float32, of ONNX's operators alone.
 * @param seen is called with what becomes of each node
 */
export function simplifyInFloat32(outputs: readonly Value[], seen?: OnRewrite): Value[] {
  return simplifyWith({ lowering: inFloat32, seen }, outputs);
}

/**
 * The same outputs, after rules of a target that come before all others; untouched where none of these applies.
 * @param first what a target puts in a node's place
 * @param seen is called with what becomes of each node
 */
export function simplifyFor(first: Lowering, outputs: readonly Value[], seen?: OnRewrite): Value[] {
  if (!someNode(outputs, (node) => first(node) !== null)) return [...outputs];
  return simplifyWith({ lowering: (node) => first(node) ?? inFloat32(node), seen }, outputs);
}

/** Whether it holds of a node before the outputs, or of one in the body of such a node. */
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
  // What is cleaned up to look for loops is no part of the result, and is not reported.
  const unseen = { ...how, seen: undefined };
  return cleaned(
    how,
    loopsOnce(outputs, (values) => cleaned(unseen, values), how.seen),
  );
}

/** Passes over a graph: the second or third finds nothing. Rules that undo each other end here. */
const maxPasses = 6;

/** What one rule makes is another's to take up, so often; what then is left to do is done in the next pass. */
const maxDepth = 6;

/** What all passes of a clean-up have in common. */
interface Known {
  /** Nodes that no rule applies to: as a node never changes, none will in a later pass. */
  readonly settled: Set<Node>;
  readonly identities: Identities;
}

/** What a pass knows. */
interface Pass extends Pick<Known, "settled"> {
  readonly how: CleanUp;
  readonly merged: Merger;
  /** The nodes whose replacement is being made, from the graph's own to what rules made of it. */
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

/** The values that `nodes` lead to, each node simplified over what its inputs have become. */
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
  // Most nodes are as an earlier pass left them.
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
  // What it is made of is simplified already.
  const made = nodesBefore(found.results, { has: (value) => merged.keeps(nodeOf(value)) });
  const results = simplified(made, found.results, { ...pass, open: [...open, rebuilt] });
  return { rule: results.every((value, k) => value === rebuilt.outputs[k]) ? null : found.rule, results };
}

/** Integers whose elements are known are constants, even where they hold N; null where a node gives others too. */
function foldedShapes({ outputs }: Node): Value[] | null {
  const folded: Value[] = [];
  for (const { known, dtype, shape } of outputs) {
    if (!known || dtype !== "int64" || shape.length > 1) return null;
    folded.push(dimsValue(known, shape.length === 0));
  }
  return folded;
}

/**
 * Of nodes that differ only in how many outputs they give (MaxPool with and without indices), the one that
 * gives more comes first where the order allows, so that the other is merged into it.
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
  // Equal inputs: the richer node can stand where the poorer does.
  const placed = new Set<Node>();
  return nodes.flatMap((node) => {
    const best = node.op === "MaxPool" ? present(richest.get(keyOf(node))) : node;
    const order = placed.has(node) ? [] : best === node || placed.has(best) ? [node] : [best, node];
    for (const each of order) placed.add(each);
    return order;
  });
}
