import type { DType, Tensor } from "../tensor/tensor.js";
import type { Dim, Shape } from "./dim.js";

/** An attribute of a node, as ONNX has them. */
export type Attribute = number | string | readonly number[] | readonly string[] | Tensor | Body;
export type Attributes = Readonly<Record<string, Attribute>>;

/** A graph inside a node, as Scan has one. `inputs` are leaves of its own; it reads nothing from around it. */
export interface Body {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
}

/** What a value is, where it is not computed by a node. */
export type Leaf =
  /** Fed at every run. */
  | { readonly kind: "input" }
  /** A trainable or frozen weight: fed, or stored in the file as an initializer; perhaps with a value to start from. */
  | { readonly kind: "parameter"; readonly initial?: Tensor<"float32"> }
  /** A constant; perhaps computed from others when the graph was made, as `from` was. */
  | { readonly kind: "constant"; readonly tensor: Tensor; readonly from?: Value }
  /** int64 constant whose elements are dimensions, maybe multiples of N: a shape, known at compile time. */
  | { readonly kind: "dims"; readonly scalar: boolean; readonly dims: readonly Dim[] };

export type Source = Leaf | { readonly kind: "node"; readonly node: Node; readonly index: number };

/** One tensor of a graph. Values are immutable and are compared by identity. */
export interface Value {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
  /**
   * The elements of an integer scalar or vector, where they are known at compile time (perhaps as
   * multiples of N): what makes shape arithmetic disappear.
   */
  readonly known?: readonly Dim[];
  readonly source: Source;
}

/** One operation. An absent optional input is null. */
export interface Node {
  readonly op: string;
  /** "" is the ONNX default domain. */
  readonly domain: string;
  readonly name: string;
  readonly inputs: readonly (Value | null)[];
  readonly attributes: Attributes;
  readonly outputs: readonly Value[];
}

/** The dtype, shape and (for shape arithmetic) elements of an output, as `infer` finds them. */
export interface ValueType {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly known?: readonly Dim[];
}

/** A model: named inputs and parameters, and named outputs. The nodes between are reached from the outputs. */
export interface Graph {
  readonly inputs: readonly Value[];
  readonly parameters: readonly Value[];
  readonly outputs: readonly { readonly name: string; readonly value: Value }[];
}

export function leaf(name: string, type: ValueType, source: Leaf): Value {
  return { name, dtype: type.dtype, shape: type.shape, ...(type.known ? { known: type.known } : {}), source };
}

/** Elements of integer constants up to this size are followed through shape arithmetic. */
const largestKnown = 64;

/**
 * A constant value. Of a float32 constant the tensor may be float64: the graph rounds it when it is
 * emitted, the float64 reference does not.
 */
export function constantValue(tensor: Tensor, name = "", dtype: DType = tensor.dtype): Value {
  const integer = dtype === "int64" || dtype === "int32" || dtype === "bool";
  const known = integer && tensor.dims.length <= 1 && tensor.data.length <= largestKnown;
  return leaf(
    name,
    { dtype, shape: tensor.dims, ...(known ? { known: Array.from(tensor.data, Number) } : {}) },
    { kind: "constant", tensor },
  );
}

/** An int64 vector (or scalar) of dimensions, known at compile time. */
export function dimsValue(dims: readonly Dim[], scalar = false): Value {
  return leaf("", { dtype: "int64", shape: scalar ? [] : [dims.length], known: dims }, { kind: "dims", scalar, dims });
}

/** Makes a node and its outputs. Output k is named `names[k]`, or left unnamed. */
export function makeNode(
  spec: Omit<Node, "outputs">,
  types: readonly ValueType[],
  names: readonly string[] = [],
): Node {
  const outputs: Value[] = [];
  const node: Node = { ...spec, outputs };
  types.forEach((type, index) => {
    const { dtype, shape, known } = type;
    const base = { name: names[index] ?? "", dtype, shape, source: { kind: "node", node, index } } as const;
    outputs.push(known ? { ...base, known } : base);
  });
  return node;
}

export function nodeOf(value: Value): Node | undefined {
  return value.source.kind === "node" ? value.source.node : undefined;
}

/** The tensor of a constant, or undefined. */
export function constantOf(value: Value | null | undefined): Tensor | undefined {
  return value?.source.kind === "constant" ? value.source.tensor : undefined;
}

/** How messages name a node: its own name, else the name of its first output, else its op. */
export function describeNode(node: Pick<Node, "op" | "name" | "outputs">): string {
  const name = node.name || node.outputs.find((output) => output.name)?.name;
  return name ? `${node.op} node "${name}"` : `${node.op} node`;
}
