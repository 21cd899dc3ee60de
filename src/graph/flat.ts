/**
 * A graph as flat lists, to send to another thread: structured cloning follows nested references, and overflows its
 * stack on a graph of a few thousand nodes.
 */
import { nth, present } from "../present.js";
import type { DType, Tensor, TypedArray } from "../tensor/tensor.js";
import type { Dim } from "./dim.js";
import { type Attribute, type Attributes, type Body, leaf, makeNode, type Node, type Value } from "./value.js";
import { leavesOf, nodesBefore } from "./walk.js";

interface FlatType {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly Dim[];
  readonly known?: readonly Dim[];
}

type FlatLeaf = FlatType & {
  readonly source:
    | { readonly kind: "input" | "parameter" }
    | { readonly kind: "constant"; readonly tensor: Tensor }
    | { readonly kind: "dims"; readonly scalar: boolean; readonly dims: readonly Dim[] };
};

interface FlatBody {
  /** How many of the graph's values are the body's inputs; the others are its outputs. */
  readonly inputs: number;
  readonly graph: FlatGraph;
}

interface FlatNode {
  readonly op: string;
  readonly domain: string;
  readonly name: string;
  readonly inputs: readonly (number | null)[];
  readonly attributes: readonly (readonly [string, { readonly body: FlatBody } | { readonly plain: Plain }])[];
  readonly outputs: readonly FlatType[];
}

type Plain = Exclude<Attribute, Body>;

/**
 * Values are numbered: first the leaves, then the outputs of one node after another. Nodes come after what they read.
 */
export interface FlatGraph {
  readonly leaves: readonly FlatLeaf[];
  readonly nodes: readonly FlatNode[];
  /** The requested values. */
  readonly values: readonly number[];
}

/** Smaller arrays are copied. */
const worthSharing = 4096;

/** The same elements in memory that all threads share; an array that is already there is returned as it is. */
export function inSharedMemory<A extends TypedArray>(data: A): A {
  if (data.byteLength < worthSharing || data.buffer instanceof SharedArrayBuffer) return data;
  const copy = new Uint8Array(new SharedArrayBuffer(data.byteLength));
  copy.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  const array = data.constructor as new (buffer: SharedArrayBuffer) => A;
  return new array(copy.buffer);
}

/**
 * Flattens everything that `values` are computed from. Large constants are in shared memory; initial values of
 * parameters are left out.
 */
export function flatten(values: readonly Value[]): FlatGraph {
  const numbers = new Map<Value, number>();
  const number = (value: Value) => numbers.set(value, numbers.size);
  const own = leavesOf(values);
  own.forEach(number);
  const nodes = nodesBefore(values);
  for (const node of nodes) node.outputs.forEach(number);
  const at = (value: Value) => present(numbers.get(value));
  return {
    leaves: own.map(flatLeaf),
    nodes: nodes.map((node) => flatNode(node, at)),
    values: values.map(at),
  };
}

function typeOf({ name, dtype, shape, known }: Value): FlatType {
  return { name, dtype, shape, ...(known ? { known } : {}) };
}

function flatLeaf(value: Value): FlatLeaf {
  const { source } = value;
  if (source.kind === "constant") {
    const tensor = { ...source.tensor, data: inSharedMemory(source.tensor.data) } as Tensor;
    return { ...typeOf(value), source: { kind: "constant", tensor } };
  }
  if (source.kind === "dims") return { ...typeOf(value), source };
  return { ...typeOf(value), source: { kind: source.kind === "input" ? "input" : "parameter" } };
}

function flatNode({ op, domain, name, inputs, attributes, outputs }: Node, at: (value: Value) => number): FlatNode {
  return {
    op,
    domain,
    name,
    inputs: inputs.map((input) => input && at(input)),
    attributes: Object.entries(attributes).map(([key, attribute]) => [
      key,
      isBody(attribute) ? { body: flatBody(attribute) } : { plain: attribute },
    ]),
    outputs: outputs.map(typeOf),
  };
}

function isBody(attribute: Attribute): attribute is Body {
  return typeof attribute === "object" && "outputs" in attribute;
}

function flatBody({ inputs, outputs }: Body): FlatBody {
  return { inputs: inputs.length, graph: flatten([...inputs, ...outputs]) };
}

/** Makes the flattened values again. */
export function restore({ leaves, nodes, values }: FlatGraph): Value[] {
  const all = leaves.map(({ source, ...type }) => leaf(type.name, type, source));
  for (const { outputs, inputs, attributes, ...spec } of nodes) {
    const made = makeNode(
      {
        ...spec,
        inputs: inputs.map((input) => (input === null ? null : nth(all, input))),
        attributes: restoreAttributes(attributes),
      },
      outputs,
      outputs.map(({ name }) => name),
    );
    all.push(...made.outputs);
  }
  return values.map((value) => nth(all, value));
}

function restoreAttributes(attributes: FlatNode["attributes"]): Attributes {
  return Object.fromEntries(
    attributes.map(([key, attribute]) => [key, "body" in attribute ? restoreBody(attribute.body) : attribute.plain]),
  );
}

function restoreBody({ inputs, graph }: FlatBody): Body {
  const values = restore(graph);
  return { inputs: values.slice(0, inputs), outputs: values.slice(inputs) };
}
