import { type DType, isFloat, type Tensor } from "../tensor/tensor.js";
import { type Dim, type Shape, showDim, showShape } from "./dim.js";

/** An attribute of a node, as ONNX has them. */
export type Attribute = number | string | readonly number[] | readonly string[] | Tensor | Body;
export type Attributes = Readonly<Record<string, Attribute>>;

/** A graph inside a node, as Scan has. `inputs` are leaves of its own; it reads nothing from outside. */
export interface Body {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
}

/** The source of a value that no node computes. */
export type Leaf =
  /** Fed at every run. */
  | { readonly kind: "input" }
  /** A trainable or frozen weight: fed, or stored in the file as an initializer; it may have an initial value. */
  | { readonly kind: "parameter"; readonly initial?: Tensor<"float32"> }
  /** A constant; `from` is the value it was folded from, if any. */
  | { readonly kind: "constant"; readonly tensor: Tensor; readonly from?: Value }
  /** An int64 constant whose elements are dimensions, perhaps multiples of N: a shape, known at compile time. */
  | { readonly kind: "dims"; readonly scalar: boolean; readonly dims: readonly Dim[] };

export type Source = Leaf | { readonly kind: "node"; readonly node: Node; readonly index: number };

/** One tensor of a graph. Values are immutable and are compared by identity. */
export interface Value {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
  /**
   * The elements of an integer scalar or vector, if they are known at compile time (perhaps as multiples of N). They
   * let shape arithmetic be folded.
   */
  readonly known?: readonly Dim[] | undefined;
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

/** The dtype and shape of an output, and its elements in shape arithmetic, as `infer` finds them. */
export interface ValueType {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly known?: readonly Dim[] | undefined;
}

/** A model: named inputs and parameters, and named outputs. The nodes between are reached from the outputs. */
export interface Graph {
  /** What is fed at every run. */
  readonly inputs: readonly Value[];
  /** The weights. */
  readonly parameters: readonly Value[];
  /** The results, by name. */
  readonly outputs: readonly {
    /** Its name in the file and in results. */
    readonly name: string;
    /** What is computed. */
    readonly value: Value;
  }[];
}

/** The method that Node's inspector (`console.log`) calls; elsewhere it is a name like any other. */
export const inspected: unique symbol = Symbol.for("nodejs.util.inspect.custom");

/** A value that prints as text. Its fields are only declared: a compile makes thousands, and sets each field once. */
class PrintedValue implements Value {
  declare readonly name: string;
  declare readonly dtype: DType;
  declare readonly shape: Shape;
  declare readonly known: readonly Dim[] | undefined;
  declare readonly source: Source;

  constructor(name: string, { dtype, shape, known }: ValueType, source: Source) {
    this.name = name;
    this.dtype = dtype;
    this.shape = shape;
    this.known = known;
    this.source = source;
  }

  toString(): string {
    return describeValue(this);
  }

  [inspected](): string {
    return describeValue(this);
  }
}

export function leaf(name: string, type: ValueType, source: Leaf): Value {
  return new PrintedValue(name, type, source);
}

/** Integer constants of up to this many elements are followed through shape arithmetic. */
const largestKnown = 64;

/**
 * A constant value. The tensor of a float32 constant may be float64: the graph rounds it when it is emitted, the
 * float64 reference does not.
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
  { op, domain, name, inputs, attributes }: Omit<Node, "outputs">,
  types: readonly ValueType[],
  names: readonly string[] = [],
): Node {
  const outputs: Value[] = [];
  const node: Node = { op, domain, name, inputs, attributes, outputs };
  for (const type of types) {
    const index = outputs.length;
    outputs.push(new PrintedValue(names[index] ?? "", type, { kind: "node", node, index }));
  }
  return node;
}

export function nodeOf(value: Value): Node | undefined {
  return value.source.kind === "node" ? value.source.node : undefined;
}

/** The tensor of a constant, or undefined. */
export function constantOf(value: Value | null | undefined): Tensor | undefined {
  return value?.source.kind === "constant" ? value.source.tensor : undefined;
}

/** The elements of a small constant. Floats are included: casts to integers need them. */
export function elementsOfConstant(value: Value | null | undefined): readonly number[] | undefined {
  const data = constantOf(value)?.data;
  return data && data.length <= largestKnown ? Array.from(data as ArrayLike<number>, Number) : undefined;
}

/** How messages name a node: its own name, else the name of its first output, else its op. */
export function describeNode(node: Pick<Node, "op" | "name" | "outputs">): string {
  const name = node.name || node.outputs.find((output) => output.name)?.name;
  return name ? `${node.op} node "${name}"` : `${node.op} node`;
}

/** How a text names the operands of a node. */
export type NameOf = (value: Value) => string | undefined;

/** Constants of up to this many elements are printed in full. */
const mostPrinted = 8;

/**
 * A value in one line: `h1: float32 [N, 16] = Relu(h0)`. A value without a name is printed by its operator:
 * `Relu(...)`.
 */
function describeValue(value: Value): string {
  const { source, name } = value;
  const typed = `${name === "" ? "" : `${name}: `}${showType(value)}`;
  if (source.kind === "input" || source.kind === "parameter") return `${typed} (${source.kind})`;
  if (source.kind !== "node") return `${typed} = ${showOperand({ ...value, name: "" })}`;
  const output = source.node.outputs.length > 1 ? `[${source.index}]` : "";
  return `${typed} = ${showCall(source.node)}${output}`;
}

/** `float32 [N, 16]` */
export function showType({ dtype, shape }: Pick<Value, "dtype" | "shape">): string {
  return `${dtype} ${showShape(shape)}`;
}

/** A node as a call: `Gemm(x, fc.weight, transB=1)`. Bodies are omitted. */
export function showCall({ op, domain, inputs, attributes }: Node, nameOf: NameOf = ownName): string {
  const operands = inputs.map((input) => (input ? showOperand(input, nameOf) : "none"));
  const settings = Object.entries(attributes).map(([name, value]) => `${name}=${showAttribute(value)}`);
  return `${domain === "" ? "" : `${domain}.`}${op}(${[...operands, ...settings].join(", ")})`;
}

/** A value as a node reads it: its name, or the elements of a small constant. */
export function showOperand(value: Value, nameOf: NameOf = ownName): string {
  const { source, shape, known } = value;
  if (source.kind === "constant" && isSmall(source.tensor)) return showElements(source.tensor);
  if (source.kind === "dims") return source.scalar ? source.dims.map(showDim).join() : showShape(source.dims);
  const name = nameOf(value);
  if (name !== undefined) return name;
  if (known) return shape.length === 0 ? known.map(showDim).join() : showShape(known);
  if (source.kind === "node") return `${source.node.op}(...)`;
  return `${source.kind} ${showType(value)}`;
}

function ownName({ name }: Value): string | undefined {
  return name === "" ? undefined : name;
}

function showAttribute(value: Attribute): string {
  if (typeof value === "number") return showNumber(value);
  if (typeof value === "string") return JSON.stringify(value);
  if ("outputs" in value) return "{...}";
  if ("dtype" in value) return isSmall(value) ? showElements(value) : `constant ${typeOfTensor(value)}`;
  const elements: readonly (number | string)[] = value;
  return `[${elements.map(showAttribute).join(", ")}]`;
}

/** Half-precision numbers are bits, so they are not printed. */
function isSmall({ dtype, data }: Tensor): boolean {
  return data.length <= mostPrinted && dtype !== "float16";
}

function showElements({ dtype, dims, data }: Tensor): string {
  const show = (element: number | bigint) => {
    if (dtype === "bool") return String(element !== 0);
    return isFloat(dtype) ? showNumber(Number(element)) : String(element);
  };
  const elements = Array.from<number | bigint, string>(data, show);
  if (dims.length === 0) return elements.join();
  return `[${elements.join(", ")}]${dims.length === 1 ? "" : ` ${showShape(dims)}`}`;
}

function typeOfTensor({ dtype, dims }: Tensor): string {
  return showType({ dtype, shape: dims });
}

/** A number in as few digits as identify it in float32. */
function showNumber(value: number): string {
  return String(Number(value.toPrecision(7)));
}
