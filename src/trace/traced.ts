/** Arithmetic on values of a graph, written like arithmetic on arrays. */
import { kindOf } from "../arguments.js";
import { PergradError } from "../errors.js";
import { type Dim, type DimSpec, isBatch, type Shape, showShape } from "../graph/dim.js";
import { outputOf } from "../graph/operands.js";
import { type Attributes, constantValue, dimsValue, inspected, type Value } from "../graph/value.js";
import { build } from "../ops/registry.js";
import { nth, present } from "../present.js";
import { type DType, isFloat } from "../tensor/tensor.js";
import { scalarOf, tensorOf } from "./constant.js";
import { axesOf, axisOf, dimOf, invalid, reshapeTarget, shapeOf, specOf } from "./shape.js";

/** The other operand of a method: a tensor or a number. */
export type Operand = Traced | number;
export type Axes = number | readonly number[];

export interface ReduceOptions {
  /** Keeps the reduced axes, with size 1. */
  readonly keepDims?: boolean;
}

/** Throws DTYPE_MISMATCH if the dtypes of an operation's inputs differ. */
export function requireSameDType(op: string, inputs: readonly (Value | null)[]): void {
  const present = inputs.filter((input) => input !== null);
  const [first] = present;
  const odd = present.find((input) => input.dtype !== first?.dtype);
  if (first && odd) {
    throw new PergradError(
      "DTYPE_MISMATCH",
      `${op}: ${first.dtype} and ${odd.dtype} cannot be combined; cast one of them.`,
    );
  }
}

/** An immutable tensor expression. Its methods make new ones; nothing is computed until a program runs. */
export class Traced {
  constructor(
    /** The value of the graph that this stands for. */
    readonly value: Value,
    /** The name given to nodes made from this tensor, which messages then show. */
    readonly scope: string = "",
  ) {}

  /** The type of its elements. */
  get dtype(): DType {
    return this.value.dtype;
  }

  /** Sizes, with "N" for the batch. */
  get shape(): readonly DimSpec[] {
    return this.value.shape.map(specOf);
  }

  /** The number of axes. */
  get rank(): number {
    return this.value.shape.length;
  }

  /** Its value in one line: `h1: float32 [N, 16] = Relu(h0)`. */
  toString(): string {
    return String(this.value);
  }

  /** The same text, for Node's `console.log`. */
  [inspected](): string {
    return String(this.value);
  }

  /** The same tensor; nodes made from it are named `scope`. */
  within(scope: string): Traced {
    return scope === this.scope ? this : new Traced(this.value, scope);
  }

  /**
   * Any operator of ONNX opset 21 that pergrad knows, applied to this tensor and further inputs; returns its first
   * output.
   */
  onnx(op: string, others: readonly (Traced | null)[] = [], attributes: Attributes = {}): Traced {
    return this.apply(
      op,
      others.map((other) => other?.value ?? null),
      attributes,
    );
  }

  private apply(op: string, others: readonly (Value | null)[] = [], attributes: Attributes = {}): Traced {
    const options = this.scope === "" ? {} : { name: this.scope };
    return this.wrap(outputOf(build.node(op, [this.value, ...others], attributes, 1, options), 0));
  }

  private wrap(value: Value): Traced {
    return value === this.value ? this : new Traced(value, this.scope);
  }

  private operand(op: string, other: Operand): Value {
    if (typeof other !== "number" && !(other instanceof Traced))
      throw invalid(`${op}: an operand must be a number or a traced tensor, not ${kindOf(other)}.`);
    const value = typeof other === "number" ? scalarOf(other, this.dtype) : other.value;
    requireSameDType(op, [this.value, value]);
    return value;
  }

  private binary(op: string, other: Operand): Traced {
    return this.apply(op, [this.operand(op, other)]);
  }

  // Arithmetic, with broadcasting

  /** this + other. */
  add(other: Operand): Traced {
    return this.binary("Add", other);
  }
  /** this - other. */
  sub(other: Operand): Traced {
    return this.binary("Sub", other);
  }
  /** this * other. */
  mul(other: Operand): Traced {
    return this.binary("Mul", other);
  }
  /** this / other; rounded toward zero for integers. */
  div(other: Operand): Traced {
    return this.binary("Div", other);
  }
  /** The element-wise larger of the two. */
  maximum(other: Operand): Traced {
    return this.binary("Max", other);
  }
  /** The element-wise smaller of the two. */
  minimum(other: Operand): Traced {
    return this.binary("Min", other);
  }

  /** this to the power of `exponent`. */
  pow(exponent: Operand): Traced {
    return exponent === 2 ? this.square() : this.binary("Pow", exponent);
  }

  /** -this. */
  neg(): Traced {
    return this.apply("Neg");
  }
  /** this * this. */
  square(): Traced {
    return this.mul(this);
  }
  /** The square root. */
  sqrt(): Traced {
    return this.apply("Sqrt");
  }
  /** e to the power of this. */
  exp(): Traced {
    return this.apply("Exp");
  }
  /** The natural logarithm. */
  log(): Traced {
    return this.apply("Log");
  }
  /** The absolute value. Its derivative at 0 is 0. */
  abs(): Traced {
    return this.apply("Abs");
  }
  /** -1, 0 or 1. Its derivative is 0. */
  sign(): Traced {
    return this.apply("Sign");
  }
  /** The sine, of radians. */
  sin(): Traced {
    return this.apply("Sin");
  }
  /** The cosine, of radians. */
  cos(): Traced {
    return this.apply("Cos");
  }
  /** The error function. */
  erf(): Traced {
    return this.apply("Erf");
  }
  /** The hyperbolic tangent. */
  tanh(): Traced {
    return this.apply("Tanh");
  }
  /** 1 / (1 + exp(-this)). */
  sigmoid(): Traced {
    return this.apply("Sigmoid");
  }
  /** max(0, this). Its derivative at 0 is 0. */
  relu(): Traced {
    return this.apply("Relu");
  }
  /** log(1 + exp(this)). */
  softplus(): Traced {
    return this.apply("Softplus");
  }

  /** Limits to [min, max]; either may be left undefined. */
  clip(min?: number, max?: number): Traced {
    const bound = (limit: number | undefined) => (limit === undefined ? null : scalarOf(limit, this.dtype));
    return this.apply("Clip", [bound(min), bound(max)]);
  }

  // Comparisons and logic: the results are bool

  /** Whether this is less. */
  less(other: Operand): Traced {
    return this.binary("Less", other);
  }
  /** Whether this is less or equal. */
  lessOrEqual(other: Operand): Traced {
    return this.binary("LessOrEqual", other);
  }
  /** Whether this is greater. */
  greater(other: Operand): Traced {
    return this.binary("Greater", other);
  }
  /** Whether this is greater or equal. */
  greaterOrEqual(other: Operand): Traced {
    return this.binary("GreaterOrEqual", other);
  }
  /** Whether the two are equal. */
  equal(other: Operand): Traced {
    return this.binary("Equal", other);
  }
  /** Whether the two differ. */
  notEqual(other: Operand): Traced {
    return this.equal(other).not();
  }
  /** Whether both are true. */
  and(other: Traced): Traced {
    return this.binary("And", other);
  }
  /** Whether either is true, or both. */
  or(other: Traced): Traced {
    return this.binary("Or", other);
  }
  /** Whether this is false. */
  not(): Traced {
    return this.apply("Not");
  }

  /** The elements as another dtype; from a float to an integer rounded toward zero. */
  cast(dtype: DType): Traced {
    return dtype === this.dtype ? this : this.apply("Cast", [], { to: dtype });
  }

  // Products and reductions

  /** The matrix product over the last two axes; those before them broadcast (numpy's `matmul`). */
  matmul(other: Traced): Traced {
    return this.binary("MatMul", other);
  }

  private reduce(op: string, name: string, axes: Axes | undefined, { keepDims = false }: ReduceOptions): Traced {
    const along = axesOf(axes, this.rank, name);
    if (along.length === 0) return this;
    return this.apply(op, [build.ints(along)], { keepdims: keepDims ? 1 : 0 });
  }

  private extremum(op: string, name: string, axes: Axes | undefined, options: ReduceOptions): Traced {
    const found = this.reduce(op, name, axes, options);
    if (found === this || !isFloat(this.dtype)) return found;
    const tests = this.wrap(build.cast(build.op("IsNaN", [this.value]), this.dtype));
    const some = build.cast(tests.reduce("ReduceMax", name, axes, options).value, "bool");
    return this.wrap(build.where(some, build.scalar(Number.NaN, this.value), found.value));
  }

  /** The sum over the given axes, or all. */
  sum(axes?: Axes, options: ReduceOptions = {}): Traced {
    return this.reduce("ReduceSum", "sum", axes, options);
  }
  /** The mean over the given axes, or all. */
  mean(axes?: Axes, options: ReduceOptions = {}): Traced {
    return this.reduce("ReduceMean", "mean", axes, options);
  }
  /** The maximum over the given axes, or all; NaN if an element is NaN (unlike the runtime's own maximum). */
  max(axes?: Axes, options: ReduceOptions = {}): Traced {
    return this.extremum("ReduceMax", "max", axes, options);
  }
  /** The minimum over the given axes, or all; NaN if an element is NaN. */
  min(axes?: Axes, options: ReduceOptions = {}): Traced {
    return this.extremum("ReduceMin", "min", axes, options);
  }

  /** exp(this) over its sum along one axis, the last unless given. */
  softmax(axis = -1): Traced {
    return this.apply("Softmax", [], { axis: axisOf(axis, this.rank, "softmax") });
  }
  /** The logarithm of `softmax`, computed directly, so that small probabilities keep their digits. */
  logSoftmax(axis = -1): Traced {
    return this.apply("LogSoftmax", [], { axis: axisOf(axis, this.rank, "logSoftmax") });
  }

  // Shapes

  /** The same elements in another shape. One dimension may be -1, and takes the remaining elements. */
  reshape(shape: readonly DimSpec[]): Traced {
    return this.reshaped(reshapeTarget(this.value.shape, shape));
  }

  private reshaped(shape: Shape): Traced {
    const done = build.reshape(this.value, shape);
    return done === this.value ? this : this.apply("Reshape", [dimsValue(shape)], { allowzero: 1 });
  }

  /**
   * Output axis k is axis `permutation[k]`; without one the axes are reversed.
   * @throws PergradError INVALID_ARGUMENT: `permutation` does not name each axis once.
   */
  transpose(permutation?: readonly number[]): Traced {
    const order = permutation
      ? axesOf(permutation, this.rank, "transpose")
      : axesOf(undefined, this.rank, "").reverse();
    if (order.length !== this.rank) {
      throw invalid(
        `transpose: [${order}] is not a permutation of the ${this.rank} axes of ${showShape(this.value.shape)}; name each axis once.`,
      );
    }
    return this.wrap(build.transpose(this.value, order));
  }

  /** Broadcasts to a shape as ONNX Expand does; a single size ("N") becomes a new leading axis. */
  expand(to: DimSpec | readonly DimSpec[]): Traced {
    const leading = typeof to === "number" || typeof to === "string";
    const shape = leading ? [dimOf(to, "expand"), ...this.value.shape] : shapeOf(to, "expand");
    if (leading && shape[0] === 1) return this.reshaped(shape);
    return this.wrap(build.expand(this.value, shape));
  }

  /** Inserts axes of size 1 at these positions of the result. */
  unsqueeze(axes: Axes): Traced {
    const count = typeof axes === "number" ? 1 : axes.length;
    const places = axesOf(axes, this.rank + count, "unsqueeze");
    const rest = [...this.value.shape];
    return this.reshaped(
      Array.from({ length: this.rank + count }, (_, axis) => (places.includes(axis) ? 1 : present(rest.shift()))),
    );
  }

  /**
   * Drops the given axes, which must be of size 1; without any, all of size 1.
   * @throws PergradError INVALID_ARGUMENT: there is no such axis.
   * @throws PergradError SHAPE_MISMATCH: an axis is not of size 1.
   */
  squeeze(axes?: Axes): Traced {
    const shape = this.value.shape;
    const dropped = axes === undefined ? undefined : axesOf(axes, this.rank, "squeeze");
    const wide = dropped?.find((axis) => shape[axis] !== 1);
    if (wide !== undefined) {
      throw new PergradError(
        "SHAPE_MISMATCH",
        `squeeze: axis ${wide} of ${showShape(shape)} is not of size 1; squeeze another axis.`,
      );
    }
    return this.reshaped(shape.filter((dim, axis) => (dropped ? !dropped.includes(axis) : dim !== 1)));
  }

  /**
   * Elements start, start + step, ... before `end` of one axis; negative places count from its end.
   * @throws PergradError INVALID_ARGUMENT: there is no such axis, or a number is not whole.
   */
  slice(axis: number, start: number, end?: DimSpec, step = 1): Traced {
    const along = axisOf(axis, this.rank, "slice");
    const size = nth(this.value.shape, along);
    if (![start, step].every(Number.isSafeInteger) || step === 0)
      throw invalid("slice: start and step must be whole numbers.");
    const last = sliceEnd(end, size, step);
    return this.apply("Slice", [build.ints([start]), dimsValue([last]), build.ints([along]), build.ints([step])]);
  }

  /** Elements of one axis by their indices: the axis is replaced by the axes of `indices` (numpy's `take`). */
  gather(indices: Traced | number | readonly number[], axis = 0): Traced {
    const at = indices instanceof Traced ? indices.value : constantValue(tensorOf(indices, "int64"));
    return this.apply("Gather", [at], { axis: axisOf(axis, this.rank, "gather") });
  }

  /** One element along `axis` for each element of `indices` (numpy's `take_along_axis`). */
  gatherElements(indices: Traced, axis: number): Traced {
    return this.apply("GatherElements", [indices.value], { axis: axisOf(axis, this.rank, "gatherElements") });
  }
}

/** Larger than any size: ONNX reads it as "to the end". */
const beyond = 2 ** 31 - 1;

function sliceEnd(end: DimSpec | undefined, size: Dim, step: number): Dim {
  if (end === undefined) return step < 0 ? -beyond : isBatch(size) ? size : beyond;
  if (typeof end === "number" && Number.isSafeInteger(end)) return end;
  return dimOf(end, "slice");
}
