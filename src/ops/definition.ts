/**
 * The definition of an operator. Each file of `rules/` holds a family of operators and, for each of them, side by side:
 * its shape rule, its float64 reference, its derivative, its form with one more leading axis, and its sample-axis rule.
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

/** How an op that only moves elements takes a cotangent back: a reshape to its input's shape, or a transposition. */
export type ViewStep =
  | { readonly kind: "reshape"; readonly shape: Shape }
  | { readonly kind: "transpose"; readonly permutation: readonly number[] };

/**
 * A linear map along one axis, the same at every place along the other axes: a slice, padding, a product with a shared
 * vector or matrix.
 */
export interface Along {
  readonly kind: "along";
  readonly axis: number;
  /** The size of the axis afterwards. */
  readonly size: number;
  /** Applies the map along axis `at` of a value that may have any other axes. */
  readonly apply: (build: Build, value: Value, at: number) => Value;
  /**
   * Set if the map only moves elements up by this many places, dropping those that do not fit and filling with zeros.
   */
  readonly shift?: number;
}

/** A product with a shared scalar, of shape `[]`. */
export interface Scaling {
  readonly kind: "scaling";
  readonly factor: (build: Build) => Value;
}

/** A step that a factored gradient passes through without being materialised. */
export type LinearStep = ViewStep | Along | Scaling;

/** The derivative rule of an op. */
export type DerivativeRule = (
  node: Node,
  /** One per output; null if the loss does not depend on that output. */
  cotangents: readonly (Value | null)[],
  build: Build,
  /** Which inputs need a cotangent: the results for the others are ignored and may be null. */
  wanted: readonly boolean[],
) => (Cotangent | null)[];

/** A node's output as an expression of an earlier value. */
export interface Restated {
  readonly value: Value;
  readonly input: Value;
}

/** An input that configures the op rather than being trained: a bound, a ratio, a statistic. */
export interface Setting {
  readonly what: string;
  /** Whether it has a derivative, so that it may be trained; "said" if only the file's exporter can tell. */
  readonly trained: boolean | "said";
}

export const never = (what: string): Setting => ({ what, trained: false });
export const said = (what: string): Setting => ({ what, trained: "said" });
export const perhaps = (what: string): Setting => ({ what, trained: true });

/** A layer that libraries make of the op. */
export interface Layer {
  /** A "product" may be part of a linear layer, or of much else. */
  readonly kind: "linear" | "convolution" | "product" | "recurrent" | "normalisation" | "table" | "activation";
  /** For each input, the name that libraries give to the weight it holds. */
  readonly names: readonly (string | undefined)[];
  /** The input for a bias that exporters leave out if it is zero. */
  readonly optionalBias?: number;
}

/** Whether the layer multiplies its data by a weight. */
export function multiplies({ kind }: Layer): boolean {
  return kind === "linear" || kind === "convolution" || kind === "product";
}

/** A copy of the definition with more fields. */
export function having(more: Partial<OpDefinition>, definition: OpDefinition): OpDefinition {
  return { ...definition, ...more };
}

export interface OpDefinition {
  readonly op: string;
  /** "" (the default) is ONNX's default domain. */
  readonly domain?: string;
  readonly infer: ShapeRule;
  /** The float64 reference. Composites have none: their decomposition is evaluated. */
  readonly evaluate?: (inputs: readonly (Array64 | null)[], node: Node) => Array64[];
  /**
   * The vector-Jacobian product; or "none" if the output does not depend smoothly on any input (comparisons, integer
   * results), so that nothing flows back.
   */
  readonly differentiate?: DerivativeRule | "none";
  /** An equal expression to differentiate instead of the node, if the node's own rule would lose digits. */
  readonly restate?: (node: Node, build: Build) => Restated | null;
  /** The same op with one more leading axis on the inputs marked `batched`; all outputs get that axis. */
  readonly batch?: (
    node: Node,
    inputs: readonly (Value | null)[],
    batched: readonly boolean[],
    build: Build,
  ) => Value[];
  /**
   * The sample axis of each output. Called only if an input carries samples. Throws SAMPLES_INTERACT (see
   * `interaction`) if a sample's output would depend on other samples.
   */
  readonly sampleAxis?: (node: Node, axes: readonly (SampleAxis | null)[]) => (SampleAxis | null)[];
  /** Inputs that hold shapes, sizes or places, and so may hold N. */
  readonly shapeInputs?: readonly number[];
  /**
   * For an op that only moves elements: what its derivative does. A factored gradient passes through without being
   * materialised.
   */
  readonly view?: (node: Node) => ViewStep;
  /**
   * One output as a function of one input, the others held fixed, in steps that each work on a single axis. Null if it
   * is not linear or does not have that form. (An op with a `view` need not repeat it here.)
   */
  readonly linear?: (node: Node, input: number, output: number) => readonly LinearStep[] | null;
  /** For a composite: the same outputs, computed by other ops. It then needs only `infer` besides. */
  readonly decompose?: (node: Node, build: Build) => Value[];
  /**
   * What is emitted instead of the node, if the emitted opset does not have the operator. Null: the node itself.
   * (Faults of a runtime are its target's business.)
   */
  readonly lower?: (node: Node, build: Build) => Value[] | null;
  /** As `lower`, for a replacement that is equal only in float32: the float64 reference keeps the node. */
  readonly approximate?: (node: Node, build: Build) => Value[];
  /** What stands for the operator in a file, if no opset has it and each target computes it in its own way. */
  readonly parts?: (node: Node, build: Build) => Value[];
  /**
   * The range of the outputs, given that of the inputs. Default: any number, finite if all inputs are. (For a
   * composite: the range of its parts.)
   */
  readonly range?: RangeRule;
  /** The derivative is finite wherever the inputs are, although its formula does not look so. */
  readonly finiteSlope?: boolean;
  /** The derivative in its data is a step function, constant between jumps: its second derivative counts as 0. */
  readonly stepSlope?: boolean;
  /**
   * The axes of the first input along which an element of the output depends on more than the element at its own place.
   * Along any other axis, different places do not affect each other. Empty for element-wise ops; undefined if unknown.
   */
  readonly mixes?: (node: Node) => readonly number[];
  /** It draws random numbers: it is not folded, and two equal nodes draw twice. */
  readonly random?: boolean;
  /** It decomposes into a loop over time. Input 4 holds the lengths of the sequences, if they differ. */
  readonly recurrent?: boolean;
  /** If input 0 holds a NaN, its maxima may return a number, or another element's place. */
  readonly hidesNaN?: boolean | ((node: Node) => boolean);
  /** Outputs after the first are left out if nothing reads them: this changes no other output. */
  readonly optionalOutputs?: boolean;
  /** For an op with a graph of its own: the rules that take the place of those above that would look into it. */
  readonly body?: BodyRules;
  /** It works element by element, on one input or on several that broadcast. */
  readonly elementwise?: boolean;
  /**
   * The window that slides over axes 2 and up of the first input, one position for each element of the output; null if
   * it may extend beyond the end. The op is the same with the window's padding in "pads".
   */
  readonly slides?: (node: Node) => Window | null;
  /** Each element of the output is the largest in its window. */
  readonly largest?: boolean;
  /**
   * For an element-wise op of one input: it never decreases, and where it is constant its derivative is 0. So it may be
   * applied before or after a maximum, with the same derivative.
   */
  readonly increasing?: boolean;
  /** The opset that introduced it, if that is later than the one we write. It then has a `lower`. */
  readonly since?: number;
  /** It tells whether elements are NaN or infinite, so its input may hold such elements. */
  readonly testsFinite?: boolean;
  /** From an input that all samples share, it computes the samples' numbers in their batch. */
  readonly counts?: boolean;
  /** Input 1 holds class labels, which are looked up along axis 1 of input 0. */
  readonly classLabels?: boolean;
  /** The result depends only on the shape of input 0. */
  readonly ofShape?: boolean;
  /** It repeats elements of input 0 along axes. */
  readonly repeats?: boolean;
  /** For a comparison of integers: the result as a function of their difference. */
  readonly ofDifference?: (difference: number) => boolean;
  /** For a reduction: an element of this value does not affect the result. */
  readonly neutral?: number;
  /** A kernel may overwrite an input of the same shape that nothing else reads. */
  readonly overwrites?: boolean;
  /** Computing it twice costs less than holding its result. (This also applies to every op with a `view`.) */
  readonly light?: boolean;
  /** Whether all its elements are at least 0: "always", or "kept" if those of input 0 are. */
  readonly notNegative?: "always" | "kept";
  /** The inputs that libraries train, and their names there. */
  readonly layer?: Layer;
  /** The inputs that configure it. */
  readonly settings?: Readonly<Record<number, Setting>>;
  /** The input that holds the whole shape of the output. */
  readonly writtenShape?: number;
  /** Inputs that must have as many samples as the others, because they do not broadcast. */
  readonly sameSamples?: readonly number[] | "all";
  /**
   * What its indices select: rows along an axis, points by all their axes, or single elements of a tensor of the same
   * rank.
   */
  readonly indexes?: "rows" | "points" | "elements";
}
