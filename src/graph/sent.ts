/** Graphs as plain data, to send to another thread: values are numbered, and each comes after what it reads. */
import { defect } from "../errors.js";
import { isBody } from "./body.js";
import { type Attribute, type Leaf, leaf, makeNode, type Node, type Value, type ValueType } from "./value.js";
import { nodesBefore, presentInputs } from "./walk.js";

/** The number of a value. */
export type Sent = number;

type SentSource =
  | Exclude<Leaf, { readonly kind: "constant" }>
  | (Omit<Extract<Leaf, { readonly kind: "constant" }>, "from"> & { readonly from?: Sent });

interface SentType extends ValueType {
  readonly name: string;
}

type SentLeaf = SentType & { readonly source: SentSource };

type SentAttribute =
  | Exclude<Attribute, { readonly inputs: unknown }>
  | { readonly body: { readonly inputs: readonly Sent[]; readonly outputs: readonly Sent[] } };

interface SentNode extends Pick<Node, "op" | "domain" | "name"> {
  readonly inputs: readonly (Sent | null)[];
  readonly attributes: readonly (readonly [string, SentAttribute])[];
  readonly outputs: readonly SentType[];
}

/** All values that were sent, in the order of their numbers: a leaf takes one number, a node one for each output. */
export type SentGraph = readonly (SentLeaf | SentNode)[];

/** Converts values, and everything they are computed from, to plain data. */
export class Sending {
  readonly #entries: (SentLeaf | SentNode)[] = [];
  readonly #numbers = new Map<Value, Sent>();
  #next = 0;

  get graph(): SentGraph {
    return this.#entries;
  }

  value(value: Value): Sent {
    for (const node of nodesBefore([value], this.#numbers)) this.#add(node);
    return this.#numbers.get(value) ?? this.#leaf(value);
  }

  values(values: readonly Value[]): Sent[] {
    return values.map((value) => this.value(value));
  }

  #number(value: Value): Sent {
    const number = this.#next++;
    this.#numbers.set(value, number);
    return number;
  }

  #leaf(value: Value): Sent {
    const { source } = value;
    if (source.kind === "node") throw defect(`the value "${value.name}" is sent before its node`);
    const sent = source.kind === "constant" ? this.#constant(source) : source;
    this.#entries.push({ ...typeOf(value), source: sent });
    return this.#number(value);
  }

  #constant({ from, ...source }: Extract<Leaf, { readonly kind: "constant" }>): SentSource {
    return from ? { ...source, from: this.value(from) } : source;
  }

  #add(node: Node): void {
    for (const input of presentInputs(node)) if (!this.#numbers.has(input)) this.#leaf(input);
    const { op, domain, name } = node;
    const inputs = node.inputs.map((input) => (input ? this.value(input) : null));
    const attributes = Object.entries(node.attributes).map(([key, each]) => [key, this.#attribute(each)] as const);
    this.#entries.push({ op, domain, name, inputs, attributes, outputs: node.outputs.map(typeOf) });
    for (const output of node.outputs) this.#number(output);
  }

  #attribute(attribute: Attribute): SentAttribute {
    if (!isBody(attribute)) return attribute;
    return { body: { inputs: this.values(attribute.inputs), outputs: this.values(attribute.outputs) } };
  }
}

function typeOf({ name, dtype, shape, known }: Value): SentType {
  return { name, dtype, shape, ...(known ? { known } : {}) };
}

/** Makes values from what was sent: a new one for each number. */
export class Received {
  readonly #values: Value[] = [];

  constructor(graph: SentGraph) {
    for (const entry of graph) {
      if ("source" in entry) this.#values.push(leaf(entry.name, entry, this.#source(entry.source)));
      else this.#values.push(...this.#node(entry).outputs);
    }
  }

  value(number: Sent): Value {
    const value = this.#values[number];
    if (!value) throw defect(`the value ${number} was not sent`);
    return value;
  }

  values(numbers: readonly Sent[]): Value[] {
    return numbers.map((number) => this.value(number));
  }

  #source(source: SentSource): Leaf {
    if (source.kind !== "constant") return source;
    const { from, ...own } = source;
    return from === undefined ? own : { ...own, from: this.value(from) };
  }

  #node({ op, domain, name, inputs, attributes, outputs }: SentNode): Node {
    const given = inputs.map((input) => (input === null ? null : this.value(input)));
    const own = attributes.map(([key, each]) => [key, this.#attribute(each)] as const);
    const spec = { op, domain, name, inputs: given, attributes: Object.fromEntries(own) };
    return makeNode(
      spec,
      outputs,
      outputs.map((output) => output.name),
    );
  }

  #attribute(attribute: SentAttribute): Attribute {
    if (typeof attribute !== "object" || !("body" in attribute)) return attribute;
    const { inputs, outputs } = attribute.body;
    return { inputs: this.values(inputs), outputs: this.values(outputs) };
  }
}
