import type { Prices } from "./prices.js";

/** Which of several methods to build with. Default: the cheapest for the shapes. */
export interface BuildStrategy {
  /** The time that the program's kernels take. Default: that of a common processor. */
  readonly prices?: Prices;
  /** How the data under a convolution's kernel is turned into rows. */
  readonly unfold?: UnfoldMethod;
  /**
   * The approximate number of floats of each sample's unfolded data in a block, if it is unfolded in blocks. Default
   * 65536.
   */
  readonly unfoldBlock?: number;
  /**
   * Whether gradients of a convolution's kernel are materialised in blocks of positions: always, or if they are small
   * beside the unfolded data. Default: all positions at once.
   */
  readonly materialise?: "blocked unfold" | "lowMemory";
  /** How the cotangent of a convolution's data is computed. */
  readonly convolutionData?: DataMethod;
  /**
   * The number of cotangents that a derivative is computed for; parts that do not depend on them exist once. Default 1.
   */
  readonly directions?: number;
  /**
   * How a cotangent becomes 0 where a condition does not hold: by selecting, whatever its value, or by multiplying with
   * a mask, which is faster, and equal if the cotangent is finite. Default: multiply where interval arithmetic
   * finds bounds of the cotangents.
   */
  readonly masks?: "choose" | "multiply";
  /**
   * Whether to hold less between a forward pass and the backward pass that follows. If an activation is made of others,
   * this keeps the sum of its derivative's parts, which both passes multiply by, instead of the parts; and when
   * products are added up, it holds only one besides their sum. Default false.
   */
  readonly holdLess?: boolean;
  /** How the position of a window's maximum is found. */
  readonly maxPool?: MaxPoolMethod;
}

export type UnfoldMethod = "tiles" | "oneHot" | "gather" | "slices";

/**
 * "ConvTranspose": the operator of that name. With strides of 1, the cotangent of the data is also a convolution of the
 * cotangent with the flipped kernel ("flipped"), or a product of the unfolded cotangent with that kernel ("unfolded").
 */
export type DataMethod = "ConvTranspose" | "flipped" | "unfolded";

/**
 * "indices": by MaxPool's second output, Indices, which makes the runtime several times as slow; "comparison": by
 * comparing, axis by axis.
 */
export type MaxPoolMethod = "indices" | "comparison";
