/**
 * What an operator must say of itself. One file of this folder holds a family of operators, and for each
 * of them, side by side: its shape rule, its float64 reference, its derivative, how it takes one more
 * leading axis, and where the sample axis goes.
 */

import type { Array64 } from "../float64/array64.js";
import type { Shape } from "../graph/dim.js";
import type { SampleAxis } from "../graph/sample-axis.js";
import type { Node, Value } from "../graph/value.js";
import type { Window } from "../graph/window.js";
import type { BodyRules } from "./body-rules.js";
import type { Build } from "./build.js";
import type { ShapeRule } from "./call.js";
import type { Cotangent } from "./cotangent.js";
import type { RangeRule } from "./range.js";

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

/** What a factored gradient passes through without being materialised. */
export type LinearStep = ViewStep | Along | Scaling;

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

/** What an input sets up, rather than being trained: a bound, a ratio, a statistic. */
export interface Setting {
  readonly what: string;
  /** Whether there is a derivative, so that it may be trained; "said" where only the file's exporter can tell. */
  readonly trained: boolean | "said";
}

export const never = (what: string): Setting => ({ what, trained: false });
export const said = (what: string): Setting => ({ what, trained: "said" });
export const perhaps = (what: string): Setting => ({ what, trained: true });

/** A layer, as libraries make them of the op. */
export interface Layer {
  /** A product is what a linear layer may be made of, and much else. */
  readonly kind: "linear" | "convolution" | "product" | "recurrent" | "normalisation" | "table" | "activation";
  /** By input: what a library calls the weight that it is. */
  readonly names: readonly (string | undefined)[];
  /** The input of a bias that exporters leave out where it is zero. */
  readonly optionalBias?: number;
}

/** Whether the layer multiplies data by a weight. */
export function multiplies({ kind }: Layer): boolean {
  return kind === "linear" || kind === "convolution" || kind === "product";
}

/** The same op, of which more is known. */
export function having(more: Partial<OpDefinition>, definition: OpDefinition): OpDefinition {
  return { ...definition, ...more };
}

export interface OpDefinition {
  readonly op: string;
  /** "" (the default) is ONNX's default domain. */
  readonly domain?: string;
  readonly infer: ShapeRule;
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
   * What is emitted in the node's place, where it is no operator of the opset we emit. Null: the node itself. (What a
   * runtime trips over is known to its target.)
   */
  readonly lower?: (node: Node, build: Build) => Value[] | null;
  /** As `lower`, where what is emitted is the same in float32 only: the float64 reference keeps the node. */
  readonly approximate?: (node: Node, build: Build) => Value[];
  /** What stands for it in a file, where no opset has it and each target computes it in its own way. */
  readonly parts?: (node: Node, build: Build) => Value[];
  /**
   * What the outputs may be, from what the inputs may be. Where not stated: any number, finite where all inputs are.
   * (Of a composite, what its parts say.)
   */
  readonly range?: RangeRule;
  /** The derivative is finite wherever the inputs are, though it does not look so. */
  readonly finiteSlope?: boolean;
  /** The derivative in its data is a step, constant between jumps: a second derivative goes through it as 0. */
  readonly stepSlope?: boolean;
  /**
   * The axes of the first input along which an output's elements depend on more than the element at their own place;
   * elements at different places along any other axis have nothing to do with each other. None of what is
   * element-wise; not stated: not known.
   */
  readonly mixes?: (node: Node) => readonly number[];
  /** Draws random numbers: it is not folded, and two equal nodes draw twice. */
  readonly random?: boolean;
  /** Decomposes into a loop over time. Input 4 holds the lengths of the sequences, where they differ. */
  readonly recurrent?: boolean;
  /** Its maxima may answer with a number, or with another element's place, where input 0 holds a NaN. */
  readonly hidesNaN?: boolean | ((node: Node) => boolean);
  /** Outputs behind the first are left out where nothing reads them: their absence changes no other. */
  readonly optionalOutputs?: boolean;
  /** Of an op with a graph of its own inside, which takes the place of the rules above that look into it. */
  readonly body?: BodyRules;
  /** The op works element by element: of one input, or of several that broadcast. */
  readonly elementwise?: boolean;
  /**
   * The window that slides over axes 2 and up of the first input, one position for each element of the output; null where it
   * may hang over the end. With padding in "pads" the op is the same.
   */
  readonly slides?: (node: Node) => Window | null;
  /** The output's elements are the largest of each window's. */
  readonly largest?: boolean;
  /**
   * Of an element-wise op of one input: it never decreases, and where it is constant its derivative is 0. So it may be computed
   * before a maximum or after it, with the same derivative.
   */
  readonly increasing?: boolean;
  /** The opset that brought it, where that is later than the one we write. It then has a `lower`. */
  readonly since?: number;
  /** Answers whether an element is NaN or infinite: what it is asked of may hold such. */
  readonly testsFinite?: boolean;
  /** Of what all samples share it makes the numbers of the samples in their batch. */
  readonly counts?: boolean;
  /** Input 1 holds class labels, which are looked up along axis 1 of input 0. */
  readonly classLabels?: boolean;
  /** The result depends on nothing but the shape of input 0. */
  readonly ofShape?: boolean;
  /** It repeats elements of input 0 along axes. */
  readonly repeats?: boolean;
  /** A comparison of integers, as a function of their difference. */
  readonly ofDifference?: (difference: number) => boolean;
  /** Of a reduction: an element of this value changes no result. */
  readonly neutral?: number;
  /** A kernel may write the result over an input of the same shape that nothing else reads. */
  readonly overwrites?: boolean;
  /** Computing it twice costs less than holding its result. (What has a `view` is light too.) */
  readonly light?: boolean;
  /** No element is negative: never, or not where none of input 0 is. */
  readonly notNegative?: "always" | "kept";
  /** Which of its inputs libraries train, and what they call them. */
  readonly layer?: Layer;
  /** Inputs that set it up. */
  readonly settings?: Readonly<Record<number, Setting>>;
  /** The input that holds the whole shape of the output. */
  readonly writtenShape?: number;
  /** Inputs that must have as many samples as the others: they do not broadcast. */
  readonly sameSamples?: readonly number[] | "all";
  /** It reads or writes what indices name: rows along an axis, points by all their axes, or elements of the same rank. */
  readonly indexes?: "rows" | "points" | "elements";
}
