/** Merges equal nodes and equal constants into one. */

import { isBody } from "../graph/body.js";
import { showShape } from "../graph/dim.js";
import { outputOf } from "../graph/operands.js";
import { remade } from "../graph/remade.js";
import { type Attribute, type Attributes, type Body, type Node, nodeOf, type Value } from "../graph/value.js";
import { nodesBefore } from "../graph/walk.js";
import { foldNode } from "../interpret/fold.js";
import { definitionOf } from "../ops/registry.js";
import { isFloat } from "../tensor/tensor.js";

/**
 * Keys by which nodes, constants and attributes are compared. A key is found once: nodes never change, so it serves all
 * passes of a clean-up.
 */
export class Identities {
  readonly #numbers = new Map<object, number>();
  readonly #keys = new Map<Node, string>();
  readonly #contents = new Map<Value, string | null>();
  readonly #attributes = new Map<Attributes, string>();

  /** The key of a node as it is; undefined if none was set. */
  known(node: Node): string | undefined {
    return this.#keys.get(node);
  }

  /** Sets the key of a node as it is. */
  set(node: Node, key: string): void {
    this.#keys.set(node, key);
  }

  /** Equal for nodes that have equal ops and attributes and read the same values. */
  keyOf(node: Node, inputs: readonly (Value | null)[]): string {
    let key = `${node.domain}|${node.op}|${this.#textOf(node.attributes)}|`;
    for (const input of inputs) key += input ? `${this.#number(input)},` : "-,";
    return definitionOf(node)?.random ? `${key}|${this.#number(node)}` : key;
  }

  /** Equal for equal small constants; null for values that are compared by identity. */
  contentOf(value: Value): string | null {
    const before = this.#contents.get(value);
    if (before !== undefined) return before;
    const content = contentKey(value);
    this.#contents.set(value, content);
    return content;
  }

  #number(value: object): number {
    const before = this.#numbers.get(value);
    if (before !== undefined) return before;
    this.#numbers.set(value, this.#numbers.size);
    return this.#numbers.size - 1;
  }

  #textOf(attributes: Attributes): string {
    const before = this.#attributes.get(attributes);
    if (before !== undefined) return before;
    const text = Object.entries(attributes)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, value]) => `${name}=${this.#attribute(value)}`)
      .join();
    this.#attributes.set(attributes, text);
    return text;
  }

  #attribute(value: Attribute): string {
    if (isBody(value)) return this.#body(value);
    return typeof value === "object" && "dtype" in value ? `#${this.#number(value)}` : JSON.stringify(value);
  }

  /** The text of a body: equal for bodies that compute the same in the same way. */
  #body({ inputs, outputs }: Body): string {
    const numbers = new Map<Value, string>(inputs.map((input, k) => [input, `i${k}`]));
    const text = (value: Value | null) =>
      value ? (numbers.get(value) ?? this.contentOf(value) ?? `#${this.#number(value)}`) : "-";
    const lines = nodesBefore(outputs).map((node, k) => {
      node.outputs.forEach((output, index) => {
        numbers.set(output, `n${k}.${index}`);
      });
      return `${node.domain}.${node.op}(${node.inputs.map(text).join()};${this.#textOf(node.attributes)})`;
    });
    return `{${inputs.map(({ shape }) => showShape(shape)).join()}|${lines.join("|")}|${outputs.map(text).join()}}`;
  }
}

/** Keeps one of all nodes with equal op, attributes and inputs, in one pass. */
export class Merger {
  readonly #nodes = new Map<string, Node>();
  readonly #kept = new Set<Node>();
  readonly #constants = new Map<string, Value>();
  readonly #folded = new Map<Node, readonly Value[] | null>();

  constructor(private readonly identities: Identities) {}

  /** The one leaf that stands for all leaves equal to this one: small constants are compared by content. */
  leaf(value: Value): Value {
    const { kind } = value.source;
    if (kind !== "constant" && kind !== "dims") return value;
    const key = this.identities.contentOf(value);
    if (key === null) return value;
    const found = this.#constants.get(key);
    if (found) return found;
    this.#constants.set(key, value);
    return value;
  }

  /**
   * The constants that a kept node folds to. They are made once, so that large constants, which are compared by
   * identity, are equal too.
   */
  folded(node: Node): readonly Value[] | null {
    const known = this.#folded.get(node);
    if (known !== undefined) return known;
    const found = foldNode(node);
    this.#folded.set(node, found);
    return found;
  }

  /** The kept node that equals this one over these inputs. */
  node(node: Node, inputs: readonly (Value | null)[]): Node {
    const first = node.outputs[0];
    const same = first && nodeOf(first) === node && inputs.every((input, k) => input === node.inputs[k]);
    const key = (same ? this.identities.known(node) : undefined) ?? this.identities.keyOf(node, inputs);
    const found = this.#nodes.get(key);
    if (found && found.outputs.length >= node.outputs.length) return found;
    const kept = same ? node : remade(node, { inputs });
    this.identities.set(kept, key);
    this.#nodes.set(key, kept);
    this.#kept.add(kept);
    return kept;
  }

  /** Whether a node is one of the kept ones. */
  keeps(node: Node | undefined): boolean {
    return node !== undefined && this.#kept.has(node);
  }
}

/** The same outputs, with one node in place of equal ones. */
export function merged(outputs: readonly Value[]): Value[] {
  const merger = new Merger(new Identities());
  const current = new Map<Value, Value>();
  const now = (value: Value) => current.get(value) ?? merger.leaf(value);
  for (const node of nodesBefore(outputs)) {
    const inputs = node.inputs.map((input) => (input ? now(input) : null));
    const kept = merger.node(node, inputs);
    if (kept === node) continue;
    node.outputs.forEach((output, k) => {
      current.set(output, outputOf(kept, k));
    });
  }
  return outputs.map(now);
}

/** Constants of up to this many elements are compared by content. */
const largestCompared = 256;

function contentKey(value: Value): string | null {
  const { source } = value;
  if (source.kind === "dims") return `dims:${source.scalar}:${JSON.stringify(source.dims)}`;
  if (source.kind !== "constant" || source.tensor.data.length > largestCompared) return null;
  const { dtype } = value;
  const { dims, data } = source.tensor;
  // -0 and 0 differ, and so do NaNs of different floats; their text shows it.
  const elements = isFloat(dtype)
    ? Array.from(data as Float32Array, (x) => (Object.is(x, -0) ? "-0" : String(x)))
    : Array.from(data as Int32Array, String);
  return `constant:${dtype}:${dims.join()}:${elements.join()}`;
}
