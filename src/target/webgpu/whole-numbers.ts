/**
 * Whole numbers on the GPU. Its shaders only know 32-bit ones. What a graph computes in int64 from its inputs (labels,
 * or words by their numbers) is computed in int32, and shapes that depend on N are fed, since JavaScript knows them.
 */
import { PergradError } from "../../errors.js";
import { bindShape, type Dim, factorOf, isBatch } from "../../graph/dim.js";
import { outputOf } from "../../graph/operands.js";
import { constantValue, leaf, makeNode, type Node, type Value, type ValueType } from "../../graph/value.js";
import { nodesBefore } from "../../graph/walk.js";
import { operandSource, reshapeTarget } from "../../onnx/write/dimensions.js";
import { build } from "../../ops/registry.js";
import { rowsAddedBy } from "../../ops/subgraphs/table.js";
import type { Tensor } from "../../tensor/tensor.js";
import type { Schedulable, Tensors } from "../target.js";

/** Makes an input of the graph from the program's feeds. */
export type Feed = (feeds: Tensors, samples: number) => Tensor;

export interface InInt32 {
  readonly inputs: readonly Value[];
  readonly outputs: Schedulable["outputs"];
  /** By name, the inputs that are not fed as the program is. */
  readonly feeds: ReadonlyMap<string, Feed>;
}

/** Bounds a value's elements, by absolute value: at most `times` those of the inputs, plus `plus`. */
interface Bound {
  readonly times: number;
  readonly plus: number;
}

/** The int32 form of an int64 value, and how large its elements get. */
interface Narrow {
  readonly value: Value;
  readonly bound: Bound;
}

const largest = 2 ** 31 - 1;

/** Whole numbers are computed in int32 only if inputs up to this size cannot overflow. */
const usual = 2 ** 17;

/** For operators that take int32 wherever they take int64: which inputs have that type, and how large results get. */
interface Generic {
  readonly typed: "all" | readonly number[];
  readonly bound: (bounds: readonly Bound[]) => Bound | null;
}

const most = (bounds: readonly Bound[]): Bound => ({
  times: Math.max(0, ...bounds.map(({ times }) => times)),
  plus: Math.max(0, ...bounds.map(({ plus }) => plus)),
});
const sum = (bounds: readonly Bound[]): Bound =>
  bounds.reduce((a, b) => ({ times: a.times + b.times, plus: a.plus + b.plus }), { times: 0, plus: 0 });
const product = ([a, b]: readonly Bound[]): Bound | null =>
  a && b && a.times * b.times === 0 ? { times: a.times * b.plus + a.plus * b.times, plus: a.plus * b.plus } : null;

const moved: Generic = { typed: [0], bound: most };
const compared: Generic = { typed: "all", bound: () => ({ times: 0, plus: 1 }) };
const generic = new Map<string, Generic>([
  ...["Reshape", "Expand", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Tile"].map(
    (op) => [op, moved] as const,
  ),
  ...["Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"].map((op) => [op, compared] as const),
  ["Cast", { typed: [0], bound: most }],
  ["Concat", { typed: "all", bound: most }],
  ["Where", { typed: [1, 2], bound: most }],
  ["Add", { typed: "all", bound: sum }],
  ["Sub", { typed: "all", bound: sum }],
  ["Mul", { typed: "all", bound: product }],
]);

/** Operators that take indices of either type at input 1. */
const indexed = new Set(["Gather", "GatherElements", "ScatterElements"]);

function takesIndices(node: Node): boolean {
  return (node.domain === "" && indexed.has(node.op)) || rowsAddedBy(node) !== null;
}

/** The same graph in int32, as far as it is certain that nothing overflows. */
export function inInt32({ inputs, outputs }: Schedulable): InInt32 {
  const narrowing = new Narrowing(inputs);
  for (const node of nodesBefore(outputs.map(({ value }) => value))) narrowing.node(node);
  const given = outputs.map((output) => ({ ...output, value: narrowing.wide(output.value) }));
  return { inputs: narrowing.inputs, outputs: given, feeds: narrowing.feeds };
}

class Narrowing {
  readonly feeds = new Map<string, Feed>();
  readonly #inputs: Value[];
  readonly #wide = new Map<Value, Value>();
  readonly #narrow = new Map<Value, Narrow | null>();
  readonly #shapes = new Map<string, Value>();
  /** The largest allowed element of the inputs: nothing that is computed from them then overflows. */
  #limit = largest;

  constructor(inputs: readonly Value[]) {
    this.#inputs = inputs.map((input) => (input.dtype === "int64" ? this.#narrowInput(input) : input));
  }

  get inputs(): readonly Value[] {
    return [...this.#inputs, ...this.#shapes.values()];
  }

  #narrowInput(input: Value): Value {
    const { name, shape } = input;
    const value = leaf(name, { dtype: "int32", shape }, { kind: "input" });
    this.#narrow.set(input, { value, bound: { times: 1, plus: 0 } });
    this.feeds.set(name, (feeds) => narrowTensor(name, feeds[name], this.#limit));
    return value;
  }

  /** Rebuilds a node over its changed inputs. */
  node(node: Node): void {
    if (node.outputs.every((output) => operandSource(output).kind === "dims")) return;
    if (this.#inNarrow(node)) return;
    const inputs = node.inputs.map((input, k) => {
      if (!input) return null;
      const index = k === 1 && takesIndices(node) ? this.narrow(input) : null;
      return index?.value ?? this.#operand(node, k);
    });
    if (inputs.every((input, k) => input === node.inputs[k])) return;
    const made = remade(node, inputs, node.outputs);
    for (const [k, output] of node.outputs.entries()) this.#wide.set(output, outputOf(made, k));
  }

  /** A node's input, except for a Reshape's target that is a constant in the file. */
  #operand(node: Node, k: number): Value | null {
    const input = node.inputs[k] ?? null;
    return input && !(k === 1 && reshapeTarget(node)) ? this.wide(input) : input;
  }

  /** The value in its own type, over changed inputs. */
  wide(value: Value): Value {
    const source = operandSource(value);
    if (source.kind === "dims") return source.dims.some(isBatch) ? this.#shape(source.dims, source.scalar) : value;
    const made = this.#wide.get(value);
    if (made) return made;
    const narrow = this.#narrow.get(value);
    if (!narrow || source.kind === "constant") return value;
    const cast = build.cast(narrow.value, "int64");
    this.#wide.set(value, cast);
    return cast;
  }

  /** An int64 value in int32; null if it may be too large, or is computed in int64. */
  narrow(value: Value): Narrow | null {
    const before = this.#narrow.get(value);
    if (before !== undefined || value.dtype !== "int64") return before ?? null;
    const found = narrowConstant(value);
    this.#narrow.set(value, found);
    return found;
  }

  /** Whether the node is now computed in int32. */
  #inNarrow(node: Node): boolean {
    const rule = node.domain === "" ? generic.get(node.op) : undefined;
    if (!rule) return false;
    const isTyped = (k: number) => rule.typed === "all" || rule.typed.includes(k);
    const typed = node.inputs.flatMap((input, k) => (input && isTyped(k) ? [input] : []));
    if (!typed.some(({ dtype }) => dtype === "int64")) return false;
    const narrow = typed.map((input) => this.narrow(input));
    const known = narrow.flatMap((each) => each ?? []);
    const bound = known.length === narrow.length ? rule.bound(known.map((each) => each.bound)) : null;
    if (!bound || !this.#fits(bound)) return false;
    const inputs = node.inputs.map((input, k) => {
      if (!input) return null;
      return isTyped(k) ? (this.narrow(input)?.value ?? null) : this.#operand(node, k);
    });
    if (node.op === "Cast" && node.outputs[0]?.dtype === "int64") {
      this.#narrow.set(outputOf(node, 0), { value: inputs[0] ?? outputOf(node, 0), bound });
      return true;
    }
    const types = node.outputs.map(
      ({ dtype, shape }): ValueType => ({ dtype: dtype === "int64" ? "int32" : dtype, shape }),
    );
    const made = remade(node, inputs, types);
    for (const [k, output] of node.outputs.entries()) {
      const value = outputOf(made, k);
      if (output.dtype === "int64") this.#narrow.set(output, { value, bound });
      else this.#wide.set(output, value);
    }
    return true;
  }

  /** Whether no usual input overflows; then no accepted input will. */
  #fits({ times, plus }: Bound): boolean {
    const limit = times === 0 ? largest : Math.floor((largest - plus) / times);
    if (plus > largest || limit < usual) return false;
    this.#limit = Math.min(this.#limit, limit);
    return true;
  }

  /** An input that is fed these dimensions. */
  #shape(dims: readonly Dim[], scalar: boolean): Value {
    const name = `shape/${dims.map((dim) => (isBatch(dim) ? `N*${dim.perSample}` : dim)).join(",")}${scalar ? "/scalar" : ""}`;
    const before = this.#shapes.get(name);
    if (before) return before;
    const shape = scalar ? [] : [dims.length];
    const made = leaf(name, { dtype: "int64", shape }, { kind: "input" });
    this.#shapes.set(name, made);
    this.feeds.set(name, (_, samples) => ({
      dtype: "int64",
      dims: shape,
      data: BigInt64Array.from(bindShape(dims, samples), BigInt),
    }));
    return made;
  }
}

function remade(node: Node, inputs: readonly (Value | null)[], types: readonly ValueType[]): Node {
  const { op, domain, name, attributes, outputs } = node;
  const names = outputs.map((output) => output.name);
  return makeNode({ op, domain, name, attributes, inputs }, types, names);
}

function narrowConstant(value: Value): Narrow | null {
  const source = operandSource(value);
  if (source.kind === "dims") {
    if (source.dims.some(isBatch)) return null;
    const data = source.dims.map(factorOf);
    return narrowOf(value, data, source.scalar ? [] : [data.length]);
  }
  if (source.kind !== "constant" || source.tensor.dtype !== "int64") return null;
  return narrowOf(value, Array.from(source.tensor.data, Number), source.tensor.dims);
}

function narrowOf({ name }: Value, elements: readonly number[], dims: readonly number[]): Narrow | null {
  const plus = elements.reduce((greatest, element) => Math.max(greatest, Math.abs(element)), 0);
  if (plus > largest) return null;
  const value = constantValue({ dtype: "int32", dims, data: Int32Array.from(elements) }, name);
  return { value, bound: { times: 0, plus } };
}

/** Throws INVALID_ARGUMENT. */
function narrowTensor(name: string, tensor: Tensor | undefined, limit: number): Tensor {
  if (tensor?.dtype !== "int64")
    throw new PergradError("INVALID_ARGUMENT", `The input "${name}" holds whole numbers; give it as an int64 tensor.`);
  const { dims, data: given } = tensor as Tensor<"int64">;
  const data = Int32Array.from({ length: given.length }, (_, k) => {
    const element = Number(given[k]);
    if (Math.abs(element) <= limit) return element;
    throw new PergradError(
      "INVALID_ARGUMENT",
      `The input "${name}" holds ${element}, but this program computes on the GPU with whole numbers up to ${limit}; import "pergrad" in place of "pergrad/webgpu".`,
    );
  });
  return { dtype: "int32", dims, data };
}
