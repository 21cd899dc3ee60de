/**
 * What an operator must say of itself. One file of this folder holds a family of operators, and for each
 * of them, side by side: its shape rule, its float64 reference, its derivative, how it takes one more
 * leading axis, and where the sample axis goes.
 */

import type { Shape } from "../graph/dim.js";
import type { Attributes, Node, Value, ValueType } from "../graph/value.js";
import type { Build } from "./build.js";
import type { RangeRule } from "./range.js";

/** A node about to be made: what `infer` sees. */
export interface Call {
  readonly op: string;
  readonly domain: string;
  readonly name: string;
  readonly inputs: readonly (Value | null)[];
  readonly attributes: Attributes;
  /** How many outputs are asked for. */
  readonly outputs: number;
}

/** A tensor of the reference: every dtype is held in float64 (booleans as 0 and 1, integers exactly up to 2^53). */
export interface Array64 {
  readonly dims: readonly number[];
  readonly data: Float64Array;
}

/**
 * Where a value carries the samples: dimension `axis` has outer * N * inner elements, sample n owning
 * those whose index along it is (o * N + n) * inner + i. Plain `[N, ...]` is axis 0, outer 1, inner 1;
 * `[N*T, C]` has inner T, `[T*N, C]` has outer T. A value with none is *shared* by all samples (null).
 */
export interface SampleAxis {
  readonly axis: number;
  readonly outer: number;
  readonly inner: number;
  /** The elements along the axis are all alike (zeros, say), so that any outer and inner would do. */
  readonly uniform?: boolean;
}

/** How an op that only moves elements takes a cotangent back: by a reshape to its input's shape, or a transposition. */
export type ViewStep =
  | { readonly kind: "reshape"; readonly shape: Shape }
  | { readonly kind: "transpose"; readonly permutation: readonly number[] };

/**
 * A linear map along one axis, the same for every place beside it: a slice, padding, a product with a shared
 * vector or matrix.
 */
export interface Along {
  readonly kind: "along";
  readonly axis: number;
  /** Of the axis afterwards. */
  readonly size: number;
  /** The map along axis `at` of a value whose other axes may be any. */
  readonly apply: (build: Build, value: Value, at: number) => Value;
  /** The map only moves elements up by this many places, leaving out those that do not fit and filling with zeros. */
  readonly shift?: number;
}

/** A product with a shared scalar, of shape `[]`. */
export interface Scaling {
  readonly kind: "scaling";
  readonly factor: (build: Build) => Value;
}

/** What a factored gradient passes through without being multiplied out. */
export type LinearStep = ViewStep | Along | Scaling;

/**
 * The cotangent of one input, as a derivative rule states it: a value of the input's shape, or a
 * contraction that is not emitted yet. On the data path it is emitted; for an input that the samples
 * share it becomes a factored gradient, which keeps the sample axis instead of summing over it.
 */
export type Cotangent = Value | Reduction | Contraction | Convolution | Rows;

/** `value`, summed over `axes` (along which the input was broadcast), then reshaped to the input's `shape`. */
export interface Reduction {
  readonly kind: "reduction";
  readonly value: Value;
  readonly axes: readonly number[];
  readonly shape: Shape;
}

/**
 * An einsum of `left` and `right`. Letters in both but not in `to` are summed. Letters are single
 * characters; `to` names the axes of the input, whose shape is `shape`.
 */
export interface Contraction {
  readonly kind: "contraction";
  readonly left: Value;
  readonly right: Value;
  /** Subscripts of left, right and result, for instance "ni", "no", "io". */
  readonly subscripts: readonly [string, string, string];
  readonly shape: Shape;
}

/** Strides, dilations, padding and groups of a convolution with d spatial axes. */
export interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** Padding before each spatial axis. */
  readonly before: readonly number[];
  /** Padding after each spatial axis. */
  readonly after: readonly number[];
}

/**
 * The weight gradient of a convolution: for each kernel offset k, the sum over samples and positions t of
 * data[n, i, t*stride + k*dilation - pad] * cotangent[n, o, t].
 */
export interface Convolution {
  readonly kind: "convolution";
  /** `[N, groups*I, ...spatial]`: what the kernel slid over. */
  readonly data: Value;
  /** `[N, groups*O, ...positions]`: one element per position of the kernel. */
  readonly cotangent: Value;
  readonly groups: number;
  readonly window: Window;
  /** `[groups*O, I, ...kernel]`. ConvTranspose's weight fits too: its data is dy, its cotangent x. */
  readonly shape: Shape;
}

/** The cotangent of a gathered table: along `axis`, row indices[p] receives the cotangent at p; rows add up. */
export interface Rows {
  readonly kind: "rows";
  /** Integers of any shape; negative ones count from the end. */
  readonly indices: Value;
  /** The table's shape with `axis` replaced by the axes of `indices`. */
  readonly cotangent: Value;
  readonly axis: number;
  /** The table's shape. */
  readonly shape: Shape;
}

/** The derivative rule of an op that has one. */
export type DerivativeRule = (
  node: Node,
  /** One per output; null where the loss does not depend on that output. */
  cotangents: readonly (Value | null)[],
  build: Build,
  /** Which inputs need a cotangent: the others' results are not looked at and may be null. */
  wanted: readonly boolean[],
) => (Cotangent | null)[];

/** A node's output as an expression of a value further behind it. */
export interface Restated {
  readonly value: Value;
  readonly input: Value;
}

export interface OpDefinition {
  readonly op: string;
  /** "" (the default) is ONNX's default domain. */
  readonly domain?: string;
  /** dtypes and shapes of the outputs. Throws SHAPE_MISMATCH, DTYPE_MISMATCH, UNKNOWN_SHAPE, UNSUPPORTED_OP. */
  readonly infer: (call: Call) => ValueType[];
  /** The float64 reference. Absent for composites, whose decomposition is evaluated. */
  readonly evaluate?: (inputs: readonly (Array64 | null)[], node: Node) => Array64[];
  /**
   * The vector-Jacobian product, or "none" where the output does not depend smoothly on any input
   * (comparisons, integer results): then nothing flows back.
   */
  readonly differentiate?: DerivativeRule | "none";
  /** An equal expression to be differentiated in the node's place, where the node's own rule would lose digits. */
  readonly restate?: (node: Node, build: Build) => Restated | null;
  /** The same op with one more leading axis on the inputs marked `batched`; all outputs get it. */
  readonly batch?: (
    node: Node,
    inputs: readonly (Value | null)[],
    batched: readonly boolean[],
    build: Build,
  ) => Value[];
  /**
   * The sample axis of each output. Called only where an input carries samples. Throws SAMPLES_INTERACT
   * (see `interaction`) where a sample's output would depend on other samples.
   */
  readonly sampleAxis?: (node: Node, axes: readonly (SampleAxis | null)[]) => (SampleAxis | null)[];
  /** Inputs that are read as shapes, sizes or places, and so may hold N. */
  readonly shapeInputs?: readonly number[];
  /** For an op that only moves elements: what its derivative does. A factored gradient passes through unmultiplied. */
  readonly view?: (node: Node) => ViewStep;
  /**
   * One output as a function of one input, the others held fixed, in steps that each work on a single axis.
   * Null where it is not linear, or not of that form. (An op with a `view` need not say it again.)
   */
  readonly linear?: (node: Node, input: number, output: number) => readonly LinearStep[] | null;
  /** A composite op: the same outputs by other ops. It then needs only `infer` besides. */
  readonly decompose?: (node: Node, build: Build) => Value[];
  /**
   * What is emitted in the node's place, where it is no operator of the opset we emit, or the runtime trips
   * over it. Null: the node itself.
   */
  readonly lower?: (node: Node, build: Build) => Value[] | null;
  /** As `lower`, where what is emitted is the same in float32 only: the float64 reference keeps the node. */
  readonly approximate?: (node: Node, build: Build) => Value[];
  /**
   * What the outputs may be, from what the inputs may be. Where not stated: any number, finite where all inputs are.
   * (Of a composite, what its parts say.)
   */
  readonly range?: RangeRule;
  /** The derivative is finite wherever the inputs are, though it does not look so. */
  readonly finiteSlope?: boolean;
  /**
   * The axes of the first input along which an output's elements depend on more than the element at their own place;
   * elements at different places along any other axis have nothing to do with each other. None of what is
   * element-wise; not stated: not known.
   */
  readonly mixes?: (node: Node) => readonly number[];
  /** Draws random numbers: it is not folded, and two equal nodes draw twice. */
  readonly random?: boolean;
  /** The op works element by element: of one input, or of several that broadcast. */
  readonly elementwise?: boolean;
}
