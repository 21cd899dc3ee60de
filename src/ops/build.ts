import { PergradError } from "../errors.js";
import { type Dim, elementsOf, factorOf, isBatch, type Shape, sameDim, sameShape, showShape } from "../graph/dim.js";
import { inputOf, inputsOf, outputOf } from "../graph/operands.js";
import {
  type Attributes,
  constantValue,
  dimsValue,
  makeNode,
  type Node,
  nodeOf,
  type Value,
  type ValueType,
} from "../graph/value.js";
import { nth } from "../present.js";
import { arrayOf, type DType, isFloat, sizeOf, type Tensor } from "../tensor/tensor.js";
import type { BuildStrategy } from "./build-strategy.js";
import type { Call, ShapeRule } from "./call.js";
import { interaction, intsAttribute } from "./checks.js";
import { type Prices, usualPrices } from "./prices.js";
import type { Reduction } from "./reduction.js";

/** The shape rules of the known operators. */
export type Lookup = (domain: string, op: string) => { readonly infer: ShapeRule } | undefined;

/** What a node may be given besides its op. */
export interface NodeOptions {
  readonly name?: string;
  readonly domain?: string;
  readonly outputNames?: readonly string[];
}

/**
 * Makes nodes, inferring dtypes and shapes. It holds no state: values are immutable, and equal nodes are merged later,
 * when a program is cleaned up. Operations that would change nothing are left out at once.
 */
export class Build {
  /** What is built does not look behind the values in `opaque`. */
  constructor(
    readonly lookup: Lookup,
    private readonly opaque: { has(value: Value): boolean } = new Set(),
    /** Methods to use wherever they fit, whatever they cost. */
    readonly strategy: BuildStrategy = {},
  ) {}

  /** The prices by which the cheapest method is found. */
  get prices(): Prices {
    return this.strategy.prices ?? usualPrices;
  }

  /** The same builder with another strategy. */
  choosing(strategy: BuildStrategy): Build {
    return new Build(this.lookup, this.opaque, strategy);
  }

  /**
   * Builds the parts of a composite. They read its inputs themselves: a reshape of an input that is itself a reshape
   * does not bypass it, because neither a cotangent nor a replacement of the input would then reach it.
   */
  inside(node: Node): Build {
    return new Build(this.lookup, new Set(node.inputs.filter((input) => input !== null)), this.strategy);
  }

  /** The node that makes a value; undefined if that must not be looked at. */
  origin(value: Value): Node | undefined {
    return this.opaque.has(value) ? undefined : nodeOf(value);
  }

  /** A node with `outputs` outputs. Throws UNSUPPORTED_OP, and whatever the op's shape rule throws. */
  node(
    op: string,
    inputs: readonly (Value | null)[],
    attributes: Attributes = {},
    outputs = 1,
    options: NodeOptions = {},
  ): Node {
    const { name = "", domain = "", outputNames = [] } = options;
    const definition = this.lookup(domain, op);
    const call: Call = { op, domain, name, inputs, attributes, outputs };
    if (!definition) {
      const where = name ? ` (node "${name}")` : "";
      throw new PergradError(
        "UNSUPPORTED_OP",
        `pergrad does not know the operator ${domain ? `${domain}.` : ""}${op}${where}; remove it from the model, or express it with other operators.`,
      );
    }
    const types = definition.infer(call);
    requireFollowed(call, types);
    return makeNode({ op, domain, name, inputs, attributes }, types, outputNames);
  }

  /** The first output of a new node. */
  op(op: string, inputs: readonly (Value | null)[], attributes: Attributes = {}): Value {
    return outputOf(this.node(op, inputs, attributes), 0);
  }

  // Constants

  constant(tensor: Tensor): Value {
    return constantValue(tensor);
  }

  /** A scalar of `like`'s dtype. */
  scalar(value: number, like: Value): Value {
    return this.filled(value, [], like.dtype);
  }

  /** A constant of these integer dimensions with all elements equal. */
  filled(value: number, dims: readonly number[], dtype: DType): Value {
    const size = sizeOf(dims);
    if (isFloat(dtype)) return this.#float(new Float64Array(size).fill(value), dims, dtype);
    if (dtype === "int64") return constantValue({ dtype, dims, data: new BigInt64Array(size).fill(BigInt(value)) });
    if (dtype === "uint64") return constantValue({ dtype, dims, data: new BigUint64Array(size).fill(BigInt(value)) });
    const data = new (arrayOf(dtype) as Int32ArrayConstructor)(size).fill(value);
    return constantValue({ dtype, dims, data } as Tensor);
  }

  /** Held in float64 whatever the graph computes in: see `constantValue`. */
  #float(data: Float64Array, dims: readonly number[], dtype: DType): Value {
    return constantValue({ dtype: "float64", dims, data }, "", dtype);
  }

  /** An int64 constant, a vector unless `dims` is given. */
  ints(values: readonly number[], dims: readonly number[] = [values.length]): Value {
    return constantValue({ dtype: "int64", dims, data: BigInt64Array.from(values, BigInt) });
  }

  /** A floating-point constant of `like`'s dtype. */
  floats(values: ArrayLike<number>, dims: readonly number[], like: Value): Value {
    return this.#float(Float64Array.from(values), dims, like.dtype);
  }

  /** Zeros of a shape that may hold N. */
  zeros(shape: Shape, dtype: DType): Value {
    return this.expand(this.filled(0, [], dtype), shape);
  }

  // Element-wise, with broadcasting

  add = (a: Value, b: Value): Value => this.op("Add", [a, b]);
  sub = (a: Value, b: Value): Value => this.op("Sub", [a, b]);
  mul = (a: Value, b: Value): Value => this.op("Mul", [a, b]);
  div = (a: Value, b: Value): Value => this.op("Div", [a, b]);
  neg = (a: Value): Value => this.op("Neg", [a]);
  exp = (a: Value): Value => this.op("Exp", [a]);
  log = (a: Value): Value => this.op("Log", [a]);
  sqrt = (a: Value): Value => this.op("Sqrt", [a]);
  abs = (a: Value): Value => this.op("Abs", [a]);
  sign = (a: Value): Value => this.op("Sign", [a]);
  tanh = (a: Value): Value => this.op("Tanh", [a]);
  sigmoid = (a: Value): Value => this.op("Sigmoid", [a]);
  not = (a: Value): Value => this.op("Not", [a]);
  less = (a: Value, b: Value): Value => this.op("Less", [a, b]);
  greater = (a: Value, b: Value): Value => this.op("Greater", [a, b]);
  lessOrEqual = (a: Value, b: Value): Value => this.op("LessOrEqual", [a, b]);
  greaterOrEqual = (a: Value, b: Value): Value => this.op("GreaterOrEqual", [a, b]);
  equal = (a: Value, b: Value): Value => this.op("Equal", [a, b]);
  and = (a: Value, b: Value): Value => this.op("And", [a, b]);
  where = (condition: Value, a: Value, b: Value): Value => this.op("Where", [condition, a, b]);

  /** a times a number. */
  scale(a: Value, factor: number): Value {
    if (factor === 1) return a;
    return factor === -1 ? this.neg(a) : this.mul(a, this.scalar(factor, a));
  }

  /** a where the condition holds, else 0 (even where a is not finite, unlike a product with a mask). */
  mask(condition: Value, a: Value): Value {
    return this.where(condition, a, this.scalar(0, a));
  }

  /** A cotangent where the condition holds, else 0. */
  cotangentWhere(condition: Value, cotangent: Value): Value {
    if (this.strategy.masks === "multiply") return this.mul(cotangent, this.cast(condition, cotangent.dtype));
    return this.mask(condition, cotangent);
  }

  /** A cotangent in two parts: where the condition holds, and the rest; each is 0 elsewhere. */
  cotangentParts(condition: Value, cotangent: Value): readonly [Value, Value] {
    const part = this.cotangentWhere(condition, cotangent);
    if (this.strategy.masks === "multiply") return [part, this.sub(cotangent, part)];
    return [part, this.cotangentUnless(condition, cotangent)];
  }

  /** A cotangent, but 0 where the condition holds. */
  cotangentUnless(condition: Value, cotangent: Value): Value {
    if (this.strategy.masks === "multiply") return this.cotangentWhere(this.not(condition), cotangent);
    return this.where(condition, this.scalar(0, cotangent), cotangent);
  }

  square(a: Value): Value {
    return this.mul(a, a);
  }

  cast(a: Value, dtype: DType): Value {
    return a.dtype === dtype ? a : this.op("Cast", [a], { to: dtype });
  }

  // Reductions and products

  /** Sums over `axes` (all by default; none if empty). */
  sum(a: Value, axes: readonly number[] = a.shape.map((_, axis) => axis), keepDims = false): Value {
    // An axis of size 1 needs no sum.
    const summed = axes.filter((axis) => a.shape[axis] !== 1);
    const sum = this.reduce("ReduceSum", a, summed, true);
    return this.reshape(sum, keepDims ? sum.shape : sum.shape.filter((_, axis) => !axes.includes(axis)));
  }

  reduce(op: string, a: Value, axes: readonly number[], keepDims = false): Value {
    if (axes.length === 0) return a;
    return this.op(op, [a, this.ints(axes)], { keepdims: keepDims ? 1 : 0 });
  }

  matmul = (a: Value, b: Value): Value => this.op("MatMul", [a, b]);

  /** Transposes the last two axes. */
  transposeLast(a: Value): Value {
    const rank = a.shape.length;
    return this.transpose(a, [...Array(rank - 2).keys(), rank - 1, rank - 2]);
  }

  // Shapes

  /** Output axis k is input axis `permutation[k]`. */
  transpose(a: Value, permutation: readonly number[]): Value {
    if (permutation.every((from, to) => from === to)) return a;
    const before = this.origin(a);
    if (before?.op === "Transpose") {
      const first = intsAttribute(before, "perm");
      if (first)
        return this.transpose(
          inputOf(before, 0),
          permutation.map((axis) => nth(first, axis)),
        );
    }
    // Moving axes of size 1 moves no data: a reshape does it for free.
    const moved = permutation.filter((axis) => a.shape[axis] !== 1);
    const shape = permutation.map((axis) => nth(a.shape, axis));
    if (moved.every((axis, k) => k === 0 || nth(moved, k - 1) < axis) && oneBatchDim(shape))
      return this.reshape(a, shape);
    return this.op("Transpose", [a], { perm: permutation });
  }

  /** Moves one axis, keeping the order of the others. */
  moveAxis(a: Value, from: number, to: number): Value {
    const others = a.shape.map((_, axis) => axis).filter((axis) => axis !== from);
    others.splice(to, 0, from);
    return this.transpose(a, others);
  }

  reshape(a: Value, shape: Shape): Value {
    if (sameShape(a.shape, shape)) return a;
    const before = this.origin(a);
    if (before?.op === "Reshape") return this.reshape(inputOf(before, 0), shape);
    const sunk = before?.op === "Transpose" ? this.#reshapeBelow(before, shape) : null;
    if (sunk) return sunk;
    return this.op("Reshape", [a, dimsValue(shape)], { allowzero: 1 });
  }

  /**
   * Moves a reshape that only drops axes of size 1 below a transposition, where it may meet another transposition and
   * cancel it. Null if the reshape does more.
   */
  #reshapeBelow(transposed: Node, shape: Shape): Value | null {
    const [source] = inputsOf(transposed, 1);
    const permutation = intsAttribute(transposed, "perm");
    const kept = permutation
      ? keptAxes(
          permutation.map((axis) => nth(source.shape, axis)),
          shape,
        )
      : null;
    if (!permutation || !kept) return null;
    const from = kept.map((axis) => nth(permutation, axis));
    const order = [...from].sort((a, b) => a - b);
    const squeezed = this.reshape(
      source,
      order.map((axis) => nth(source.shape, axis)),
    );
    return this.transpose(
      squeezed,
      from.map((axis) => order.indexOf(axis)),
    );
  }

  expand(a: Value, shape: Shape): Value {
    return sameShape(a.shape, shape) ? a : this.op("Expand", [a, dimsValue(shape)]);
  }

  unsqueeze(a: Value, axes: readonly number[]): Value {
    return axes.length === 0 ? a : this.op("Unsqueeze", [a, this.ints(axes)]);
  }

  squeeze(a: Value, axes: readonly number[]): Value {
    return axes.length === 0 ? a : this.op("Squeeze", [a, this.ints(axes)]);
  }

  concat(parts: readonly Value[], axis: number): Value {
    return parts.length === 1 ? nth(parts, 0) : this.op("Concat", parts, { axis });
  }

  /** a[start:end:step] along one axis; `end` may be a multiple of N. */
  slice(a: Value, axis: number, start: Dim, end: Dim, step = 1): Value {
    return this.op("Slice", [a, dimsValue([start]), dimsValue([end]), this.ints([axis]), this.ints([step])]);
  }

  /** Pads with zeros: `before[axis]` and `after[axis]` elements. Negative numbers crop. */
  pad(a: Value, before: readonly number[], after: readonly number[]): Value {
    if ([...before, ...after].every((amount) => amount === 0)) return a;
    return this.op("Pad", [a, this.ints([...before, ...after]), this.scalar(0, a)], { mode: "constant" });
  }

  gather(a: Value, indices: Value, axis: number): Value {
    return this.op("Gather", [a, indices], { axis });
  }

  /**
   * The cotangent of an input of shape `shape` that was broadcast to `value`'s shape: `value` itself, or its sum over
   * the broadcast axes, not emitted yet.
   */
  unbroadcast(value: Value, shape: Shape): Value | Reduction {
    return sameShape(value.shape, shape)
      ? value
      : { kind: "reduction", value, axes: broadcastAxes(value.shape, shape), shape };
  }
}

/** A float that is a multiple of N may become a dimension again, but nothing else may be computed from it. */
function requireFollowed(call: Call, types: readonly ValueType[]): void {
  const counts = call.inputs.some((input) => input && isFloat(input.dtype) && input.known?.some(isBatch));
  if (counts && types.some(({ known }) => !known))
    throw interaction(call, "computes with a number that depends on the batch size");
}

/** The axes of `from` that remain if dropping axes of size 1 gives `to`; null if it does not. */
function keptAxes(from: Shape, to: Shape): number[] | null {
  const kept: number[] = [];
  from.forEach((dim, axis) => {
    const wanted = to[kept.length];
    const left = from.length - axis > to.length - kept.length;
    if (wanted !== undefined && sameDim(dim, wanted) && !(dim === 1 && left)) kept.push(axis);
  });
  return kept.length === to.length && from.every((dim, axis) => dim === 1 || kept.includes(axis)) ? kept : null;
}

function oneBatchDim(shape: Shape): boolean {
  return shape.filter(isBatch).length <= 1;
}

/** The axes of `from` to sum to get `to`, aligned at the right. Throws SHAPE_MISMATCH. */
function broadcastAxes(from: Shape, to: Shape): number[] {
  const offset = from.length - to.length;
  const axes: number[] = [];
  from.forEach((dim, axis) => {
    const target = to[axis - offset];
    if (target === undefined || (target === 1 && dim !== 1)) axes.push(axis);
    else if (!sameDim(target, dim)) {
      throw new PergradError(
        "SHAPE_MISMATCH",
        `Cannot sum a tensor ${showShape(from)} to the shape ${showShape(to)}; give a shape that broadcasts to it.`,
      );
    }
  });
  return axes;
}

/** The number of elements, as an integer factor (of N, if the shape holds N). */
export function elementFactor(shape: Shape): number {
  return factorOf(elementsOf(shape) ?? Number.NaN);
}
