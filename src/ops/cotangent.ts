/** What a derivative rule states about the cotangent of one input. */

import type { Shape } from "../graph/dim.js";
import type { Value } from "../graph/value.js";
import type { Window } from "../graph/window.js";
import type { Build } from "./build.js";
import type { Reduction } from "./reduction.js";

export type { Reduction };

/**
 * The cotangent of one input, as a derivative rule states it: a value of the input's shape, or a contraction that is
 * not emitted yet. On the data path it is emitted; for an input that the samples share it becomes a factored gradient,
 * which keeps the sample axis instead of summing over it.
 */
export type Cotangent = Value | Reduction | Contraction | Convolution | RowsCotangent;

/** Whether a cotangent is a value, and so already emitted. */
export function isValue(cotangent: object): cotangent is Value {
  return "source" in cotangent;
}

/**
 * An einsum of `left` and `right`: letters in both but not in `to` are summed. Letters are single characters; `to`
 * names the axes of the input, whose shape is `shape`.
 */
export interface Contraction {
  readonly kind: "contraction";
  readonly left: Value;
  readonly right: Value;
  /** Subscripts of left, right and result, for instance "ni", "no", "io". */
  readonly subscripts: readonly [string, string, string];
  readonly shape: Shape;
}

/**
 * The weight gradient of a convolution: for each kernel offset k, the sum over samples and positions t of
 * data[n, i, t*stride + k*dilation - pad] * cotangent[n, o, t].
 */
export interface Convolution {
  readonly kind: "convolution";
  /** `[N, groups*I, ...spatial]`: the data under the kernel. */
  readonly data: Value;
  /** `[N, groups*O, ...positions]`: one element per position of the kernel. */
  readonly cotangent: Value;
  readonly groups: number;
  readonly window: Window;
  /** `[groups*O, I, ...kernel]`. ConvTranspose's weight fits too: then dy is the data, and x the cotangent. */
  readonly shape: Shape;
  readonly rules: ConvolutionRules;
}

/**
 * The rules of convolutions for other stages. The cotangent carries them, so that a page whose model has no
 * convolutions does not load them.
 */
export interface ConvolutionRules {
  /** The kernel's gradient, summed over everything on the first axis. */
  gradient(build: Build, convolution: Convolution): Value;
  /**
   * For each element of the data, or of the cotangent, the sum of what the kernel joins it with.
   * @param sizes the other one's, `[N, groups, ...]`
   * @returns `[N, groups, ...]`, in the places of the one that `of` names
   */
  joined(build: Build, convolution: Convolution, sizes: Value, of: "data" | "cotangent"): Value;
}

/** The cotangent of a gathered table: along `axis`, row indices[p] receives the cotangent at p; rows add up. */
export interface RowsCotangent {
  readonly kind: "rows";
  /** Integers of any shape; negative ones count from the end. */
  readonly indices: Value;
  /** The table's shape with `axis` replaced by the axes of `indices`. */
  readonly cotangent: Value;
  readonly axis: number;
  /** The table's shape. */
  readonly shape: Shape;
}
