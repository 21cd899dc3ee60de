/**
 * Cleans up a graph before it is emitted: shape arithmetic and constants are folded, equal nodes merged,
 * and the rules of rewrite.ts applied. Dead nodes fall away by themselves, since a graph is what its
 * outputs reach.
 */

import { isBody } from "../graph/body.js";
import { showShape } from "../graph/dim.js";
import { outputOf } from "../graph/operands.js";
import type { OnRewrite, Rewritten } from "../graph/rewritten.js";
import {
  type Attribute,
  type Attributes,
  type Body,
  dimsValue,
  makeNode,
  type Node,
  type Value,
} from "../graph/value.js";
import { nodesBefore } from "../graph/walk.js";
import { foldNode } from "../interpret/fold.js";
import { build, definitionOf } from "../ops/registry.js";
import { present } from "../present.js";
import { isFloat } from "../tensor/tensor.js";
import { loopsOnce, unfusing } from "./loops.js";
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

/** What one rule makes may be another's to take up, in a further pass. Two or three do; rules that undo each other end here. */
const maxPasses = 6;

/** What all passes of a clean-up have in common. */
interface Known {
  /** Nodes that no rule applies to: as a node never changes, none will in a later pass. */
  readonly settled: Set<Node>;
  /** Numbers of values and other objects. */
  readonly ids: Map<object, number>;
  /** Attributes as texts. */
  readonly texts: Map<Attributes, string>;
}

function cleaned(how: CleanUp, outputs: readonly Value[]): Value[] {
  const known: Known = { settled: new Set(), ids: new Map(), texts: new Map() };
  let [before, after] = [outputs, pass(how, outputs, known)];
  for (let count = 1; count < maxPasses && after.some((value, k) => value !== before[k]); count++)
    [before, after] = [after, pass(how, after, known)];
  return after;
}

function simplifyBody(how: CleanUp, node: Node): Node {
  const { body } = node.attributes;
  if (!isBody(body)) return node;
  return {
    ...node,
    attributes: { ...node.attributes, body: { ...body, outputs: simplifyWith(how, body.outputs) } },
  };
}

function pass(how: CleanUp, outputs: readonly Value[], known: Known): Value[] {
  const { settled } = known;
  const merged = new Merger(known);
  const replaced = new Map<Value, Value>();
  const current = (value: Value): Value => replaced.get(value) ?? merged.leaf(value);
  for (const node of mostOutputsFirst(nodesBefore(outputs))) {
    const inputs = node.inputs.map((input) => (input ? current(input) : null));
    const { rule, results } = simplifyNode(how, node, inputs, { merged, settled });
    how.seen?.({ rule, node, results });
    results.forEach((value, k) => {
      const output = node.outputs[k];
      if (output) replaced.set(output, value);
    });
  }
  return outputs.map(current);
}

function simplifyNode(
  how: CleanUp,
  node: Node,
  inputs: readonly (Value | null)[],
  { merged, settled }: { readonly merged: Merger; readonly settled: Set<Node> },
): Omit<Rewritten, "node"> {
  const known = node.outputs.map((output) => foldedShape(output));
  if (known.every((value) => value !== null))
    return { rule: "known-shape", results: known.map((value) => merged.leaf(value as Value)) };
  const rebuilt = merged.node(simplifyBody(how, node), inputs);
  if (settled.has(rebuilt)) return { rule: null, results: rebuilt.outputs };
  const folded = merged.folded(rebuilt);
  if (folded) return { rule: "fold", results: folded.map((value) => merged.leaf(value)) };
  const found = how.lowering(rebuilt) ?? rewrite(rebuilt, build);
  if (!found) {
    settled.add(rebuilt);
    return { rule: null, results: rebuilt.outputs };
  }
  const results = merged.adopt(found.results);
  return { rule: results.every((value, k) => value === rebuilt.outputs[k]) ? null : found.rule, results };
}

/** An integer value whose elements are known is a constant, even where they hold N. */
function foldedShape(output: Value): Value | null {
  if (!output.known || output.dtype !== "int64" || output.shape.length > 1) return null;
  return dimsValue(output.known, output.shape.length === 0);
}

/**
 * Of nodes that differ only in how many outputs they give (MaxPool with and without indices), the one that
 * gives more comes first where the order allows, so that the other is merged into it.
 */
function mostOutputsFirst(nodes: readonly Node[]): Node[] {
  const richest = new Map<string, Node>();
  const ids = new Map<Value, number>();
  const idOf = (value: Value) => {
    const id = ids.get(value) ?? ids.size;
    ids.set(value, id);
    return id;
  };
  const keyOf = (node: Node) =>
    `${node.op}|${JSON.stringify(node.attributes)}|${node.inputs.map((input) => (input ? idOf(input) : "")).join()}`;
  const multiple = nodes.filter((node) => node.op === "MaxPool");
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

/** Keeps one node of each sort: equal op, attributes and inputs. */
class Merger {
  readonly #nodes = new Map<string, Node>();
  readonly #constants = new Map<string, Value>();
  /** The constants that were asked for already, whose content need not be read again. */
  readonly #leaves = new Map<Value, Value>();
  readonly #folded = new Map<Node, readonly Value[] | null>();
  readonly #adopted = new Map<Value, Value>();

  constructor(private readonly known: Pick<Known, "ids" | "texts">) {}

  #id(value: object): number {
    const { ids } = this.known;
    const before = ids.get(value);
    if (before !== undefined) return before;
    ids.set(value, ids.size);
    return ids.size - 1;
  }

  /** The one leaf that equals this one: small constants are compared by content. */
  leaf(value: Value): Value {
    const { kind } = value.source;
    if (kind !== "constant" && kind !== "dims") return value;
    const before = this.#leaves.get(value);
    if (before) return before;
    const key = contentKey(value);
    const found = key === null ? value : (this.#constants.get(key) ?? value);
    if (key !== null) this.#constants.set(key, found);
    this.#leaves.set(value, found);
    return found;
  }

  /** What a kept node folds to. Once, so that large constants, which are compared by identity, are equal too. */
  folded(node: Node): readonly Value[] | null {
    const known = this.#folded.get(node);
    if (known !== undefined) return known;
    const found = foldNode(node);
    this.#folded.set(node, found);
    return found;
  }

  node(node: Node, inputs: readonly (Value | null)[]): Node {
    const key = [
      node.domain,
      node.op,
      this.#attributes(node),
      inputs.map((input) => (input ? this.#id(input) : "-")).join(),
      definitionOf(node)?.random ? this.#id(node) : "",
    ].join("|");
    const found = this.#nodes.get(key);
    if (found && found.outputs.length >= node.outputs.length) return found;
    const same =
      inputs.every((input, k) => input === node.inputs[k]) &&
      node.outputs[0]?.source.kind === "node" &&
      node.outputs[0].source.node === node;
    const names = node.outputs.map((output) => output.name);
    const kept = same
      ? node
      : makeNode(
          { op: node.op, domain: node.domain, name: node.name, inputs, attributes: node.attributes },
          node.outputs,
          names,
        );
    this.#nodes.set(key, kept);
    return kept;
  }

  /** Takes in what a rewrite made, merging its nodes too. */
  adopt(values: readonly Value[]): Value[] {
    for (const node of nodesBefore(values, this.#adopted)) {
      const kept = this.node(
        node,
        node.inputs.map((input) => (input ? (this.#adopted.get(input) ?? this.leaf(input)) : null)),
      );
      node.outputs.forEach((output, k) => {
        this.#adopted.set(output, outputOf(kept, k));
      });
    }
    return values.map((value) => this.#adopted.get(value) ?? this.leaf(value));
  }

  #attributes({ attributes }: Node): string {
    const before = this.known.texts.get(attributes);
    if (before !== undefined) return before;
    const text = Object.entries(attributes)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, value]) => `${name}=${this.#attribute(value)}`)
      .join();
    this.known.texts.set(attributes, text);
    return text;
  }

  /** The text of a body: equal for bodies that compute the same in the same way. */
  #body({ inputs, outputs }: Body): string {
    const numbers = new Map<Value, string>(inputs.map((input, k) => [input, `i${k}`]));
    const text = (value: Value | null) =>
      value ? (numbers.get(value) ?? contentKey(value) ?? `#${this.#id(value)}`) : "-";
    const lines = nodesBefore(outputs).map((node, k) => {
      node.outputs.forEach((output, index) => {
        numbers.set(output, `n${k}.${index}`);
      });
      return `${node.domain}.${node.op}(${node.inputs.map(text).join()};${this.#attributes(node)})`;
    });
    return `{${inputs.map(({ shape }) => showShape(shape)).join()}|${lines.join("|")}|${outputs.map(text).join()}}`;
  }

  #attribute(value: Attribute): string {
    if (isBody(value)) return this.#body(value);
    return typeof value === "object" && "dtype" in value ? `#${this.#id(value)}` : JSON.stringify(value);
  }
}

/** Constants of up to this many elements are compared by content. */
const largestCompared = 256;

function contentKey(value: Value): string | null {
  const { source } = value;
  if (source.kind === "dims") return `dims:${source.scalar}:${JSON.stringify(source.dims)}`;
  if (source.kind !== "constant" || source.tensor.data.length > largestCompared) return null;
  const { dtype } = value;
  const { dims, data } = source.tensor;
  // -0 and 0 differ, and so do NaNs of different floats: their text shows it.
  const elements = isFloat(dtype)
    ? Array.from(data as Float32Array, (x) => (Object.is(x, -0) ? "-0" : String(x)))
    : Array.from(data as Int32Array, String);
  return `constant:${dtype}:${dims.join()}:${elements.join()}`;
}
