/** A graph as text: one line for each node, with names, dtypes, shapes and, if they are known, sample axes. */

import { SampleAxes } from "../analysis/sample-axes.js";
import { PergradError } from "../errors.js";
import { isBody } from "../graph/body.js";
import type { SampleAxis } from "../graph/sample-axis.js";
import {
  type Body,
  type Graph,
  type NameOf,
  type Node,
  showCall,
  showOperand,
  showType,
  type Value,
} from "../graph/value.js";
import { leavesOf, nodesBefore } from "../graph/walk.js";
import { Names } from "../onnx/names.js";

/** Options of `printGraph`. */
export interface PrintOptions {
  /** The axis of each input that holds the samples, by the input's name. Default: none, and no sample axes are printed. */
  readonly sampleAxes?: Readonly<Record<string, number | null>>;
}

/**
 * The graph as text; each node comes after those it reads. Values without a name are named after their operators, as in
 * a file that is written from the graph.
 */
export function printGraph(graph: Graph, { sampleAxes = {} }: PrintOptions = {}): string {
  const results = graph.outputs.map(({ value }) => value);
  const given = graph.inputs.flatMap((value) => {
    const axis = sampleAxes[value.name] ?? null;
    return axis === null ? [] : [[value, axis] as const];
  });
  const sections = listed(graph, new Listing(axesBefore(results, new Map(given))));
  return sections.flatMap(({ heading, lines }) => section(heading, lines)).join("");
}

/** The names that values have in the text. */
export function namesIn(graph: Graph): NameOf {
  const listing = new Listing(new Map());
  listed(graph, listing);
  return (value) => listing.nameOf(value);
}

interface Section {
  readonly heading: string;
  readonly lines: readonly string[];
}

function listed({ inputs, parameters, outputs }: Graph, listing: Listing): Section[] {
  const results = outputs.map(({ value }) => value);
  const known = new Set([...inputs, ...parameters]);
  const others = leavesOf(results).filter((value) => !known.has(value));
  const leaves = (listed: readonly Value[], kind: Value["source"]["kind"]) =>
    [...listed, ...others.filter(({ source }) => source.kind === kind)].map((value) => listing.leaf(value));
  return [
    { heading: "inputs", lines: leaves(inputs, "input") },
    { heading: "parameters", lines: leaves(parameters, "parameter") },
    { heading: "nodes", lines: listing.nodes(nodesBefore(results)) },
    { heading: "outputs", lines: outputs.map(({ name, value }) => listing.output(name, value)) },
  ];
}

function section(heading: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [`${heading}\n`, ...lines.map((line) => `  ${line}\n`)];
}

/**
 * Where values carry the samples. Values behind a node at which samples meet, such as a sum over them, are left out.
 */
function axesBefore(results: readonly Value[], given: ReadonlyMap<Value, number>): ReadonlyMap<Value, SampleAxis> {
  const found = new Map<Value, SampleAxis>();
  if (given.size === 0) return found;
  const axes = new SampleAxes(given);
  const unknown = new Set<Value>();
  const take = (value: Value) => {
    const at = axes.along(value);
    if (at) found.set(value, at);
  };
  for (const value of given.keys()) take(value);
  for (const { inputs, outputs } of nodesBefore(results)) {
    if (inputs.some((input) => input && unknown.has(input)) || !attempt(() => outputs.forEach(take))) {
      for (const output of outputs) unknown.add(output);
    }
  }
  return found;
}

/** Whether `act` succeeds; it fails if samples meet. */
function attempt(act: () => void): boolean {
  try {
    act();
    return true;
  } catch (error) {
    if (error instanceof PergradError) return false;
    throw error;
  }
}

/** Gives values names, and writes lines. */
class Listing {
  readonly #names = new Names();
  readonly #nameOf = new Map<Value, string>();

  constructor(private readonly axes: ReadonlyMap<Value, SampleAxis>) {}

  nameOf(value: Value): string | undefined {
    return this.#nameOf.get(value);
  }

  leaf(value: Value): string {
    return `${this.#name(value, value.source.kind)}: ${showType(value)}${this.#remarks(value)}`;
  }

  output(name: string, value: Value): string {
    return `${name} = ${this.#operand(value)}: ${showType(value)}${this.#remarks(value)}`;
  }

  nodes(nodes: readonly Node[]): string[] {
    return nodes.flatMap((node) => this.#node(node));
  }

  #node(node: Node): string[] {
    const outputs = node.outputs.map((value) => `${this.#name(value, node.op)}: ${showType(value)}`);
    const call = showCall(node, (value) => this.#nameOf.get(value));
    const [first] = node.outputs;
    const scope = node.name === "" || node.name === first?.name ? [] : [`node "${node.name}"`];
    const line = `${outputs.join(", ")} = ${call}${first ? this.#remarks(first, scope) : ""}`;
    const bodies = Object.entries(node.attributes).flatMap(([name, value]) =>
      isBody(value) ? this.#body(name, value) : [],
    );
    return [line, ...bodies.map((inner) => `  ${inner}`)];
  }

  #body(name: string, { inputs, outputs }: Body): string[] {
    const taken = inputs.map((value) => `${this.#name(value, "step")}: ${showType(value)}`);
    const nodes = this.nodes(nodesBefore(outputs, new Set(inputs)));
    const given = outputs.map((value) => this.#operand(value));
    return [`${name}(${taken.join(", ")})`, ...nodes.map((line) => `  ${line}`), `  gives ${given.join(", ")}`];
  }

  #name(value: Value, otherwise: string): string {
    const name = this.#nameOf.get(value) ?? this.#names.fresh(value.name || otherwise);
    this.#nameOf.set(value, name);
    return name;
  }

  #operand(value: Value): string {
    return showOperand(value, (each) => this.#nameOf.get(each));
  }

  #remarks(value: Value, others: readonly string[] = []): string {
    const at = this.axes.get(value);
    const remarks = [...others, ...(at ? [samplesAt(at)] : [])];
    return remarks.length === 0 ? "" : `  # ${remarks.join("; ")}`;
  }
}

function samplesAt({ axis, outer, inner }: SampleAxis): string {
  const parts = [...(outer === 1 ? [] : [outer]), "N", ...(inner === 1 ? [] : [inner])];
  return `samples: axis ${axis}${parts.length === 1 ? "" : ` as ${parts.join(" x ")}`}`;
}
